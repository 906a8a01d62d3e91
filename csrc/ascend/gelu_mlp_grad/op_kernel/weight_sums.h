// The last phase, for weight gradients whose rows were split: the parts are added up in order, dealt over all vector
// cores.
#pragma once

#include "grad_workspace.h"

namespace vit {

template <typename T>
class WeightSums {
  static constexpr uint32_t kChunk = 1024;  // elements

 public:
  __aicore__ inline WeightSums(TPipe& pipe, GM_ADDR dw1, GM_ADDR dw2, GM_ADDR workspace, const GeluMlpGradTiling& t)
      : t_(t), workspace_(workspace, t) {
    dw1_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dw1), uint64_t(t.rows.first) * t.rows.second);
    dw2_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dw2), uint64_t(t.rows.first) * t.columns);
    pipe.InitBuffer(in_, 2, kChunk * sizeof(float));
    pipe.InitBuffer(out_, 2, kChunk * sizeof(float));
  }

  __aicore__ inline void Run() {
    AddUp(dw1_, workspace_.Parts(false), uint64_t(t_.rows.first) * t_.rows.second);
    AddUp(dw2_, workspace_.Parts(true), uint64_t(t_.rows.first) * t_.columns);
  }

 private:
  __aicore__ inline void AddUp(const GlobalTensor<float>& dst, const GlobalTensor<float>& parts, uint64_t total) {
    const uint64_t step = uint64_t(2 * GetBlockNum()) * kChunk;
    for (uint64_t at = uint64_t(GetBlockIdx()) * kChunk; at < total; at += step) {
      const uint32_t elems = total - at < kChunk ? static_cast<uint32_t>(total - at) : kChunk;
      LocalTensor<float> sum = out_.AllocTensor<float>();
      for (uint32_t part = 0; part < t_.parts; ++part) {
        LocalTensor<float> term = in_.AllocTensor<float>();
        DataCopy(term, parts[part * total + at], elems);
        in_.EnQue(term);
        term = in_.DeQue<float>();
        if (part == 0) {
          Adds(sum, term, 0.0f, static_cast<int32_t>(elems));
        } else {
          PipeBarrier<PIPE_V>();
          Add(sum, sum, term, static_cast<int32_t>(elems));
        }
        in_.FreeTensor(term);
      }
      out_.EnQue(sum);
      sum = out_.DeQue<float>();
      DataCopy(dst[at], sum, elems);
      out_.FreeTensor(sum);
    }
  }

  const GeluMlpGradTiling& t_;
  const MlpGradWorkspace<T> workspace_;
  GlobalTensor<float> dw1_, dw2_;
  TQue<TPosition::VECIN, 1> in_;
  TQue<TPosition::VECOUT, 1> out_;
};

}  // namespace vit

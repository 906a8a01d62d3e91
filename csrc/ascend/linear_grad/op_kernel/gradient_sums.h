// The column sums of dy over the rows of one vector core, into the workspace: the first half of db and dscale.
#pragma once

#include "common/column_sums.h"
#include "linear_grad_memory.h"

namespace vit {

template <typename T>
class GradientSums {
  static constexpr uint32_t kRows = 64, kCols = 256;  // of a strip of dy

 public:
  __aicore__ inline GradientSums(TPipe& pipe, GM_ADDR dy, GM_ADDR workspace, const LinearGradTiling& t)
      : t_(t), workspace_(workspace, t) {
    dy_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dy), uint64_t(t.input.rows) * t.input.depth);
    pipe.InitBuffer(in_, 2, kRows * kCols * sizeof(T));
    pipe.InitBuffer(out_, 2, kCols * sizeof(float));
    pipe.InitBuffer(wide_, kRows * kCols * sizeof(float));
  }

  __aicore__ inline void Run() {
    const uint32_t core = static_cast<uint32_t>(GetBlockIdx()), out = t_.weight.rows;
    for (uint32_t col = 0; col < out; col += kCols) {
      const uint32_t cols = Min(kCols, out - col);
      LocalTensor<float> sums = out_.AllocTensor<float>();
      Sum(sums, RowOf(core), RowOf(core + 1), col, cols);
      out_.EnQue(sums);
      sums = out_.DeQue<float>();
      DataCopy(workspace_.Sums(core)[col], sums, RoundUp(cols, kFractal));
      out_.FreeTensor(sums);
    }
  }

 private:
  __aicore__ inline uint32_t RowOf(uint32_t core) const {
    return static_cast<uint32_t>(uint64_t(t_.input.rows) * core / (2 * t_.cores));
  }

  __aicore__ inline void Sum(const LocalTensor<float>& sums, uint32_t begin, uint32_t end, uint32_t col,
                             uint32_t cols) {
    const uint32_t out = t_.weight.rows, pitch = RoundUp(cols, kFractal);
    const LocalTensor<float> wide = wide_.Get<float>();
    Duplicate(sums, 0.0f, static_cast<int32_t>(pitch));
    for (uint32_t row = begin; row < end; row += kRows) {
      const uint32_t rows = Min(kRows, end - row);
      LocalTensor<T> dy = in_.template AllocTensor<T>();
      DataCopyPad(dy, dy_[uint64_t(row) * out + col],
                  DataCopyExtParams(rows, cols * sizeof(T), (out - cols) * sizeof(T), 0, 0), DataCopyPadExtParams<T>());
      in_.EnQue(dy);
      dy = in_.template DeQue<T>();
      Cast(wide, dy, RoundMode::CAST_NONE, rows * pitch);
      in_.FreeTensor(dy);
      PipeBarrier<PIPE_V>();  // also for what is in sums
      AddRows(sums, wide, rows, pitch, pitch);
    }
  }

  const LinearGradTiling& t_;
  const LinearGradMemory<T> workspace_;
  GlobalTensor<T> dy_;
  TQue<TPosition::VECIN, 1> in_;
  TQue<TPosition::VECOUT, 1> out_;
  TBuf<TPosition::VECCALC> wide_;
};

}  // namespace vit

// dQ of the blocked path lives in the workspace in fp32, since every key block adds to it: zeroed before, narrowed after.
// Both passes are dealt over all vector cores in tiles of rows of (batch, heads, tokens).
#pragma once

#include "grad_steps.h"

namespace vit {

template <typename T, uint32_t D>
class QueryGrad {
  static constexpr uint32_t kRows = 8192 / D;  // of a tile: 32 KB in fp32

 public:
  __aicore__ inline QueryGrad(TPipe& pipe, GM_ADDR dqkv, GM_ADDR workspace, const AttentionGradTiling& t)
      : t_(t), workspace_(workspace, t) {
    dqkv_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dqkv), uint64_t(t.batch) * t.tokens * 3 * t.heads * D);
    pipe.InitBuffer(sums_, 2, kRows * D * sizeof(float));
    pipe.InitBuffer(narrow_, 2, kRows * D * sizeof(T));
  }

  __aicore__ inline void Zero() {
    LocalTensor<T> zeros = narrow_.template AllocTensor<T>();
    Duplicate(zeros.template ReinterpretCast<float>(), 0.0f, static_cast<int32_t>(kRows * D / 2));
    narrow_.EnQue(zeros);
    zeros = narrow_.template DeQue<T>();
    const LocalTensor<float> source = zeros.template ReinterpretCast<float>();
    for (uint32_t tile = FirstTile(); tile < EndTile(); ++tile) {
      const uint32_t elems = RowsOf(tile) * D, middle = Min(elems, kRows * D / 2);
      const GlobalTensor<float> dst = Source(tile);
      DataCopy(dst, source, middle);
      if (elems > middle) DataCopy(dst[middle], source, elems - middle);
    }
    narrow_.FreeTensor(zeros);
  }

  // Rows of one head are contiguous in the workspace and 3 * heads * head_dim apart in dqkv.
  __aicore__ inline void Narrow() {
    for (uint32_t tile = FirstTile(); tile < EndTile(); ++tile) {
      const uint32_t rows = RowsOf(tile);
      LocalTensor<float> sums = sums_.template AllocTensor<float>();
      DataCopy(sums, Source(tile), rows * D);
      sums_.EnQue(sums);
      sums = sums_.template DeQue<float>();
      LocalTensor<T> narrow = narrow_.template AllocTensor<T>();
      Cast(narrow, sums, RoundMode::CAST_RINT, rows * D);
      sums_.FreeTensor(sums);
      narrow_.EnQue(narrow);
      narrow = narrow_.template DeQue<T>();
      DataCopyPad(Destination(tile), narrow,
                  DataCopyExtParams(rows, D * sizeof(T), 0, (3 * t_.heads - 1) * D * sizeof(T), 0));
      narrow_.FreeTensor(narrow);
    }
  }

 private:
  // Tiles do not cross heads.
  __aicore__ inline uint32_t TilesPerHead() const { return CeilDiv(t_.tokens, kRows); }
  __aicore__ inline uint32_t Share(uint32_t core) const {
    return static_cast<uint32_t>(uint64_t(t_.batch) * t_.heads * TilesPerHead() * core / (t_.blocks * GetSubBlockNum()));
  }
  __aicore__ inline uint32_t FirstTile() const { return Share(static_cast<uint32_t>(GetBlockIdx())); }
  __aicore__ inline uint32_t EndTile() const { return Share(static_cast<uint32_t>(GetBlockIdx()) + 1); }
  __aicore__ inline uint32_t TokenOf(uint32_t tile) const { return tile % TilesPerHead() * kRows; }
  __aicore__ inline uint32_t RowsOf(uint32_t tile) const { return Min(kRows, t_.tokens - TokenOf(tile)); }
  __aicore__ inline GlobalTensor<float> Source(uint32_t tile) const {
    return workspace_.QueryGrads(uint64_t(tile / TilesPerHead()) * t_.tokens + TokenOf(tile));
  }
  __aicore__ inline GlobalTensor<T> Destination(uint32_t tile) const {
    const uint32_t head = tile / TilesPerHead();  // of all batches
    const uint64_t token = uint64_t(head / t_.heads) * t_.tokens + TokenOf(tile);
    return dqkv_[(token * 3 * t_.heads + head % t_.heads) * D];
  }

  const AttentionGradTiling& t_;
  const GradWorkspace<T> workspace_;
  GlobalTensor<T> dqkv_;
  TQue<TPosition::VECIN, 1> sums_;
  TQue<TPosition::VECOUT, 1> narrow_;
};

}  // namespace vit

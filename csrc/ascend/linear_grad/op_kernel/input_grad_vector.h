// Tiles of dx on their way out of the ring, when w had to be scaled: divided by the power of two that scaled_weight.h
// put in, and narrowed.
#pragma once

#include "linear_grad_memory.h"

namespace vit {

template <typename T>
class InputGradVector {
  static constexpr uint32_t kStripElems = kPanelRows / 2 * kHalfCols;  // half of a tile

 public:
  __aicore__ inline InputGradVector(TPipe& pipe, GM_ADDR dx, GM_ADDR workspace, const LinearGradTiling& t, float factor)
      : t_(t),
        factor_(factor),
        tiles_(t.input, BlockIndex()),
        ring_(LinearGradMemory<T>(workspace, t).Ring(), kRingSlots) {
    dx_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dx), uint64_t(t.input.rows) * t.input.cols);
    pipe.InitBuffer(strips_, 2, kStripElems * sizeof(float));
    pipe.InitBuffer(out_, 1, kStripElems * sizeof(T));
  }

  __aicore__ inline uint32_t Count() const { return tiles_.Count(); }

  // The tiles of product `index`.
  __aicore__ inline void Product(uint32_t index) {
    const GridTile tile = tiles_.At(index);
    const TileRows mine(tile.rows);
    for (uint32_t col = 0; col < tile.cols; col += kHalfCols) {
      Tile(uint64_t(tile.row + mine.first) * t_.input.cols + tile.col + col, mine, Min(kHalfCols, tile.cols - col));
    }
  }

 private:
  __aicore__ inline void Tile(uint64_t offset, const TileRows& mine, uint32_t cols) {
    const uint32_t pitch = RoundUp(cols, kFractal), elems = mine.count * pitch;
    const GlobalTensor<float> src = ring_.Tile(passed_++);
    CrossCoreWaitFlag(kTileReady);
    if (elems == 0) {
      CrossCoreSetFlag<2, PIPE_MTE2>(kTileRead);
      return;
    }
    LocalTensor<float> strip = strips_.AllocTensor<float>();
    DataCopy(strip, src[mine.first * pitch], elems);
    strips_.EnQue(strip);
    CrossCoreSetFlag<2, PIPE_MTE2>(kTileRead);
    strip = strips_.DeQue<float>();
    Muls(strip, strip, factor_, static_cast<int32_t>(elems));
    PipeBarrier<PIPE_V>();
    LocalTensor<T> out = out_.template AllocTensor<T>();
    Cast(out, strip, RoundMode::CAST_RINT, elems);
    strips_.FreeTensor(strip);
    out_.EnQue(out);
    out = out_.template DeQue<T>();
    DataCopyPad(dx_[offset], out,
                DataCopyExtParams(mine.count, cols * sizeof(T), 0, (t_.input.cols - cols) * sizeof(T), 0));
    out_.FreeTensor(out);
  }

  const LinearGradTiling& t_;
  float factor_;
  const GridSequence tiles_;
  const TileRing ring_;
  uint32_t passed_ = 0;
  GlobalTensor<T> dx_;
  TQue<TPosition::VECIN, 1> strips_;
  TQue<TPosition::VECOUT, 1> out_;
};

}  // namespace vit

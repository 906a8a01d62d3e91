// The vector half of the linear forward: y = residual + scale (tile + bias). Each of the two vector cores takes half of
// the rows of a tile.
//
//   MTE2   residual | tile from the ring
//   V                 + bias, * scale, + residual -> 16 bit
//   MTE3                                             y
#pragma once

#include "common/column_vector.h"
#include "linear_cube.h"

namespace vit {

template <typename T>
class LinearVector {
  static constexpr uint32_t kStripElems = kPanelRows / 2 * kHalfCols;  // half of a tile

 public:
  __aicore__ inline LinearVector(TPipe& pipe, GM_ADDR b, GM_ADDR residual, GM_ADDR scale, GM_ADDR y, GM_ADDR workspace,
                                 const LinearTiling& t)
      : t_(t),
        tiles_(t.grid, BlockIndex()),
        ring_(workspace + uint64_t(BlockIndex()) * kRingSlots * kRingTileElems * sizeof(float), kRingSlots),
        bias_(b, t.grid.cols, Has(kLinearBiasFloat)),
        scale_(scale, t.grid.cols, Has(kLinearScaleFloat)) {
    residual_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(residual), uint64_t(t.grid.rows) * t.grid.cols);
    y_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(y), uint64_t(t.grid.rows) * t.grid.cols);
    // A strip of the tile and behind it, 16 bit, the same of the residual.
    pipe.InitBuffer(strips_, 2, kStripElems * (sizeof(float) + (Has(kLinearResidual) ? sizeof(T) : 0)));
    pipe.InitBuffer(out_, 2, kStripElems * sizeof(T));
    if (Has(kLinearBias)) bias_row_.Init(pipe, kHalfCols);
    if (Has(kLinearScale)) scale_row_.Init(pipe, kHalfCols);
    if (Has(kLinearResidual)) pipe.InitBuffer(wide_, kStripElems * sizeof(float));
  }

  __aicore__ inline void Run() {
    if (t_.epilogue == 0) return;
    uint32_t passed = 0;
    for (uint32_t i = 0; i < tiles_.Count(); ++i) {
      const GridTile tile = tiles_.At(i);
      for (uint32_t col = 0; col < tile.cols; col += kHalfCols) {
        Tile({tile.row, tile.rows, tile.col + col, Min(kHalfCols, tile.cols - col)}, ring_.Tile(passed++));
      }
    }
  }

 private:
  struct Place {
    uint32_t row, rows, col, cols;
  };

  __aicore__ inline bool Has(uint32_t what) const { return (t_.epilogue & what) != 0; }
  __aicore__ inline uint64_t Offset(const Place& p, const TileRows& mine) const {
    return uint64_t(p.row + mine.first) * t_.grid.cols + p.col;
  }

  __aicore__ inline void Tile(const Place& p, const GlobalTensor<float>& src) {
    const TileRows mine(p.rows);
    const uint32_t pitch = RoundUp(p.cols, kFractal), elems = mine.count * pitch;
    if (Has(kLinearBias)) bias_row_.Load(bias_, p.col, p.cols);
    if (Has(kLinearScale)) scale_row_.Load(scale_, p.col, p.cols);
    if (elems == 0) {
      CrossCoreWaitFlag(kTileReady);
      CrossCoreSetFlag<2, PIPE_MTE2>(kTileRead);
      return;
    }
    LocalTensor<float> strip = strips_.AllocTensor<float>();
    if (Has(kLinearResidual)) LoadResidual(Residual(strip), p, mine);
    CrossCoreWaitFlag(kTileReady);
    DataCopy(strip, src[mine.first * pitch], elems);
    strips_.EnQue(strip);
    CrossCoreSetFlag<2, PIPE_MTE2>(kTileRead);
    strip = strips_.DeQue<float>();
    if (Has(kLinearBias)) bias_row_.AddTo(strip, mine.count, p.cols, pitch);
    if (Has(kLinearScale)) scale_row_.MultiplyInto(strip, mine.count, p.cols, pitch);
    if (Has(kLinearResidual)) AddResidual(strip, elems);
    LocalTensor<T> out = out_.template AllocTensor<T>();
    Cast(out, strip, RoundMode::CAST_RINT, elems);
    strips_.FreeTensor(strip);
    out_.EnQue(out);
    out = out_.template DeQue<T>();
    DataCopyPad(y_[Offset(p, mine)], out,
                DataCopyExtParams(mine.count, p.cols * sizeof(T), 0, (t_.grid.cols - p.cols) * sizeof(T), 0));
    out_.FreeTensor(out);
  }

  __aicore__ static inline LocalTensor<T> Residual(const LocalTensor<float>& strip) {
    return strip[kStripElems].template ReinterpretCast<T>();
  }

  // A row of T is padded to whole fractals as a row of the strip is.
  __aicore__ inline void LoadResidual(const LocalTensor<T>& dst, const Place& p, const TileRows& mine) {
    DataCopyPad(dst, residual_[Offset(p, mine)],
                DataCopyExtParams(mine.count, p.cols * sizeof(T), (t_.grid.cols - p.cols) * sizeof(T), 0, 0),
                DataCopyPadExtParams<T>());
  }

  __aicore__ inline void AddResidual(const LocalTensor<float>& strip, uint32_t elems) {
    const LocalTensor<float> wide = wide_.Get<float>();
    Cast(wide, Residual(strip), RoundMode::CAST_NONE, elems);
    PipeBarrier<PIPE_V>();
    Add(strip, strip, wide, static_cast<int32_t>(elems));
    PipeBarrier<PIPE_V>();
  }

  const LinearTiling& t_;
  const GridSequence tiles_;
  const TileRing ring_;
  const ColumnVector<T> bias_, scale_;
  ColumnRow<T> bias_row_, scale_row_;
  GlobalTensor<T> residual_, y_;
  TQue<TPosition::VECIN, 1> strips_;
  TQue<TPosition::VECOUT, 1> out_;
  TBuf<TPosition::VECCALC> wide_;
};

}  // namespace vit

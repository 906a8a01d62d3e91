// The cube half of the linear gradient: G = dy^T x, then dx = dy (scale w).
#pragma once

#include "common/panel_cube.h"
#include "linear_grad_memory.h"

namespace vit {

template <typename T>
class WeightGradCube {
 public:
  __aicore__ inline WeightGradCube(GM_ADDR dy, GM_ADDR x, GM_ADDR dw, GM_ADDR workspace, const LinearGradTiling& t)
      : t_(t), tiles_(t.weight, BlockIndex()), workspace_(workspace, t) {
    dy_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dy), uint64_t(t.weight.depth) * t.weight.rows);
    x_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(x), uint64_t(t.weight.depth) * t.weight.cols);
    dw_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dw), uint64_t(t.weight.rows) * t.weight.cols);
  }

  __aicore__ inline void Run(TPipe& pipe) {
    PanelCube<T, PanelLayout::kTN, WeightGradCube>(pipe, t_.weight.panels, *this).Run();
    if (t_.direct == 0) CrossCoreSetFlag<2, PIPE_FIX>(kSummandReady);
  }

  // ---- what PanelCube asks for

  __aicore__ inline uint32_t Count() const { return tiles_.Count(); }

  __aicore__ inline PanelProduct<T> At(uint32_t index) const {
    const GridTile tile = tiles_.At(index);
    const uint32_t out = t_.weight.rows, in = t_.weight.cols;
    PanelProduct<T> p;
    p.a = dy_[uint64_t(tile.depth_first) * out + tile.row];
    p.b = x_[uint64_t(tile.depth_first) * in + tile.col];
    p.a_pitch = out;
    p.b_pitch = in;
    p.m = tile.rows;
    p.n = tile.cols;
    p.k = tile.depth;
    p.k_first = tile.depth_turn;
    p.keep_a = t_.weight.keep_a != 0 && tile.same_rows;
    return p;
  }

  __aicore__ inline bool Fetch(uint32_t, uint32_t) const { return true; }

  __aicore__ inline void Store(uint32_t index, uint32_t side, const LocalTensor<float>& c, uint32_t m, uint32_t n) {
    const GridTile tile = tiles_.At(index);
    const uint32_t col = tile.col + side * kHalfCols;
    if (t_.direct != 0) {
      StoreFloats(dw_[uint64_t(tile.row) * t_.weight.cols + col], c, m, n, t_.weight.cols);
    } else {
      StoreFloats(workspace_.Summand(tile.part, tile.row)[col], c, m, n, RoundUp(t_.weight.cols, kWorkspacePitch));
    }
  }

 private:
  const LinearGradTiling& t_;
  const GridSequence tiles_;
  const LinearGradMemory<T> workspace_;
  GlobalTensor<T> dy_, x_;
  GlobalTensor<float> dw_;
};

template <typename T>
class InputGradCube {
 public:
  __aicore__ inline InputGradCube(GM_ADDR dy, GM_ADDR w, GM_ADDR dx, GM_ADDR workspace, const LinearGradTiling& t)
      : t_(t),
        scaled_((t.epilogue & kLinearScale) != 0),
        tiles_(t.input, BlockIndex()),
        ring_(LinearGradMemory<T>(workspace, t).Ring(), kRingSlots) {
    dy_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dy), uint64_t(t.input.rows) * t.input.depth);
    w_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(w), uint64_t(t.input.depth) * t.input.cols);
    if (scaled_) w_ = LinearGradMemory<T>(workspace, t).ScaledWeight();
    dx_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dx), uint64_t(t.input.rows) * t.input.cols);
  }

  __aicore__ inline void Run(TPipe& pipe) {
    if (scaled_) CrossCoreWaitFlag(kWeightScaled);
    PanelCube<T, PanelLayout::kNN, InputGradCube>(pipe, t_.input.panels, *this).Run();
    ring_.Finish();
  }

  // ---- what PanelCube asks for

  __aicore__ inline uint32_t Count() const { return tiles_.Count(); }

  __aicore__ inline PanelProduct<T> At(uint32_t index) const {
    const GridTile tile = tiles_.At(index);
    PanelProduct<T> p;
    p.a = dy_[uint64_t(tile.row) * t_.input.depth];
    p.b = w_[tile.col];
    p.a_pitch = t_.input.depth;
    p.b_pitch = t_.input.cols;
    p.m = tile.rows;
    p.n = tile.cols;
    p.k = tile.depth;
    p.k_first = tile.depth_turn;
    p.keep_a = t_.input.keep_a != 0 && tile.same_rows;
    p.keep_b = tile.same_cols;
    return p;
  }

  __aicore__ inline bool Fetch(uint32_t, uint32_t) const { return true; }

  __aicore__ inline void Store(uint32_t index, uint32_t side, const LocalTensor<float>& c, uint32_t m, uint32_t n) {
    if (scaled_) {
      ring_.Put(c, m, n);
      return;
    }
    const GridTile tile = tiles_.At(index);
    StoreTile(dx_[uint64_t(tile.row) * t_.input.cols + tile.col + side * kHalfCols], c, m, n, t_.input.cols);
  }

 private:
  const LinearGradTiling& t_;
  const bool scaled_;
  const GridSequence tiles_;
  TileWriter<kTileReady, kTileRead> ring_;
  GlobalTensor<T> dy_, w_, dx_;
};

}  // namespace vit

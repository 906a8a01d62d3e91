// The cube half of the linear forward: x w^T, tile by tile, into the ring; or, with nothing left to do, straight to y.
#pragma once

#include "common/panel_cube.h"
#include "common/product_grid.h"
#include "common/tile_ring.h"
#include "linear/tiling_data.h"

namespace vit {

enum LinearFlag : uint16_t {
  kTileReady = 0,  // cube -> vector: a tile is in the ring
  kTileRead = 1,   // vector -> cube: it has been read
};

template <typename T>
class LinearCube {
 public:
  __aicore__ inline LinearCube(GM_ADDR x, GM_ADDR w, GM_ADDR y, GM_ADDR workspace, const LinearTiling& t)
      : t_(t),
        tiles_(t.grid, BlockIndex()),
        ring_(workspace + uint64_t(BlockIndex()) * kRingSlots * kRingTileElems * sizeof(float), kRingSlots) {
    x_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(x), uint64_t(t.grid.rows) * t.grid.depth);
    w_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(w), uint64_t(t.grid.cols) * t.grid.depth);
    y_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(y), uint64_t(t.grid.rows) * t.grid.cols);
  }

  __aicore__ inline void Run(TPipe& pipe) {
    PanelCube<T, PanelLayout::kNT, LinearCube>(pipe, t_.grid.panels, *this).Run();
    ring_.Finish();
  }

  // ---- what PanelCube asks for

  __aicore__ inline uint32_t Count() const { return tiles_.Count(); }

  __aicore__ inline PanelProduct<T> At(uint32_t index) const {
    const GridTile tile = tiles_.At(index);
    PanelProduct<T> p;
    p.a = x_[uint64_t(tile.row) * t_.grid.depth];
    p.b = w_[uint64_t(tile.col) * t_.grid.depth];
    p.a_pitch = p.b_pitch = t_.grid.depth;
    p.m = tile.rows;
    p.n = tile.cols;
    p.k = tile.depth;
    p.k_first = tile.depth_turn;
    p.keep_a = t_.grid.keep_a != 0 && tile.same_rows;
    p.keep_b = tile.same_cols;
    return p;
  }

  __aicore__ inline bool Fetch(uint32_t, uint32_t) const { return true; }

  __aicore__ inline void Store(uint32_t index, uint32_t side, const LocalTensor<float>& c, uint32_t m, uint32_t n) {
    if (t_.epilogue != 0) {
      ring_.Put(c, m, n);
      return;
    }
    const GridTile tile = tiles_.At(index);
    StoreTile(y_[uint64_t(tile.row) * t_.grid.cols + tile.col + side * kHalfCols], c, m, n, t_.grid.cols);
  }

 private:
  const LinearTiling& t_;
  const GridSequence tiles_;
  TileWriter<kTileReady, kTileRead> ring_;
  GlobalTensor<T> x_, w_, y_;
};

}  // namespace vit

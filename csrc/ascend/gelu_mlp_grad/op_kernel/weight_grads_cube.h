// The cube half of the second phase: dw1 = dpre^T x and dw2 = dy^T gelu(h), sums over all rows, in tiles of 128 x 256
// dealt over the cores one by one. A tile is one sum on one core, so nothing has to be ordered; where there are fewer
// tiles than cores the rows are split too, and the vector cores add up the parts. Each core begins its sums at other
// rows, for the same reason as the columns in mlp_steps.h.
#pragma once

#include "common/panel_cube.h"
#include "grad_workspace.h"

namespace vit {

template <typename T>
class WeightGradsCube {
 public:
  __aicore__ inline WeightGradsCube(GM_ADDR dy, GM_ADDR x, GM_ADDR dw1, GM_ADDR dw2, GM_ADDR workspace,
                                    const GeluMlpGradTiling& t)
      : t_(t), workspace_(workspace, t), hidden_(t.rows.first), width_(t.rows.second),
        tiles1_(CeilDiv(hidden_, kPanelRows) * CeilDiv(width_, kPanelCols)),
        tiles2_(CeilDiv(t.columns, kPanelRows) * CeilDiv(hidden_, kPanelCols)) {
    dy_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dy), uint64_t(t.rows.rows) * t.columns);
    x_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(x), uint64_t(t.rows.rows) * width_);
    dw1_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dw1), uint64_t(hidden_) * width_);
    dw2_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dw2), uint64_t(t.columns) * hidden_);
    if (t.parts > 1) {
      dw1_ = workspace_.Parts(false);
      dw2_ = workspace_.Parts(true);
    }
  }

  __aicore__ inline void Run(TPipe& pipe) {
    PanelCube<T, PanelLayout::kTN, WeightGradsCube>(pipe, t_.weight_panels, *this).Run();
  }

  // ---- what PanelCube asks for

  __aicore__ inline uint32_t Count() const {
    const uint32_t tiles = (tiles1_ + tiles2_) * t_.parts, core = BlockIndex();
    return core < tiles ? CeilDiv(tiles - core, t_.cores) : 0;
  }

  __aicore__ inline PanelProduct<T> At(uint32_t index) const {
    const Tile tile = TileAt(index);
    const uint32_t depth = t_.weight_panels.depth, chunks = CeilDiv(t_.rows.rows, depth);
    const uint32_t first = chunks * tile.part / t_.parts * depth;
    PanelProduct<T> p;
    p.m = tile.rows;
    p.n = tile.cols;
    p.k = Min(chunks * (tile.part + 1) / t_.parts * depth, t_.rows.rows) - first;
    p.k_first = CeilDiv(p.k, depth) * BlockIndex() / t_.cores * depth;
    p.a = tile.second ? dy_[uint64_t(first) * t_.columns + tile.row] : workspace_.Dpre(first, tile.row);
    p.a_pitch = tile.second ? t_.columns : hidden_;
    p.b = tile.second ? workspace_.Gelu(first, tile.col) : x_[uint64_t(first) * width_ + tile.col];
    p.b_pitch = tile.second ? hidden_ : width_;
    p.keep_a = false;
    return p;
  }

  __aicore__ inline bool Fetch(uint32_t, uint32_t) const { return true; }

  __aicore__ inline void Store(uint32_t index, uint32_t side, const LocalTensor<float>& c, uint32_t m, uint32_t n) {
    const Tile tile = TileAt(index);
    const uint32_t rows = tile.second ? t_.columns : hidden_, cols = tile.second ? hidden_ : width_;
    const GlobalTensor<float>& dst = tile.second ? dw2_ : dw1_;
    Fixpipe<float, float, CFG_ROW_MAJOR>(
        dst[(uint64_t(tile.part) * rows + tile.row) * cols + tile.col + side * kHalfCols], c,
        FixpipeParamsV220(n, m, RoundUp(m, kFractal), cols, false));
  }

 private:
  struct Tile {
    bool second;    // of dw2
    uint32_t part;  // of the rows
    uint32_t row, rows, col, cols;
  };

  // Cores at work at the same time share panels of the operand with more columns: dpre in dw1, gelu in dw2.
  __aicore__ inline Tile TileAt(uint32_t index) const {
    const uint32_t place = index * t_.cores + BlockIndex();
    uint32_t tile = place % (tiles1_ + tiles2_);
    Tile r;
    r.part = place / (tiles1_ + tiles2_);
    r.second = tile >= tiles1_;
    if (r.second) {
      tile -= tiles1_;
      const uint32_t down = CeilDiv(t_.columns, kPanelRows);
      r.row = tile % down * kPanelRows;
      r.col = tile / down * kPanelCols;
    } else {
      const uint32_t across = CeilDiv(width_, kPanelCols);
      r.row = tile / across * kPanelRows;
      r.col = tile % across * kPanelCols;
    }
    r.rows = Min(kPanelRows, (r.second ? t_.columns : hidden_) - r.row);
    r.cols = Min(kPanelCols, (r.second ? hidden_ : width_) - r.col);
    return r;
  }

  const GeluMlpGradTiling& t_;
  const MlpGradWorkspace<T> workspace_;
  uint32_t hidden_, width_, tiles1_, tiles2_;
  GlobalTensor<T> dy_, x_;
  GlobalTensor<float> dw1_, dw2_;
};

}  // namespace vit

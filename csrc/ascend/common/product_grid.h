// The tiles of a matrix product dealt over the AI Cores: what cube and vector cores walk alike.
#pragma once

#include "common/block_index.h"
#include "common/grid_data.h"
#include "common/l0_load.h"

namespace vit {

// One product for PanelCube: a block of rows against a panel of columns.
struct GridTile {
  uint32_t row, rows, col, cols;
  uint32_t depth_first, depth, part;  // of the summation
  uint32_t depth_turn;                // where in it to start, a multiple of the depth of a stage
  bool same_rows, same_cols;          // as the tile before, and the same part of the depth
};

// The tiles of one core: block of rows by block of rows (of the same size on all cores), within it panel by panel of
// columns, or the other way round where columns stay in L1. Cores start with different panels and at different places
// of the summation, so that they do not all ask L2 for the same lines at the same time.
class GridSequence {
 public:
  __aicore__ inline GridSequence(const ProductGrid& g, uint32_t core) {
    // The remaining cores have nothing to do.
    if (core >= g.row_parts * g.col_parts * g.depth_parts) return;
    part_ = core % g.depth_parts;
    const uint32_t col_part = core / g.depth_parts % g.col_parts, row_part = core / g.depth_parts / g.col_parts;
    Run(g.rows, kFractal, g.row_parts, row_part, row_, rows_);
    Run(g.cols, kFractal, g.col_parts, col_part, col_, cols_);
    Run(g.depth, kPanelDepth, g.depth_parts, part_, depth_first_, depth_);
    block_rows_ = g.panels.a_rows;
    panels_ = CeilDiv(cols_, kPanelCols);
    turn_ = panels_ * row_part / g.row_parts;
    // Cores that share rows differ by their columns, cores that share columns by what the turn above leaves over.
    const uint32_t stages = CeilDiv(depth_, g.panels.depth);
    depth_turn_ = (panels_ * row_part % g.row_parts * stages / g.row_parts + col_part * stages / g.col_parts) % stages *
                  g.panels.depth;
    blocks_ = CeilDiv(rows_, block_rows_);
    by_cols_ = g.keep_b != 0;
    count_ = blocks_ * panels_;
  }

  __aicore__ inline uint32_t Count() const { return count_; }

  __aicore__ inline GridTile At(uint32_t index) const {
    GridTile t;
    const uint32_t block = by_cols_ ? index % blocks_ : index / panels_;
    const uint32_t panel = ((by_cols_ ? index / blocks_ : index % panels_) + turn_) % panels_;
    const uint32_t row = block * block_rows_, col = panel * kPanelCols;
    t.row = row_ + row;
    t.rows = Min(block_rows_, rows_ - row);
    t.col = col_ + col;
    t.cols = Min(kPanelCols, cols_ - col);
    t.depth_first = depth_first_;
    t.depth = depth_;
    t.part = part_;
    t.depth_turn = depth_turn_;
    t.same_rows = !by_cols_ && index % panels_ != 0;
    t.same_cols = by_cols_ && index % blocks_ != 0;
    return t;
  }

 private:
  // The run of `total` that part `index` of `parts` gets, in whole units.
  __aicore__ static inline void Run(uint32_t total, uint32_t unit, uint32_t parts, uint32_t index, uint32_t& first,
                                    uint32_t& count) {
    const uint64_t units = CeilDiv(total, unit);
    first = static_cast<uint32_t>(units * index / parts) * unit;
    count = Min(static_cast<uint32_t>(units * (index + 1) / parts) * unit, total) - first;
  }

  uint32_t part_, row_, rows_, col_, cols_, depth_first_, depth_, depth_turn_;
  uint32_t block_rows_, blocks_, panels_, turn_, count_ = 0;
  bool by_cols_;  // panel by panel, within it block by block
};

}  // namespace vit

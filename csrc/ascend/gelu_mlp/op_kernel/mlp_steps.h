// What both halves of the MLP kernels agree on: the sequence of products of a core, the flags between its cores.
#pragma once

#include "kernel_operator.h"

#include "common/product_grid.h"
#include "common/tile_ring.h"
#include "gelu_mlp/tiling_data.h"

namespace vit {

enum MlpFlag : uint16_t {
  kHiddenReady = 0,  // cube -> vector: a tile of the first product is in its ring
  kHiddenDone = 1,   // vector -> cube: it has been read, and what follows from it is in the workspace
  kOutReady = 2,     // the same for the second product
  kOutDone = 3,
};

// A product of up to kPanelCols columns for one block of rows. Its columns are handed over in tiles of kHalfCols.
struct MlpStep {
  bool second;     // which of the two products
  uint32_t block;  // of rows, on this core
  uint32_t row, rows;
  uint32_t col, cols;
};

// The products of one AI Core in order. The vector cores have most work after the first product of a block, so it does
// not come in one go: its columns alternate with those of the second product of the block before.
//
//   block 0:  1 1 1 1 1 1 1 1         2       2
//   block 1:                  1 1 1 1   1 1 1 1           2       2
//   block 2:                                      1 1 1 1   1 1 1 1   2 2
//
// Every core starts with other columns of the first product, and sums the second from the same place on: what one core
// brings from HBM the others find in L2, and they do not ask for the same lines at the same time.
class MlpSequence {
 public:
  __aicore__ inline MlpSequence(const MlpRows& t, uint32_t core)
      : t_(t), core_(core), first_(CeilDiv(t.first, kPanelCols)), second_(CeilDiv(t.second, kPanelCols)) {
    if (core >= t.cores) return;
    const uint64_t fractals = CeilDiv(t.rows, kFractal);
    begin_ = static_cast<uint32_t>(fractals * core / t.cores) * kFractal;
    end_ = Min(static_cast<uint32_t>(fractals * (core + 1) / t.cores) * kFractal, t.rows);
    blocks_ = CeilDiv(end_ - begin_, t.block_rows);
    turn_ = first_ * core / t.cores;
  }

  __aicore__ inline uint32_t Begin() const { return begin_; }
  __aicore__ inline uint32_t End() const { return end_; }
  __aicore__ inline uint32_t Count() const { return blocks_ * (first_ + second_); }

  __aicore__ inline MlpStep At(uint32_t index) const {
    if (index < first_) return Step(false, 0, index);
    const uint32_t round = first_ + second_;
    const uint32_t block = (index - first_) / round, place = (index - first_) % round;
    if (block + 1 == blocks_) return Step(true, block, place);
    const uint32_t seconds = place * second_ / round;  // so many second products came before in this round
    if ((place + 1) * second_ / round > seconds) return Step(true, block, seconds);
    return Step(false, block + 1, place - seconds);
  }

  // The column of the first product with which this core starts.
  __aicore__ inline uint32_t FirstColumn() const { return turn_ * kPanelCols; }

  // How many tiles of the first product are made until those of `block` up to column `col`, and one panel back, are.
  __aicore__ inline uint32_t HiddenTiles(uint32_t block, uint32_t col) const {
    const uint32_t panel = (col - 1) / kPanelCols, place = PlaceOf(panel);
    const bool after_last = PlaceOf(first_ - 1) < place;
    return block * CeilDiv(t_.first, kHalfCols) + 2 * place + CeilDiv(col - panel * kPanelCols, kHalfCols) -
           (after_last ? 2 - CeilDiv(t_.first - (first_ - 1) * kPanelCols, kHalfCols) : 0);
  }

  // Whether the left operand of the step is that of the step before and still in L1.
  __aicore__ inline bool KeepsRows(uint32_t index) const {
    if (index == 0 || t_.keep_a == 0) return false;
    const MlpStep now = At(index), before = At(index - 1);
    return !now.second && !before.second && now.block == before.block;
  }

 private:
  // When in a block a panel of columns of the first product has its turn.
  __aicore__ inline uint32_t PlaceOf(uint32_t panel) const { return (panel + first_ - turn_) % first_; }

  __aicore__ inline MlpStep Step(bool second, uint32_t block, uint32_t tile) const {
    MlpStep s;
    s.second = second;
    s.block = block;
    s.row = begin_ + block * t_.block_rows;
    s.rows = Min(t_.block_rows, end_ - s.row);
    s.col = (second ? (tile + core_) % second_ : (tile + turn_) % first_) * kPanelCols;
    s.cols = Min(kPanelCols, (second ? t_.second : t_.first) - s.col);
    return s;
  }

  const MlpRows& t_;
  uint32_t core_;
  uint32_t first_, second_;       // products per block
  uint32_t begin_ = 0, end_ = 0;  // rows of this core
  uint32_t blocks_ = 0;
  uint32_t turn_ = 0;  // the panel of columns this core starts with
};

}  // namespace vit

// What the operands of a product can be once the register tile is to read them (microkernel.h): panels packed
// for this product, or a matrix that is kept in panels and serves as it is.
//
// A matrix kept in panels has kTileCols columns side by side in each of them, rows outermost (a last panel
// with kLanes columns or fewer is half as wide): what packing makes of a right operand whose summation runs
// over the rows. The register tile reads the same floats in three ways, none of which costs a copy:
//   X^T .. A X     a right operand, up to kMaxDepth rows
//   X B            a left one, row by row, the summation running over the columns   (RowsOfPanels)
//   X^T B          a left one, column by column, the summation running over the rows (ColumnsOfPanels)
// So a gradient that several products read is written once, by the epilogue of the product that makes it.
#pragma once

#include "microkernel.h"

namespace vit {
namespace VIT_ISA {

// A matrix of rows x columns kept in panels.
struct Panels {
  float* data;
  int64_t rows, columns;

  float* panel(int64_t p) const { return data + p * kTileCols * rows; }
  const float* right(int64_t p, int64_t, int64_t) const { return panel(p); }
  int64_t width(int64_t p) const { return panel_vectors(columns - p * kTileCols) * kLanes; }
  float* at(int64_t i, int64_t j) const {
    const int64_t p = j / kTileCols;
    return panel(p) + i * width(p) + j % kTileCols;
  }
};

// A right operand packed whole: for each block of the summation, from k on and `depth` long, all its panels.
struct PackedRight {
  const float* data;
  int64_t columns;

  const float* right(int64_t p, int64_t k, int64_t depth) const {
    return data + round_up(columns, kLanes) * k + p * kTileCols * depth;
  }
};

// Asks for one row of a tile, which may start anywhere in a cache line.
VIT_INLINE void fetch_to_write(const float* p) {
  for (int line = 0; line <= kTileCols; line += 16) __builtin_prefetch(p + line, 1);
}
VIT_INLINE void fetch_to_read(const float* p) {
  for (int line = 0; line <= kTileCols; line += 16) __builtin_prefetch(p + line, 0);
}

// A left operand is cut into tiles of at most kTileRows rows:
//   tiles(rows)    how many cover the first `rows`
//   row(t)         the first row of tile t
//   height(t)      its rows, where the matrix does not end before
//   multiply(...)  the register tile: tile t, of which there are `rows` rows, times a panel of the right operand
// One whose summation is there as a whole has from(k) too: the same from k on, the start of a block of it.
struct EvenTiles {
  static int64_t tiles(int64_t rows) { return ceil_div(rows, kTileRows); }
  static int64_t row(int64_t t) { return t * kTileRows; }
  static int64_t height(int64_t) { return kTileRows; }
};

// Panels of kTileRows rows with the summation outermost: one block of the summation.
struct PackedLeft : EvenTiles {
  const float* data;

  explicit PackedLeft(const float* panels) : data(panels) {}
  void multiply(int64_t t, int rows, int vectors, int64_t depth, const float* right, float* c) const {
    kTiles[vectors - 1][rows - 1](depth, data + row(t) * depth, kTileRows, right, c);
  }
};

// All blocks of the summation, one after the other.
struct PackedLeftWhole {
  const float* data;
  int64_t rows;

  PackedLeft from(int64_t k) const { return PackedLeft{data + round_up(rows, kTileRows) * k}; }
};

// The rows from `first` on of a matrix in panels, the summation over its columns from `k` on, a multiple of
// kTileCols.
struct RowsOfPanels : EvenTiles {
  Panels matrix;
  int64_t first, k;

  explicit RowsOfPanels(const Panels& panels, int64_t row = 0, int64_t start = 0)
      : matrix(panels), first(row), k(start) {}
  RowsOfPanels from(int64_t start) const { return RowsOfPanels{matrix, first, start}; }
  void multiply(int64_t t, int rows, int vectors, int64_t depth, const float* right, float* c) const {
    const int64_t i = first + row(t);
    const float* const half = matrix.panel(matrix.columns / kTileCols) + i * kLanes;
    kRowTiles[vectors - 1][rows - 1](depth, matrix.panel(k / kTileCols) + i * kTileCols, kTileCols * matrix.rows,
                                     half, right, c);
  }
};

// The columns of a matrix in panels, the summation over the rows from `k` on. A panel is cut into tiles by
// itself: 32 columns are 12, 12 and 8.
struct ColumnsOfPanels {
  Panels matrix;
  int64_t k = 0;

  ColumnsOfPanels from(int64_t start) const { return {matrix, start}; }
  static constexpr int64_t kPerPanel = (kTileCols + kTileRows - 1) / kTileRows;
  static int64_t tiles(int64_t columns) {
    return columns / kTileCols * kPerPanel + ceil_div(columns % kTileCols, kTileRows);
  }
  static int64_t row(int64_t t) { return t / kPerPanel * kTileCols + t % kPerPanel * kTileRows; }
  static int64_t height(int64_t t) { return imin(kTileRows, kTileCols - t % kPerPanel * kTileRows); }
  void multiply(int64_t t, int rows, int vectors, int64_t depth, const float* right, float* c) const {
    const int64_t j = row(t);
    kTiles[vectors - 1][rows - 1](depth, matrix.at(k, j), matrix.width(j / kTileCols), right, c);
  }
};

}  // namespace VIT_ISA
}  // namespace vit

// The one matrix product of the library: C = epilogue(A B), with A and B packed on the way (pack.h), the
// inner product in microkernel.h, and bias, LayerScale, residual, GELU or its derivative applied while a tile
// of C is still in the first-level cache.
//
// Loops, outermost first, for C (m x n) and summation length k:
//   columns by kMaxColumns, rows by kMaxRows     what is packed at once: bounds the scratch
//     k by about kMaxDepth                       one block of packed A and B, added to C in memory
//       [all threads pack a share, then meet]
//       rows by kResidentFloats / depth          the part of A that stays in the second-level cache
//         panels of B, then tiles of A           register tiles
// Why these numbers: a tile step reads 12 + 32 floats for 24 multiply-adds of 16 lanes, 7 bytes per cycle,
// which the second-level cache can deliver, so panels need not fit in the first level and the depth can be
// long. A long depth means few passes over C, which is what would otherwise reach memory.
//
// When A is small (batch 1) packing B would be a tenth of the work and B too large to stay anywhere near.
// Then each thread packs one panel at a time, uses it while it is in the second-level cache, and prefetches
// the source of the next one meanwhile.
//
// Threads divide C, never the summation, and the blocks of the summation depend on its length alone: results
// are the same bits for every number of threads, and whichever thread takes which piece.
#pragma once

#include <omp.h>

#include "operands.h"
#include "pack.h"

namespace vit {
namespace VIT_ISA {

constexpr int64_t kMaxDepth = 1024;
constexpr int64_t kMaxRows = 2016;               // a multiple of every kTileRows
constexpr int64_t kMaxColumns = 3072;            // a multiple of every kTileCols
constexpr int64_t kResidentFloats = 64 * 1024;   // of A, in the second-level cache while B streams past
constexpr int64_t kStreamedFloats = 208 * 1024;  // of A, for B to be packed panel by panel

// Depth of the blocks that k is cut into, even rather than one short remainder, and whole panels (RowsOfPanels).
VIT_INLINE int64_t block_depth(int64_t k) {
  const int64_t blocks = ceil_div(k, kMaxDepth);
  return blocks == 0 ? 0 : imin(k, round_up(ceil_div(k, blocks), kTileCols));
}

// Floats of a packed left or right operand block.
VIT_INLINE int64_t left_floats(int64_t rows, int64_t depth) { return round_up(rows, kTileRows) * depth; }
VIT_INLINE int64_t right_floats(int64_t columns, int64_t depth) { return round_up(columns, kLanes) * depth; }

VIT_INLINE int64_t gemm_left_floats(int64_t m, int64_t depth) {
  return round_up(left_floats(imin(m, kMaxRows), depth), 16);
}
// Enough for every product of at most this size, whatever depth its blocks have.
VIT_INLINE int64_t gemm_scratch(int64_t m, int64_t n, int64_t k) {
  const int64_t depth = imin(k, kMaxDepth);
  return gemm_left_floats(m, depth) + right_floats(imin(n, kMaxColumns), depth);
}

// Packs panels of a block: those in `panels`, each to its place in `packed`, or a single right one.
template <class Operand>
void pack_left(const Operand& operand, float* packed, Range panels, int64_t row, int64_t rows, int64_t k,
               int64_t depth) {
  for (int64_t d = 0; d < depth;) {
    const int64_t slab = imin(Operand::kSlab, depth - d);
    for (int64_t p = panels.begin; p < panels.end; ++p) {
      const int64_t i = p * kTileRows;
      float* const to = packed + i * depth + d * kTileRows;
      operand.template pack<kTileRows>(to, row + i, rows - i, k + d, slab);
    }
    d += slab;
  }
}
template <class Operand>
void pack_right_panel(const Operand& operand, float* panel, int64_t column, int64_t columns, int64_t k,
                      int64_t d, int64_t depth) {
  if (panel_vectors(columns) == kTileVectors) {
    operand.template pack<kTileCols>(panel + d * kTileCols, column, columns, k + d, depth);
  } else {
    operand.template pack<kLanes>(panel + d * kLanes, column, columns, k + d, depth);
  }
}
template <class Operand>
void pack_right(const Operand& operand, float* packed, Range panels, int64_t column, int64_t columns,
                int64_t k, int64_t depth) {
  for (int64_t d = 0; d < depth;) {
    const int64_t slab = imin(Operand::kSlab, depth - d);
    for (int64_t p = panels.begin; p < panels.end; ++p) {
      const int64_t j = p * kTileCols;
      pack_right_panel(operand, packed + j * depth, column + j, imin(kTileCols, columns - j), k, d, slab);
    }
    d += slab;
  }
}

// An epilogue has at(i, j), where C is kept, and finish(lanes, sum, i, j), which makes of one vector of sums
// whatever is stored at row i, column j. Before the last block of the summation, sums are stored in C as they
// are. fetch(i, j) asks for the memory that finish will touch in one row of a tile.
struct Store {
  float* c;
  int64_t stride;
  float* at(int64_t i, int64_t j) const { return c + i * stride + j; }
  void fetch(int64_t i, int64_t j) const { fetch_to_write(at(i, j)); }
  template <class Lanes>
  void finish(Lanes lanes, Vec sum, int64_t i, int64_t j) const {
    lanes.store(at(i, j), sum);
  }
};

template <bool kAdd, bool kFinish, class Epilogue, class Lanes>
VIT_INLINE void put(const Epilogue& epilogue, Lanes lanes, Vec sum, int64_t i, int64_t j) {
  float* const c = epilogue.at(i, j);
  if constexpr (kAdd) sum += lanes.load(c);
  if constexpr (kFinish) {
    epilogue.finish(lanes, sum, i, j);
  } else {
    lanes.store(c, sum);
  }
}

// Moves a tile (rows x vectors * kLanes, dense) into C at (i, j), `columns` of it inside the matrix.
template <bool kAdd, bool kFinish, class Epilogue>
void put_tile(const Epilogue& epilogue, const float* tile, int rows, int64_t i, int64_t j, int64_t columns) {
  if (columns == kTileCols) {
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kTileVectors; ++v) {
        put<kAdd, kFinish>(epilogue, AllLanes{}, load(tile + r * kTileCols + v * kLanes), i + r,
                           j + v * kLanes);
      }
    }
    return;
  }
  const int vectors = panel_vectors(columns), width = vectors * kLanes;
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      const FirstLanes lanes{static_cast<int>(imin(kLanes, columns - v * kLanes))};
      put<kAdd, kFinish>(epilogue, lanes, load(tile + r * width + v * kLanes), i + r, j + v * kLanes);
    }
  }
}

// What to do with sums: add what C holds (there were earlier blocks), apply the epilogue (this is the last
// one).
struct Sums {
  bool add, finish;
};

// A rectangle of C measured in tiles of the left operand and panels of kTileCols columns, inside a block whose
// first element is (row, column) and which ends at (row_end, column_end).
struct Block {
  Range tiles, panels;
  int64_t row, row_end, column, column_end;

  int64_t panel_column(int64_t p) const { return column + p * kTileCols; }
  int64_t columns_of(int64_t p) const { return imin(kTileCols, column_end - panel_column(p)); }
};

// One tile: multiply and put away. Memory that the epilogue will touch arrives during the multiplication.
template <class Left, class Epilogue>
void multiply_tile(const Epilogue& epilogue, const Left& left, int64_t t, const float* right, int64_t depth,
                   const Block& b, int64_t p, Sums sums) {
  alignas(64) float tile[kTileRows * kTileCols];
  const int64_t i = b.row + left.row(t), j = b.panel_column(p), columns = b.columns_of(p);
  const int rows = static_cast<int>(imin(left.height(t), b.row_end - i));
  for (int r = 0; r < rows; ++r) epilogue.fetch(i + r, j);
  left.multiply(t, rows, panel_vectors(columns), depth, right, tile);
  if (sums.add) {
    sums.finish ? put_tile<true, true>(epilogue, tile, rows, i, j, columns)
                : put_tile<true, false>(epilogue, tile, rows, i, j, columns);
  } else {
    sums.finish ? put_tile<false, true>(epilogue, tile, rows, i, j, columns)
                : put_tile<false, false>(epilogue, tile, rows, i, j, columns);
  }
}

// The product of operands in panels over a rectangle.
template <class Left, class Epilogue>
void multiply_block(const Epilogue& epilogue, const Left& left, const float* right, int64_t depth,
                    const Block& b, Sums sums) {
  const int64_t resident = imax(1, kResidentFloats / (depth * kTileRows));
  for (int64_t t0 = b.tiles.begin; t0 < b.tiles.end; t0 += resident) {
    const int64_t t1 = imin(b.tiles.end, t0 + resident);
    for (int64_t p = b.panels.begin; p < b.panels.end; ++p) {
      for (int64_t t = t0; t < t1; ++t) {
        multiply_tile(epilogue, left, t, right + p * kTileCols * depth, depth, b, p, sums);
      }
    }
  }
}

// The product over a rectangle from start to end of the summation, whose blocks are all there: `left` has from(k),
// `right` is PackedRight, or Panels of at most kMaxDepth rows.
template <class Left, class Right, class Epilogue>
void multiply_whole(const Epilogue& epilogue, const Left& left, const Right& right, int64_t k, const Block& b,
                    Sums sums) {
  const int64_t step = block_depth(k);
  for (int64_t kk = 0; kk < k; kk += step) {
    const int64_t depth = imin(step, k - kk);
    multiply_block(epilogue, left.from(kk), right.right(0, kk, depth), depth, b,
                   {sums.add || kk > 0, sums.finish && kk + depth == k});
  }
}

// How work is dealt out: in more pieces than threads, each taken by whichever thread is free. A core that
// something else also wants (a loader of images, another program) then takes fewer pieces, where an equal
// share would make all wait for it.
constexpr int64_t kShares = 4;       // pieces per thread, at least
constexpr int64_t kPiecePanels = 8;  // of B in a piece of a product, at most
// The last pieces per thread are cut further, so that no thread waits long for another at the end.
constexpr int64_t kLastPieces = 2;
constexpr int64_t kLastCuts = 4;

// Whether B is packed panel by panel.
VIT_INLINE bool streams(int64_t rows, int64_t depth, int64_t panels) {
  return panels >= kShares * omp_get_num_threads() && left_floats(rows, depth) <= kStreamedFloats;
}

VIT_INLINE int64_t pieces(int64_t count) { return imin(count, kShares * omp_get_num_threads()); }

// Packs a whole block, dealt out. No barrier at the end.
template <class Operand>
void pack_left_team(const Operand& operand, float* packed, int64_t row, int64_t rows, int64_t k,
                    int64_t depth) {
  const int64_t tiles = ceil_div(rows, kTileRows), count = pieces(tiles);
#pragma omp for schedule(dynamic) nowait
  for (int64_t i = 0; i < count; ++i) pack_left(operand, packed, share(tiles, count, i), row, rows, k, depth);
}
template <class Operand>
void pack_right_team(const Operand& operand, float* packed, int64_t column, int64_t columns, int64_t k,
                     int64_t depth) {
  const int64_t panels = ceil_div(columns, kTileCols), count = pieces(panels);
#pragma omp for schedule(dynamic) nowait
  for (int64_t i = 0; i < count; ++i)
    pack_right(operand, packed, share(panels, count, i), column, columns, k, depth);
}

template <class Operand>
PackedRight pack_right_whole_team(const Operand& operand, float* packed, int64_t column, int64_t columns, int64_t k0,
                                  int64_t k) {
  const int64_t step = block_depth(k);
  for (int64_t kk = 0; kk < k; kk += step) {
    pack_right_team(operand, packed + right_floats(columns, kk), column, columns, k0 + kk, imin(step, k - kk));
  }
  return {packed, columns};
}

// A block of C cut into a grid of rectangles, rows of them by columns of them.
struct Grid {
  int64_t down, across;
};
// The rows of a rectangle fit the second-level cache, and there are enough of them for every thread.
VIT_INLINE Grid cut(const Block& b, int64_t depth) {
  const int64_t tiles = b.tiles.end - b.tiles.begin, panels = b.panels.end - b.panels.begin;
  Grid grid{ceil_div(tiles, imax(1, kResidentFloats / (depth * kTileRows))), ceil_div(panels, kPiecePanels)};
  while (grid.down * grid.across < imin(tiles * panels, kShares * omp_get_num_threads())) {
    int64_t& more = tiles * grid.across > panels * grid.down ? grid.down : grid.across;
    more = imin(2 * more, &more == &grid.down ? tiles : panels);
  }
  return grid;
}

// work(piece) for every piece of a block, dealt out. No barrier at the end.
template <class Work>
void deal_team(const Block& block, int64_t depth, const Work& work) {
  const Grid grid = cut(block, depth);
  const int64_t count = grid.down * grid.across, last = imin(count, kLastPieces * omp_get_num_threads());
  const int64_t whole = count - last;
#pragma omp for schedule(dynamic) nowait
  for (int64_t x = 0; x < whole + last * kLastCuts; ++x) {
    const int64_t i = x < whole ? x : whole + (x - whole) / kLastCuts;
    Block piece = block;
    piece.tiles = share(block.tiles.end, grid.down, i / grid.across);
    piece.panels = share(block.panels.end, grid.across, i % grid.across);
    if (x >= whole) piece.panels = share(piece.panels, kLastCuts, (x - whole) % kLastCuts);
    work(piece);
  }
}

// The product of packed operands, dealt out. No barrier at the end.
template <class Left, class Epilogue>
void multiply_team(const Epilogue& epilogue, const Left& left, const float* right, int64_t depth,
                   const Block& block, Sums sums) {
  deal_team(block, depth, [&](const Block& piece) { multiply_block(epilogue, left, right, depth, piece, sums); });
}

// The same with the right operand packed on the way: a thread packs one panel into its own part of `right`,
// uses it, and asks for the source of the next one meanwhile. Panels are dealt out several at a time, for
// neighbours share pages of the source and of C.
template <class Left, class Right, class Epilogue>
void multiply_streamed_team(const Epilogue& epilogue, const Left& left, const Right& operand, float* right,
                            int64_t k, int64_t depth, const Block& b, Sums sums) {
  const int64_t workers = omp_get_num_threads(), run = imax(1, b.panels.end / (kShares * workers));
  float* const panel = right + omp_get_thread_num() * kTileCols * depth;
#pragma omp for schedule(dynamic, run) nowait
  for (int64_t p = 0; p < b.panels.end; ++p) {
    pack_right_panel(operand, panel, b.panel_column(p), b.columns_of(p), k, 0, depth);
    // After the last of a run comes, in all likelihood, the run after those that the other threads have.
    const int64_t next = (p + 1) % run == 0 ? p + 1 + (workers - 1) * run : p + 1;
    for (int64_t t = 0; t < b.tiles.end; ++t) {
      if (next < b.panels.end) {
        operand.fetch(b.panel_column(next), b.columns_of(next), k, depth, b.tiles.end, t);
      }
      multiply_tile(epilogue, left, t, panel, depth, b, p, sums);
    }
  }
}

// The left operand of one block as the register tile reads it: packed by the team, unless it is kept in panels.
template <class Operand>
PackedLeft left_panels(const Operand& a, float* packed, int64_t row, int64_t rows, int64_t k, int64_t depth) {
  pack_left_team(a, packed, row, rows, k, depth);
  return PackedLeft{packed};
}
VIT_INLINE RowsOfPanels left_panels(const RowsOfPanels& a, float*, int64_t row, int64_t, int64_t k, int64_t) {
  return RowsOfPanels{a.matrix, row, k};
}

// The product, called by every thread of a parallel region with the same arguments. A and B are matrices to pack
// (pack.h), or A is RowsOfPanels. `scratch` holds gemm_scratch(m, n, k) floats, 64-byte aligned. `sums` says
// whether C holds sums to start from and whether to apply the epilogue at the end. No barrier at the end: the
// team meets before C is read or the scratch used again.
template <class Left, class Right, class Epilogue>
void gemm_team(int64_t m, int64_t n, int64_t k, const Left& a, const Right& b, const Epilogue& epilogue,
               float* scratch, Sums sums = {false, true}) {
  const int64_t depth_step = block_depth(k);
  float* const packed_left = scratch;
  float* const packed_right = scratch + gemm_left_floats(m, depth_step);
  bool first = true;
  for (int64_t column = 0; column < n; column += kMaxColumns) {
    const int64_t columns = imin(kMaxColumns, n - column), panels = ceil_div(columns, kTileCols);
    for (int64_t row = 0; row < m; row += kMaxRows) {
      const int64_t rows = imin(kMaxRows, m - row);
      const bool streamed = streams(rows, depth_step, panels);
      for (int64_t kk = 0; kk < k; kk += depth_step) {
        const int64_t depth = imin(depth_step, k - kk);
        const Sums now{sums.add || kk > 0, sums.finish && kk + depth == k};
        if (!first) {
#pragma omp barrier
        }
        first = false;
        const auto left = left_panels(a, packed_left, row, rows, kk, depth);
        if (!streamed) pack_right_team(b, packed_right, column, columns, kk, depth);
#pragma omp barrier
        const Block block{{0, left.tiles(rows)}, {0, panels}, row, row + rows, column, column + columns};
        if (streamed) {
          multiply_streamed_team(epilogue, left, b, packed_right, kk, depth, block, now);
        } else {
          multiply_team(epilogue, left, packed_right, depth, block, now);
        }
      }
    }
  }
}

// The same for operands that are all in panels (multiply_whole): a piece of C is one thread's work, nobody waits.
template <class Left, class Right, class Epilogue>
void panel_gemm_team(int64_t m, int64_t n, int64_t k, const Left& a, const Right& b, const Epilogue& epilogue,
                     Sums sums = {false, true}) {
  const Block block{{0, a.tiles(m)}, {0, ceil_div(n, kTileCols)}, 0, m, 0, n};
  deal_team(block, block_depth(k), [&](const Block& piece) { multiply_whole(epilogue, a, b, k, piece, sums); });
}

}  // namespace VIT_ISA
}  // namespace vit

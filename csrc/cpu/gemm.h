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
// Threads divide C, never the summation, and the blocks depend on the shape alone: results are the same bits
// for every number of threads.
#pragma once

#include <omp.h>

#include "microkernel.h"
#include "pack.h"

namespace vit {
namespace VIT_ISA {

constexpr int64_t kMaxDepth = 1024;
constexpr int64_t kMaxRows = 2016;               // a multiple of every kTileRows
constexpr int64_t kMaxColumns = 3072;            // a multiple of every kTileCols
constexpr int64_t kResidentFloats = 96 * 1024;   // of A, in the second-level cache while B streams past
constexpr int64_t kStreamedFloats = 208 * 1024;  // of A, for B to be packed panel by panel

// Depth of the blocks that k is cut into, even rather than one short remainder.
VIT_INLINE int64_t block_depth(int64_t k) {
  const int64_t blocks = ceil_div(k, kMaxDepth);
  return blocks == 0 ? 0 : imin(k, round_up(ceil_div(k, blocks), 16));
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
      operand.template pack<kTileRows>(to, row + i, imin(kTileRows, rows - i), k + d, slab);
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

// An epilogue has `c`, `stride` and finish(lanes, sum, i, j), which makes of one vector of sums whatever is
// stored at row i, column j. Before the last block of the summation, sums are stored in c as they are.
struct Store {
  float* c;
  int64_t stride;
  template <class Lanes>
  void finish(Lanes lanes, Vec sum, int64_t i, int64_t j) const {
    lanes.store(c + i * stride + j, sum);
  }
};

template <bool kAdd, bool kFinish, class Epilogue, class Lanes>
VIT_INLINE void put(const Epilogue& epilogue, Lanes lanes, Vec sum, int64_t i, int64_t j) {
  float* const c = epilogue.c + i * epilogue.stride + j;
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

// One tile: multiply and put away. The cache lines of C are asked for before the multiplication needs the
// time.
template <class Epilogue>
void multiply_tile(const Epilogue& epilogue, const float* left, const float* right, int64_t depth, int rows,
                   int64_t i, int64_t j, int64_t columns, Sums sums) {
  alignas(64) float tile[kTileRows * kTileCols];
  const float* const c = epilogue.c + i * epilogue.stride + j;
  for (int r = 0; r < rows; ++r) {
    for (int line = 0; line <= kTileCols; line += 16) __builtin_prefetch(c + r * epilogue.stride + line, 1);
  }
  kTiles[panel_vectors(columns) - 1][rows - 1](depth, left, right, tile);
  if (sums.add) {
    sums.finish ? put_tile<true, true>(epilogue, tile, rows, i, j, columns)
                : put_tile<true, false>(epilogue, tile, rows, i, j, columns);
  } else {
    sums.finish ? put_tile<false, true>(epilogue, tile, rows, i, j, columns)
                : put_tile<false, false>(epilogue, tile, rows, i, j, columns);
  }
}

// A rectangle of C measured in tiles: rows of kTileRows, panels of kTileCols, inside a block whose first
// element is (row, column) and which ends at (row_end, column_end).
struct Block {
  Range tiles, panels;
  int64_t row, row_end, column, column_end;

  int64_t tile_row(int64_t t) const { return row + t * kTileRows; }
  int rows_of(int64_t t) const { return static_cast<int>(imin(kTileRows, row_end - tile_row(t))); }
  int64_t panel_column(int64_t p) const { return column + p * kTileCols; }
  int64_t columns_of(int64_t p) const { return imin(kTileCols, column_end - panel_column(p)); }
};

// The product of packed operands over a rectangle.
template <class Epilogue>
void multiply_block(const Epilogue& epilogue, const float* left, const float* right, int64_t depth,
                    const Block& b, Sums sums) {
  const int64_t resident = imax(1, kResidentFloats / (depth * kTileRows));
  for (int64_t t0 = b.tiles.begin; t0 < b.tiles.end; t0 += resident) {
    const int64_t t1 = imin(b.tiles.end, t0 + resident);
    for (int64_t p = b.panels.begin; p < b.panels.end; ++p) {
      for (int64_t t = t0; t < t1; ++t) {
        multiply_tile(epilogue, left + t * kTileRows * depth, right + p * kTileCols * depth, depth,
                      b.rows_of(t), b.tile_row(t), b.panel_column(p), b.columns_of(p), sums);
      }
    }
  }
}

// The same with the right operand packed here, panel by panel into `panel`, and its next panel prefetched.
template <class Right, class Epilogue>
void multiply_streamed(const Epilogue& epilogue, const float* left, const Right& operand, float* panel,
                       int64_t k, int64_t depth, const Block& b, Sums sums) {
  const int64_t tiles = b.tiles.end - b.tiles.begin;
  for (int64_t p = b.panels.begin; p < b.panels.end; ++p) {
    pack_right_panel(operand, panel, b.panel_column(p), b.columns_of(p), k, 0, depth);
    for (int64_t t = b.tiles.begin; t < b.tiles.end; ++t) {
      if (p + 1 < b.panels.end) {
        operand.fetch(b.panel_column(p + 1), b.columns_of(p + 1), k, depth, tiles, t - b.tiles.begin);
      }
      multiply_tile(epilogue, left + t * kTileRows * depth, panel, depth, b.rows_of(t), b.tile_row(t),
                    b.panel_column(p), b.columns_of(p), sums);
    }
  }
}

// The rectangle of tiles x panels that one of `workers` computes. Of the ways to lay the workers out as a
// grid, the one whose largest rectangle is smallest; among equals the one that divides columns, because then
// each thread reads its own part of B, the operand that is streamed.
// Returns whether rows are undivided, which is the same answer for all workers.
VIT_INLINE bool divide(int64_t tiles, int64_t panels, int workers, int worker, Block* block) {
  int best = 1;
  int64_t best_size = tiles * ceil_div(panels, workers);
  for (int down = 2; down <= workers; ++down) {
    if (workers % down != 0) continue;
    const int64_t size = ceil_div(tiles, down) * ceil_div(panels, workers / down);
    if (size < best_size) {
      best = down;
      best_size = size;
    }
  }
  block->tiles = share(tiles, best, worker % best);
  block->panels = share(panels, workers / best, worker / best);
  return best == 1;
}

// The product, called by every thread of a parallel region with the same arguments. `scratch` holds
// gemm_scratch(m, n, k) floats, 64-byte aligned. `sums` says whether C holds sums to start from and whether
// to apply the epilogue at the end. All threads have finished with C when it returns.
template <class Left, class Right, class Epilogue>
void gemm_team(int64_t m, int64_t n, int64_t k, const Left& a, const Right& b, const Epilogue& epilogue,
               float* scratch, Sums sums = {false, true}) {
  const int workers = omp_get_num_threads(), worker = omp_get_thread_num();
  const int64_t depth_step = block_depth(k);
  float* const left = scratch;
  float* const right = scratch + gemm_left_floats(m, depth_step);
  for (int64_t column = 0; column < n; column += kMaxColumns) {
    const int64_t columns = imin(kMaxColumns, n - column), panels = ceil_div(columns, kTileCols);
    for (int64_t row = 0; row < m; row += kMaxRows) {
      const int64_t rows = imin(kMaxRows, m - row), tiles = ceil_div(rows, kTileRows);
      Block block{{0, 0}, {0, 0}, row, row + rows, column, column + columns};
      const bool own_panels = divide(tiles, panels, workers, worker, &block);
      const bool streamed = own_panels && left_floats(rows, depth_step) <= kStreamedFloats;
      for (int64_t kk = 0; kk < k; kk += depth_step) {
        const int64_t depth = imin(depth_step, k - kk);
        const Sums now{sums.add || kk > 0, sums.finish && kk + depth == k};
        pack_left(a, left, share(tiles, workers, worker), row, rows, kk, depth);
        if (!streamed) pack_right(b, right, share(panels, workers, worker), column, columns, kk, depth);
#pragma omp barrier
        if (streamed) {
          float* const mine = right + block.panels.begin * kTileCols * depth_step;
          multiply_streamed(epilogue, left, b, mine, kk, depth, block, now);
        } else {
          multiply_block(epilogue, left, right, depth, block, now);
        }
#pragma omp barrier
      }
    }
  }
}

}  // namespace VIT_ISA
}  // namespace vit

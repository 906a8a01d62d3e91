// The register tile: rows x (vectors * kLanes) sums of products, the only place where the library multiplies
// matrices. Everything above it (gemm.h, attention) packs its operands into panels and calls it.
//
// A panel of the left operand holds kTileRows rows, a panel of the right one `width` columns, both with the
// summation index outermost, so each step reads kTileRows + width neighbouring floats and does
// kTileRows * width multiply-adds from registers. The sizes are what fills the register file:
//   AVX-512  12 x 2 x 16: 24 sums + 2 columns + broadcast = 27 of 32 registers
//   AVX2      6 x 2 x  8: 12 sums + 2 + 1 = 15 of 16
//   NEON      8 x 2 x  4: 16 sums + 2 + 2 quads of rows = 20 of 32
//   SSE2      4 x 2 x  4:  8 sums + 2 + broadcast + product = 12 of 16
// For the edges there is one instance per number of rows and vectors. Each element is the same sequence of
// operations in every instance, so where a tile falls, and hence the number of threads, cannot change a bit.
#pragma once

#include "simd.h"

namespace vit {
namespace VIT_ISA {

#if VIT_LANES == 16
#define VIT_TILE_ROWS 12
#elif VIT_LANES == 8
#define VIT_TILE_ROWS 6
#elif defined(__aarch64__)
#define VIT_TILE_ROWS 8
#else
#define VIT_TILE_ROWS 4
#endif
constexpr int kTileRows = VIT_TILE_ROWS;
constexpr int kTileVectors = 2;
constexpr int kTileCols = kTileVectors * kLanes;

// c[rows][width] = sum over k < depth of left[k][row] * right[k][col]; left has `left_width` floats per k, of
// which the first `rows` are used, right has width = vectors * kLanes, c is dense.
typedef void (*TileFunction)(int64_t depth, const float* left, int64_t left_width, const float* right, float* c);

// [vectors - 1][rows - 1]
extern const TileFunction kTiles[kTileVectors][kTileRows];

// The same for a left operand whose rows were the output of such tiles: a panel per kTileCols steps of the
// summation, `panel_stride` floats apart, each holding the kTileCols values of every row side by side, and a
// last one in `half` with kLanes values per row where no more than that are left (panel_vectors).
typedef void (*RowTileFunction)(int64_t depth, const float* left, int64_t panel_stride, const float* half,
                                const float* right, float* c);
extern const RowTileFunction kRowTiles[kTileVectors][kTileRows];

// Panels are kTileCols wide except that a last one with kLanes columns or fewer is half as wide.
VIT_INLINE int panel_vectors(int64_t columns_left) { return columns_left > kLanes ? kTileVectors : 1; }

}  // namespace VIT_ISA
}  // namespace vit

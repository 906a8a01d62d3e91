// Instances of the register tile described in microkernel.h.
#include "microkernel.h"

namespace vit {
namespace VIT_ISA {
namespace {

// sum += one step of the summation; the rows of the left operand are kRowStride apart.
template <int kRowStride, int kRows, int kVectors>
VIT_INLINE void step(Vec (&sum)[kRows][kVectors], const float* left, const float* right) {
  Vec column[kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) column[v] = load(right + v * kLanes);
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    const Vec row = broadcast(left[r * kRowStride]);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[r][v] += row * column[v];
  }
}

template <int kRows, int kVectors>
VIT_INLINE void store_sums(const Vec (&sum)[kRows][kVectors], float* c) {
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(c + (r * kVectors + v) * kLanes, sum[r][v]);
  }
}

template <int kRows, int kVectors>
void tile(int64_t depth, const float* left, int64_t left_width, const float* right, float* c) {
  Vec sum[kRows][kVectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    step<1>(sum, left, right);
    left += left_width;
    right += kVectors * kLanes;
  }
  store_sums(sum, c);
}

template <int kRows, int kVectors>
void row_tile(int64_t depth, const float* left, int64_t panel_stride, const float* half, const float* right,
              float* c) {
  Vec sum[kRows][kVectors] = {};
  for (; depth > kLanes; depth -= kTileCols) {
    const int64_t steps = imin(depth, kTileCols);
    for (int64_t k = 0; k < steps; ++k) {
      step<kTileCols>(sum, left + k, right);
      right += kVectors * kLanes;
    }
    left += panel_stride;
  }
  for (int64_t k = 0; k < depth; ++k) {
    step<kLanes>(sum, half + k, right);
    right += kVectors * kLanes;
  }
  store_sums(sum, c);
}

}  // namespace

#define VIT_ROWS_1_TO_4(f, v) f<1, v>, f<2, v>, f<3, v>, f<4, v>
#define VIT_ROWS_1_TO_6(f, v) VIT_ROWS_1_TO_4(f, v), f<5, v>, f<6, v>
#define VIT_ROWS_1_TO_8(f, v) VIT_ROWS_1_TO_6(f, v), f<7, v>, f<8, v>
#define VIT_ROWS_1_TO_12(f, v) VIT_ROWS_1_TO_8(f, v), f<9, v>, f<10, v>, f<11, v>, f<12, v>
#if VIT_TILE_ROWS == 12
#define VIT_ALL_ROWS VIT_ROWS_1_TO_12
#elif VIT_TILE_ROWS == 8
#define VIT_ALL_ROWS VIT_ROWS_1_TO_8
#elif VIT_TILE_ROWS == 6
#define VIT_ALL_ROWS VIT_ROWS_1_TO_6
#else
#define VIT_ALL_ROWS VIT_ROWS_1_TO_4
#endif

const TileFunction kTiles[kTileVectors][kTileRows] = {{VIT_ALL_ROWS(tile, 1)}, {VIT_ALL_ROWS(tile, 2)}};
const RowTileFunction kRowTiles[kTileVectors][kTileRows] = {{VIT_ALL_ROWS(row_tile, 1)},
                                                            {VIT_ALL_ROWS(row_tile, 2)}};

}  // namespace VIT_ISA
}  // namespace vit

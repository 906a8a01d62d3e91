// Instances of the register tile described in microkernel.h.
#include "microkernel.h"

namespace vit {
namespace VIT_ISA {
namespace {

template <int kRows, int kVectors>
void tile(int64_t depth, const float* left, const float* right, float* c) {
  Vec sum[kRows][kVectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vec column[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) column[v] = load(right + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const Vec row = broadcast(left[r]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[r][v] += row * column[v];
    }
    left += kTileRows;
    right += kVectors * kLanes;
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(c + (r * kVectors + v) * kLanes, sum[r][v]);
  }
}

}  // namespace

#define VIT_ROWS_1_TO_4(v) tile<1, v>, tile<2, v>, tile<3, v>, tile<4, v>
#define VIT_ROWS_1_TO_6(v) VIT_ROWS_1_TO_4(v), tile<5, v>, tile<6, v>
#define VIT_ROWS_1_TO_8(v) VIT_ROWS_1_TO_6(v), tile<7, v>, tile<8, v>
#define VIT_ROWS_1_TO_12(v) VIT_ROWS_1_TO_8(v), tile<9, v>, tile<10, v>, tile<11, v>, tile<12, v>
#if VIT_TILE_ROWS == 12
#define VIT_ALL_ROWS VIT_ROWS_1_TO_12
#elif VIT_TILE_ROWS == 8
#define VIT_ALL_ROWS VIT_ROWS_1_TO_8
#elif VIT_TILE_ROWS == 6
#define VIT_ALL_ROWS VIT_ROWS_1_TO_6
#else
#define VIT_ALL_ROWS VIT_ROWS_1_TO_4
#endif

const TileFunction kTiles[kTileVectors][kTileRows] = {{VIT_ALL_ROWS(1)}, {VIT_ALL_ROWS(2)}};

}  // namespace VIT_ISA
}  // namespace vit

// Column sums of a row-major matrix: the gradient of a bias.
#pragma once

#include <omp.h>

#include "simd.h"

namespace vit {
namespace VIT_ISA {

// Rows added up before they join the total, which keeps the rounding error of tall matrices small.
constexpr int64_t kSumRows = 128;

template <class Lanes>
void sum_columns_at(const float* x, int64_t rows, int64_t stride, Lanes lanes, float* sums, bool accumulate) {
  Vec total = accumulate ? lanes.load(sums) : Vec{};
  for (int64_t r0 = 0; r0 < rows; r0 += kSumRows) {
    Vec part = {};
    const int64_t r1 = imin(rows, r0 + kSumRows);
    for (int64_t r = r0; r < r1; ++r) part += lanes.load(x + r * stride);
    total += part;
  }
  lanes.store(sums, total);
}

// sums[j] (+)= sum of x[:, j] for a matrix of rows x width whose rows are `stride` apart. Called by every thread of a parallel region; each takes some of the columns, so
// the order of additions does not depend on their number. Four registers of columns at a time use whole cache
// lines and give the additions independent chains. No barrier at the end.
VIT_INLINE void sum_columns_team(const float* x, int64_t rows, int64_t width, int64_t stride, float* sums,
                                 bool accumulate) {
  constexpr int kVectors = 4;
  constexpr int64_t kStrip = kVectors * kLanes;
  const Range strips = share(ceil_div(width, kStrip), omp_get_num_threads(), omp_get_thread_num());
  for (int64_t s = strips.begin; s < strips.end; ++s) {
    const int64_t j0 = s * kStrip;
    if (j0 + kStrip <= width) {
      Vec total[kVectors];
      for (int v = 0; v < kVectors; ++v) total[v] = accumulate ? load(sums + j0 + v * kLanes) : Vec{};
      for (int64_t r0 = 0; r0 < rows; r0 += kSumRows) {
        Vec part[kVectors] = {};
        const int64_t r1 = imin(rows, r0 + kSumRows);
        for (int64_t r = r0; r < r1; ++r) {
          for (int v = 0; v < kVectors; ++v) part[v] += load(x + r * stride + j0 + v * kLanes);
        }
        for (int v = 0; v < kVectors; ++v) total[v] += part[v];
      }
      for (int v = 0; v < kVectors; ++v) store(sums + j0 + v * kLanes, total[v]);
    } else {
      for (int64_t j = j0; j < width; j += kLanes) {
        const FirstLanes lanes{static_cast<int>(imin(kLanes, width - j))};
        sum_columns_at(x + j, rows, stride, lanes, sums + j, accumulate);
      }
    }
  }
}

}  // namespace VIT_ISA
}  // namespace vit

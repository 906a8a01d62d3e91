// Column sums of a row-major matrix: the gradient of a bias.
#pragma once

#include <omp.h>

#include "simd.h"

namespace vit {
namespace VIT_ISA {

// Rows added up before they join the total, which keeps the rounding error of tall matrices small, and
// columns handled at a time: long enough runs of each row for the hardware to prefetch, short enough for the
// first-level cache.
constexpr int64_t kSumRows = 128;
constexpr int64_t kSumColumns = 1024;

// part[0 .. lanes) += kRows consecutive rows, at one vector of columns.
template <int kRows, class Lanes>
VIT_INLINE void add_rows(const float* x, int64_t stride, Lanes lanes, float* part) {
  Vec sum = lanes.load(x);
#pragma GCC unroll 4
  for (int r = 1; r < kRows; ++r) sum += lanes.load(x + r * stride);
  lanes.store(part, lanes.load(part) + sum);
}
template <int kRows>
VIT_INLINE void add_rows(const float* x, int64_t stride, int64_t columns, float* part) {
  int64_t j = 0;
  for (; j + kLanes <= columns; j += kLanes) add_rows<kRows>(x + j, stride, AllLanes{}, part + j);
  if (j < columns) add_rows<kRows>(x + j, stride, FirstLanes{static_cast<int>(columns - j)}, part + j);
}

// sums[j] (+)= sum of x[:, j] for a matrix of rows x columns, at most kSumColumns, whose rows are `stride` apart.
VIT_INLINE void sum_columns(const float* x, int64_t rows, int64_t columns, int64_t stride, float* sums,
                            bool accumulate) {
  alignas(64) float part[kSumColumns];
  if (!accumulate) {
    for (int64_t j = 0; j < columns; ++j) sums[j] = 0.0f;
  }
  for (int64_t r0 = 0; r0 < rows; r0 += kSumRows) {
    for (int64_t j = 0; j < columns; ++j) part[j] = 0.0f;
    const int64_t r1 = imin(rows, r0 + kSumRows);
    int64_t r = r0;
    for (; r + 4 <= r1; r += 4) add_rows<4>(x + r * stride, stride, columns, part);
    for (; r < r1; ++r) add_rows<1>(x + r * stride, stride, columns, part);
    for (int64_t j = 0; j < columns; ++j) sums[j] += part[j];
  }
}

// sums = column sums of a matrix of rows x width whose rows are `stride` apart. Called by every thread of a
// parallel region; each takes some of the columns, so the order of additions does not depend on their number.
// No barrier at the end.
VIT_INLINE void sum_columns_team(const float* x, int64_t rows, int64_t width, int64_t stride, float* sums) {
  constexpr int64_t kGrain = 64;
  const Range grains = share(ceil_div(width, kGrain), omp_get_num_threads(), omp_get_thread_num());
  const int64_t end = imin(width, grains.end * kGrain);
  for (int64_t j = grains.begin * kGrain; j < end; j += kSumColumns) {
    sum_columns(x + j, rows, imin(kSumColumns, end - j), stride, sums + j, false);
  }
}

}  // namespace VIT_ISA
}  // namespace vit

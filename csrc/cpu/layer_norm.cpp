// layer_norm and add_layer_norm, forward and backward.
//
// Fused: the residual sum, both statistics, and the affine map read and write each row once from memory; the
// second and third sweep over a row find it in the first-level cache. The variance is the mean of squared
// distances from the mean (two sweeps), not E[x^2] - E[x]^2, which loses everything when the mean is large.
// Ba, Kiros and Hinton, "Layer Normalization", 2016, equation 3.
#include <math.h>

#include "column_sum.h"
#include "isa_kernels.h"
#include "runtime.h"
#include "team.h"

namespace vit {
namespace VIT_ISA {
namespace {

constexpr int kVectors = 4;  // independent sums: the latency of an addition is 3 to 4 cycles
constexpr int64_t kStep = kVectors * kLanes;

// Calls body(lanes, j, v) for every vector of a row; v in [0, kVectors) says which running sum to use.
template <class Body>
VIT_INLINE void for_row(int64_t width, Body body) {
  int64_t j = 0;
  for (; j + kStep <= width; j += kStep) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) body(AllLanes{}, j + v * kLanes, v);
  }
  for (; j + kLanes <= width; j += kLanes) body(AllLanes{}, j, 0);
  if (j < width) body(FirstLanes{static_cast<int>(width - j)}, j, 0);
}
VIT_INLINE float total(const Vec (&part)[kVectors]) {
  return sum_lanes((part[0] + part[1]) + (part[2] + part[3]));
}

template <bool kResidual>
bool forward(const LayerNormForward& a) {
  const float inverse_width = 1.0f / static_cast<float>(a.width);
  on_team(threads_for(8 * a.rows * a.width), [&] {
#pragma omp for schedule(dynamic, 16)
    for (int64_t row = 0; row < a.rows; ++row) {
      const float* x = a.x + row * a.width;
      float* const y = a.y + row * a.width;
      Vec part[kVectors] = {};
      if constexpr (kResidual) {
        const float* const residual = a.residual + row * a.width;
        float* const sum = a.sum + row * a.width;
        for_row(a.width, [&](auto lanes, int64_t j, int v) {
          const Vec s = lanes.load(x + j) + lanes.load(residual + j);
          lanes.store(sum + j, s);
          part[v] += s;
        });
        x = sum;
      } else {
        for_row(a.width, [&](auto lanes, int64_t j, int v) { part[v] += lanes.load(x + j); });
      }
      const float mean = total(part) * inverse_width;
      Vec square[kVectors] = {};
      for_row(a.width, [&](auto lanes, int64_t j, int v) {
        const Vec d = lanes.keep(lanes.load(x + j) - mean);
        square[v] += d * d;
      });
      const float rstd = 1.0f / sqrtf(total(square) * inverse_width + a.epsilon);
      for_row(a.width, [&](auto lanes, int64_t j, int) {
        const Vec normalized = (lanes.load(x + j) - mean) * rstd;
        lanes.store(y + j, normalized * lanes.load(a.gamma + j) + lanes.load(a.beta + j));
      });
      a.mean[row] = mean;
      a.rstd[row] = rstd;
    }
  });
  return true;
}

}  // namespace

bool layer_norm_forward(const LayerNormForward& a) {
  return a.residual ? forward<true>(a) : forward<false>(a);
}

namespace {

// The parameter gradients are sums over rows: each chunk of rows adds up its own, and the chunks are added in
// order afterwards. How rows fall into chunks depends on their number alone, never on the threads.
constexpr int64_t kMaxChunks = 256;
constexpr int64_t kMinChunkRows = 16;

// With n = (x - mean) rstd and g = dy gamma:  dx = rstd (g - mean(g) - n mean(g n)) [+ dsum]
template <bool kSum>
void backward_rows(const LayerNormBackward& a, Range rows, float* dgamma, float* dbeta) {
  const float inverse_width = 1.0f / static_cast<float>(a.width);
  for_row(a.width, [&](auto lanes, int64_t j, int) {
    lanes.store(dgamma + j, Vec{});
    lanes.store(dbeta + j, Vec{});
  });
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const float* const x = a.x + row * a.width;
    const float* const dy = a.dy + row * a.width;
    float* const dx = a.dx + row * a.width;
    const float mean = a.mean[row], rstd = a.rstd[row];
    Vec sum_g[kVectors] = {}, sum_gn[kVectors] = {};
    for_row(a.width, [&](auto lanes, int64_t j, int v) {
      const Vec d = lanes.load(dy + j), n = (lanes.load(x + j) - mean) * rstd,
                g = d * lanes.load(a.gamma + j);
      sum_g[v] += g;
      sum_gn[v] += g * n;
      lanes.store(dgamma + j, lanes.load(dgamma + j) + d * n);
      lanes.store(dbeta + j, lanes.load(dbeta + j) + d);
    });
    const float mean_g = total(sum_g) * inverse_width, mean_gn = total(sum_gn) * inverse_width;
    for_row(a.width, [&](auto lanes, int64_t j, int) {
      const Vec n = (lanes.load(x + j) - mean) * rstd, g = lanes.load(dy + j) * lanes.load(a.gamma + j);
      Vec d = (g - mean_g - n * mean_gn) * rstd;
      if constexpr (kSum) d += lanes.load(a.dsum + row * a.width + j);
      lanes.store(dx + j, d);
    });
  }
}

}  // namespace

bool layer_norm_backward(const LayerNormBackward& a) {
  const int64_t chunk = imax(kMinChunkRows, ceil_div(a.rows, kMaxChunks));
  const int64_t chunks = ceil_div(a.rows, chunk);
  const size_t width = Scratch::padded(static_cast<size_t>(a.width));
  Scratch scratch(2 * width * static_cast<size_t>(imax(1, chunks)));
  if (!scratch.data()) return false;
  float* const parts = scratch.data();  // per chunk: dgamma, dbeta
  const int64_t stride = 2 * static_cast<int64_t>(width);
  on_team(threads_for(12 * a.rows * a.width), [&] {
#pragma omp for schedule(dynamic)
    for (int64_t c = 0; c < chunks; ++c) {
      const Range rows{c * chunk, imin(a.rows, (c + 1) * chunk)};
      float* const dgamma = parts + c * stride;
      float* const dbeta = dgamma + width;
      a.dsum ? backward_rows<true>(a, rows, dgamma, dbeta) : backward_rows<false>(a, rows, dgamma, dbeta);
    }
    sum_columns_team(parts, chunks, a.width, stride, a.dgamma);
    sum_columns_team(parts + width, chunks, a.width, stride, a.dbeta);
  });
  return true;
}

}  // namespace VIT_ISA
}  // namespace vit

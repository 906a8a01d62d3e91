// linear: y = residual + scale * (x w^T + bias) and its gradients.
//
// Fused because in a transformer block every linear layer is followed by a bias, and two of the four by
// LayerScale and the residual sum as well: done in the epilogue of the product they cost no pass over memory.
// A missing operand is a template parameter, not a test.
#include "column_sum.h"
#include "epilogues.h"
#include "gemm.h"
#include "isa_kernels.h"
#include "runtime.h"
#include "team.h"

namespace vit {
namespace VIT_ISA {
namespace {

template <bool kBias, bool kScale, bool kResidual>
bool forward(const LinearForward& a) {
  Scratch scratch(static_cast<size_t>(gemm_scratch(a.rows, a.out, a.in)));
  if (!scratch.data()) return false;
  const DepthInner<Same> x{a.x, a.in, {}}, weight{a.weight, a.in, {}};
  const LinearEpilogue<kBias, kScale, kResidual> epilogue{a.y, a.out, a.bias, a.scale, a.residual};
  on_team(threads_for(a.rows * a.in * a.out),
          [&] { gemm_team(a.rows, a.out, a.in, x, weight, epilogue, scratch.data()); });
  return true;
}

template <bool kBias, bool kScale>
bool forward(const LinearForward& a) {
  return a.residual ? forward<kBias, kScale, true>(a) : forward<kBias, kScale, false>(a);
}
template <bool kBias>
bool forward(const LinearForward& a) {
  return a.scale ? forward<kBias, true>(a) : forward<kBias, false>(a);
}
}  // namespace

bool linear_forward(const LinearForward& a) {
  if (a.rows == 0) return true;
  return a.bias ? forward<true>(a) : forward<false>(a);
}

namespace {

// dot(w, g) over one row, for the gradient of the scale; then g becomes the gradient of the weight.
float scale_row(const float* w, float* g, float factor, int64_t n) {
  Vec dot = {};
  int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes) {
    const Vec v = load(g + k);
    dot += load(w + k) * v;
    store(g + k, v * factor);
  }
  if (k < n) {
    const FirstLanes lanes{static_cast<int>(n - k)};
    const Vec v = lanes.load(g + k);
    dot += lanes.load(w + k) * v;
    lanes.store(g + k, v * factor);
  }
  return sum_lanes(dot);
}

// With G = dy^T x and s = the column sums of dy:
//   dx = (dy * scale) w       dw_j = scale_j G_j       db_j = scale_j s_j       dscale_j = w_j . G_j + b_j
//   s_j
// so one product gives both the gradient of the weight and that of the scale, and y is not needed.
template <class WeightFunction>
void backward_team(const LinearBackward& a, WeightFunction scaled, float* sums, float* scratch) {
  if (a.dbias || a.scale) sum_columns_team(a.dy, a.rows, a.out, a.out, sums);  // first: dy comes into the caches
  if (a.dx) {
    const DepthInner<Same> dy_rows{a.dy, a.out, {}};
    const DepthOuter<WeightFunction> weight{a.weight, a.in, scaled};
    gemm_team(a.rows, a.in, a.out, dy_rows, weight, Store{a.dx, a.in}, scratch);
  }
#pragma omp barrier  // the next product uses the same scratch
  if (a.dweight) {
    const DepthOuter<Same> dy_columns{a.dy, a.out, {}}, x{a.x, a.in, {}};
    gemm_team(a.out, a.in, a.rows, dy_columns, x, Store{a.dweight, a.in}, scratch);
  }
#pragma omp barrier  // what follows reads dweight and the sums of other threads
  const Range mine = share(a.out, omp_get_num_threads(), omp_get_thread_num());
  for (int64_t j = mine.begin; j < mine.end; ++j) {
    const float scale = a.scale ? a.scale[j] : 1.0f;
    if (a.scale) {
      const float dot = scale_row(a.weight + j * a.in, a.dweight + j * a.in, scale, a.in);
      a.dscale[j] = dot + (a.bias ? a.bias[j] * sums[j] : 0.0f);
    }
    if (a.dbias) a.dbias[j] = scale * sums[j];
  }
}

}  // namespace

bool linear_backward(const LinearBackward& a) {
  if (a.rows == 0) {
    for (int64_t i = 0; a.dweight && i < a.out * a.in; ++i) a.dweight[i] = 0.0f;
    for (int64_t j = 0; j < a.out; ++j) {
      if (a.dbias) a.dbias[j] = 0.0f;
      if (a.dscale) a.dscale[j] = 0.0f;
    }
    return true;
  }
  const int64_t product = imax(gemm_scratch(a.rows, a.in, a.out), gemm_scratch(a.out, a.in, a.rows));
  Scratch scratch(Scratch::padded(static_cast<size_t>(a.out)) + static_cast<size_t>(product));
  if (!scratch.data()) return false;
  float* const sums = scratch.take(static_cast<size_t>(a.out));
  float* const panels = scratch.take(static_cast<size_t>(product));
  const int64_t products = (a.dx != nullptr) + (a.dweight != nullptr);
  on_team(threads_for(products * a.rows * a.in * a.out), [&] {
    if (a.scale) {
      backward_team(a, TimesRow{a.scale}, sums, panels);
    } else {
      backward_team(a, Same{}, sums, panels);
    }
  });
  return true;
}

}  // namespace VIT_ISA
}  // namespace vit

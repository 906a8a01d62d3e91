// gelu_mlp, backward: the gradients of y = fc2(GELU(fc1(x))) from that of y and the pre-activation h.
//
// For a chunk of rows:
//   dh = (dy w2) GELU'(h)    dw2 += dy^T GELU(h)    dw1 += dh^T x    dx = dh w1    db1, db2 += columns of dh, dy
// GELU'(h) is the epilogue of the first product, which leaves dh and GELU(h) as matrices in panels
// (operands.h): all later products read them where they are. Of the operands as long as the chunk only dy and x
// are ever copied, a quarter of the hidden layer's size each.
#include "column_sum.h"
#include "epilogues.h"
#include "gemm.h"
#include "isa_kernels.h"
#include "runtime.h"
#include "team.h"

namespace vit {
namespace VIT_ISA {
namespace {

// Floats of a chunk's hidden layer (16 MiB): small enough for caches, large enough that packing both weights for
// every chunk is little.
constexpr int64_t kHiddenFloats = 4 * 1024 * 1024;

// Chunks of rows, even in size. They depend on the shape alone. Panels serve as right operands up to kMaxDepth rows.
int64_t chunk_rows(int64_t rows, int64_t hidden) {
  const int64_t most = imin(kMaxDepth, imax(8 * kTileRows, kHiddenFloats / hidden));
  return ceil_div(rows, ceil_div(rows, most));
}

// Matrices of one chunk in panels, and what is packed for one product: x, both weights or what gemm_team needs.
struct Buffers {
  float *dy, *dh, *activation, *x, *w1, *w2;
};

void sum_columns_team(const Panels& matrix, float* sums, bool accumulate) {
#pragma omp for schedule(static) nowait
  for (int64_t p = 0; p < ceil_div(matrix.columns, kTileCols); ++p) {
    const int64_t columns = imin(kTileCols, matrix.columns - p * kTileCols);
    sum_columns(matrix.panel(p), matrix.rows, columns, matrix.width(p), sums + p * kTileCols, accumulate);
  }
}

// How the products with the weights are done: with many rows each weight is packed once for all chunks, with few
// (batch 1) panel by panel.
struct ManyRows {
  PackedRight w1, w2;
  template <class Epilogue>
  void times_w2(const MlpBackward& a, const Panels& dy, const Epilogue& epilogue) const {
    panel_gemm_team(dy.rows, a.hidden, a.out, RowsOfPanels{dy}, w2, epilogue);
  }
  void times_w1(const MlpBackward& a, const Panels& dh, const Store& dx) const {
    panel_gemm_team(dh.rows, a.in, a.hidden, RowsOfPanels{dh}, w1, dx);
  }
};
struct FewRows {
  float *scratch1, *scratch2;
  template <class Epilogue>
  void times_w2(const MlpBackward& a, const Panels& dy, const Epilogue& epilogue) const {
    gemm_team(dy.rows, a.hidden, a.out, RowsOfPanels{dy}, DepthOuter<Same>{a.w2, a.hidden, {}}, epilogue, scratch2);
  }
  void times_w1(const MlpBackward& a, const Panels& dh, const Store& dx) const {
    gemm_team(dh.rows, a.in, a.hidden, RowsOfPanels{dh}, DepthOuter<Same>{a.w1, a.in, {}}, dx, scratch1);
  }
};

template <class Gelu, class Weights>
void chunk_team(const MlpBackward& a, int64_t row, int64_t rows, const Buffers& buffers, const Weights& weights) {
  const Panels dy{buffers.dy, rows, a.out};
  const Panels dh{buffers.dh, rows, a.hidden}, activation{buffers.activation, rows, a.hidden};
  const GeluSlopeEpilogue<Gelu> slope{dh, activation, a.h + row * a.hidden};
  const Sums add{row > 0, true};

  pack_right_team(DepthOuter<Same>{a.dy + row * a.out, a.out, {}}, dy.data, 0, a.out, 0, rows);
  pack_right_team(DepthOuter<Same>{a.x + row * a.in, a.in, {}}, buffers.x, 0, a.in, 0, rows);
#pragma omp barrier
  weights.times_w2(a, dy, slope);
#pragma omp barrier
  sum_columns_team(dy, a.db2, add.add);
  sum_columns_team(dh, a.db1, add.add);
  panel_gemm_team(a.hidden, a.in, rows, ColumnsOfPanels{dh}, PackedRight{buffers.x, a.in}, Store{a.dw1, a.in}, add);
  panel_gemm_team(a.out, a.hidden, rows, ColumnsOfPanels{dy}, activation, Store{a.dw2, a.hidden}, add);
  weights.times_w1(a, dh, Store{a.dx + row * a.in, a.in});
#pragma omp barrier
}

void zero(float* p, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = 0.0f;
}

template <class Gelu>
bool backward(const MlpBackward& a) {
  const int64_t chunk = chunk_rows(a.rows, a.hidden);
  const bool few = chunk == a.rows && left_floats(chunk, kMaxDepth) <= kStreamedFloats;
  const size_t narrow = static_cast<size_t>(right_floats(a.out, chunk));
  const size_t wide = static_cast<size_t>(right_floats(a.hidden, chunk));
  const size_t x = static_cast<size_t>(right_floats(a.in, chunk));
  const size_t w1 = static_cast<size_t>(few ? gemm_scratch(chunk, a.in, a.hidden) : right_floats(a.in, a.hidden));
  const size_t w2 = static_cast<size_t>(few ? gemm_scratch(chunk, a.hidden, a.out) : right_floats(a.hidden, a.out));
  Scratch scratch(Scratch::padded(narrow) + 2 * Scratch::padded(wide) + Scratch::padded(x) + Scratch::padded(w1) + w2);
  if (!scratch.data()) return false;
  Buffers buffers;
  buffers.dy = scratch.take(narrow);
  buffers.dh = scratch.take(wide);
  buffers.activation = scratch.take(wide);
  buffers.x = scratch.take(x);
  buffers.w1 = scratch.take(w1);
  buffers.w2 = scratch.take(w2);
  on_team(threads_for(2 * a.rows * a.hidden * (a.in + a.out)), [&] {
    if (few) {
      chunk_team<Gelu>(a, 0, a.rows, buffers, FewRows{buffers.w1, buffers.w2});
      return;
    }
    const DepthOuter<Same> w1_rows{a.w1, a.in, {}}, w2_rows{a.w2, a.hidden, {}};
    const ManyRows weights{pack_right_whole_team(w1_rows, buffers.w1, 0, a.in, 0, a.hidden),
                           pack_right_whole_team(w2_rows, buffers.w2, 0, a.hidden, 0, a.out)};
    for (int64_t row = 0; row < a.rows; row += chunk) {
      chunk_team<Gelu>(a, row, imin(chunk, a.rows - row), buffers, weights);
    }
  });
  return true;
}

}  // namespace

bool mlp_backward(const MlpBackward& a) {
  if (a.rows == 0) {
    zero(a.dw1, a.hidden * a.in);
    zero(a.db1, a.hidden);
    zero(a.dw2, a.out * a.hidden);
    zero(a.db2, a.out);
    return true;
  }
  return a.tanh ? backward<GeluTanh>(a) : backward<GeluErf>(a);
}

}  // namespace VIT_ISA
}  // namespace vit

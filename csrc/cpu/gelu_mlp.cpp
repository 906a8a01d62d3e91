// gelu_mlp: y = fc2(GELU(fc1(x))), erf or tanh form, and its gradients.
//
// Fused so that the hidden activations, four times the size of x, cross memory as little as possible:
//   inference  a thread takes 96 rows, computes a slice of their hidden layer, and multiplies it with fc2
//   while
//              it is still in its second-level cache; the hidden layer as a whole never exists
//   training   only the pre-activation h is written; GELU is applied to h where it is packed for fc2
//   backward   for a chunk of rows, GELU'(h) is the epilogue of dy w2, which also leaves GELU(h) for dw2
#include "column_sum.h"
#include "epilogues.h"
#include "gemm.h"
#include "isa_kernels.h"
#include "runtime.h"
#include "team.h"

namespace vit {
namespace VIT_ISA {
namespace {

// Inference: rows a thread handles at a time and columns of the hidden layer at a time. 96 x 768 floats are
// 288 KiB twice (as computed, then packed), half of a 1 MiB second-level cache with the streamed weights.
constexpr int64_t kInferenceRows = 96;
constexpr int64_t kHiddenColumns = 768;

// Backward: floats in each of the two hidden-sized buffers of a chunk of rows (16 MiB).
constexpr int64_t kHiddenFloats = 4 * 1024 * 1024;

// left (rows x k, packed whole) times right (packed whole), the summation in blocks of block_depth(k).
template <class Epilogue>
void multiply_packed(const Epilogue& epilogue, const float* left, const float* right, int64_t rows,
                     int64_t columns, int64_t k, Sums sums) {
  const Block block{{0, ceil_div(rows, kTileRows)}, {0, ceil_div(columns, kTileCols)}, 0, rows, 0, columns};
  const int64_t step = block_depth(k);
  for (int64_t kk = 0; kk < k; kk += step) {
    const int64_t depth = imin(step, k - kk);
    multiply_block(epilogue, left + left_floats(rows, kk), right + right_floats(columns, kk), depth, block,
                   {sums.add || kk > 0, sums.finish && kk + depth == k});
  }
}
template <class Operand>
void pack_left_whole(const Operand& operand, float* packed, int64_t row, int64_t rows, int64_t k) {
  const int64_t step = block_depth(k);
  for (int64_t kk = 0; kk < k; kk += step) {
    pack_left(operand, packed + left_floats(rows, kk), {0, ceil_div(rows, kTileRows)}, row, rows, kk,
              imin(step, k - kk));
  }
}
template <class Operand>
void pack_right_whole(const Operand& operand, float* packed, int64_t column, int64_t columns, int64_t k0,
                      int64_t k) {
  const int64_t step = block_depth(k);
  for (int64_t kk = 0; kk < k; kk += step) {
    pack_right_team(operand, packed + right_floats(columns, kk), column, columns, k0 + kk,
                    imin(step, k - kk));
  }
}

struct InferenceBuffers {
  float *w1, *w2;  // packed slices, shared
  float* own;      // per thread: x packed, hidden, hidden packed
  int64_t own_floats;
};

template <class Gelu>
void inference_team(const MlpForward& a, int64_t slice, const InferenceBuffers& buffers) {
  const DepthInner<Same> x{a.x, a.in, {}}, w1{a.w1, a.in, {}}, w2{a.w2, a.hidden, {}};
  // Pieces of at most kInferenceRows rows, as many for each thread as for any other.
  const int64_t tiles = ceil_div(a.rows, kTileRows);
  const int64_t count = imin(tiles, round_up(ceil_div(a.rows, kInferenceRows), omp_get_num_threads()));
  float* const x_packed = buffers.own + omp_get_thread_num() * buffers.own_floats;
  float* const hidden = x_packed + round_up(left_floats(kInferenceRows, a.in), 16);
  float* const hidden_packed = hidden + round_up(kInferenceRows * slice, 16);
  for (int64_t f = 0; f < a.hidden; f += slice) {
    const int64_t columns = imin(slice, a.hidden - f);
    pack_right_whole(w1, buffers.w1, f, columns, 0, a.in);
    pack_right_whole(w2, buffers.w2, 0, a.out, f, columns);
#pragma omp barrier
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < count; ++i) {
      const Range piece = share(tiles, count, i);
      const int64_t row = piece.begin * kTileRows, rows = imin(a.rows, piece.end * kTileRows) - row;
      pack_left_whole(x, x_packed, row, rows, a.in);
      const GeluEpilogue<Gelu> activate{hidden, columns, a.b1 + f};
      multiply_packed(activate, x_packed, buffers.w1, rows, columns, a.in, {false, true});
      pack_left_whole(DepthInner<Same>{hidden, columns, {}}, hidden_packed, 0, rows, columns);
      const LinearEpilogue<true, false, false> output{a.y + row * a.out, a.out, a.b2, nullptr, nullptr};
      multiply_packed(output, hidden_packed, buffers.w2, rows, a.out, columns,
                      {f > 0, f + columns == a.hidden});
    }
  }
}

template <class Gelu>
bool inference_many_rows(const MlpForward& a) {
  const int team = threads_for(a.rows * a.hidden * (a.in + a.out));
  const int64_t slice = imin(a.hidden, kHiddenColumns);
  const int64_t w1_floats = right_floats(slice, a.in), w2_floats = right_floats(a.out, slice);
  const int64_t own_floats = round_up(left_floats(kInferenceRows, a.in), 16) +
                             round_up(kInferenceRows * slice, 16) +
                             round_up(left_floats(kInferenceRows, slice), 16);
  Scratch scratch(static_cast<size_t>(round_up(w1_floats, 16) + round_up(w2_floats, 16) + team * own_floats));
  if (!scratch.data()) return false;
  InferenceBuffers buffers;
  buffers.w1 = scratch.take(static_cast<size_t>(w1_floats));
  buffers.w2 = scratch.take(static_cast<size_t>(w2_floats));
  buffers.own = scratch.take(static_cast<size_t>(team * own_floats));
  buffers.own_floats = own_floats;
  on_team(team, [&] { inference_team<Gelu>(a, slice, buffers); });
  return true;
}

// Few rows: a slice of the hidden layer of all of them fits the cache, and threads divide columns, so that
// each weight is packed once, by the thread that uses it. The same operations on every element as with many
// rows.
template <class Gelu>
bool inference_few_rows(const MlpForward& a) {
  const int64_t slice = imin(a.hidden, kHiddenColumns);
  const size_t hidden_floats = static_cast<size_t>(a.rows * slice);
  const size_t products =
      static_cast<size_t>(imax(gemm_scratch(a.rows, slice, a.in), gemm_scratch(a.rows, a.out, slice)));
  Scratch scratch(Scratch::padded(hidden_floats) + products);
  if (!scratch.data()) return false;
  float* const hidden = scratch.take(hidden_floats);
  float* const panels = scratch.take(products);
  const DepthInner<Same> x{a.x, a.in, {}};
  const LinearEpilogue<true, false, false> output{a.y, a.out, a.b2, nullptr, nullptr};
  on_team(threads_for(a.rows * a.hidden * (a.in + a.out)), [&] {
    for (int64_t f = 0; f < a.hidden; f += slice) {
      const int64_t columns = imin(slice, a.hidden - f);
      const DepthInner<Same> w1{a.w1 + f * a.in, a.in, {}}, w2{a.w2 + f, a.hidden, {}};
      gemm_team(a.rows, columns, a.in, x, w1, GeluEpilogue<Gelu>{hidden, columns, a.b1 + f}, panels);
      gemm_team(a.rows, a.out, columns, DepthInner<Same>{hidden, columns, {}}, w2, output, panels,
                {f > 0, f + columns == a.hidden});
    }
  });
  return true;
}

template <class Gelu>
bool inference(const MlpForward& a) {
  const bool few = left_floats(a.rows, kHiddenColumns) <= kStreamedFloats;
  return few ? inference_few_rows<Gelu>(a) : inference_many_rows<Gelu>(a);
}

template <class Gelu>
bool training(const MlpForward& a) {
  const int64_t floats = imax(gemm_scratch(a.rows, a.hidden, a.in), gemm_scratch(a.rows, a.out, a.hidden));
  Scratch scratch(static_cast<size_t>(floats));
  if (!scratch.data()) return false;
  const DepthInner<Same> x{a.x, a.in, {}}, w1{a.w1, a.in, {}}, w2{a.w2, a.hidden, {}};
  const DepthInner<Activate<Gelu>> hidden{a.h, a.hidden, {}};
  const LinearEpilogue<true, false, false> keep{a.h, a.hidden, a.b1, nullptr, nullptr};
  const LinearEpilogue<true, false, false> output{a.y, a.out, a.b2, nullptr, nullptr};
  on_team(threads_for(a.rows * a.hidden * (a.in + a.out)), [&] {
    gemm_team(a.rows, a.hidden, a.in, x, w1, keep, scratch.data());
    gemm_team(a.rows, a.out, a.hidden, hidden, w2, output, scratch.data());
  });
  return true;
}

template <class Gelu>
bool forward(const MlpForward& a) {
  return a.h ? training<Gelu>(a) : inference<Gelu>(a);
}

// Chunks of rows, even in size, whose hidden layer fits kHiddenFloats. They depend on the shape alone.
int64_t chunk_rows(int64_t rows, int64_t hidden) {
  const int64_t most = imax(8 * kTileRows, kHiddenFloats / hidden);
  return ceil_div(rows, ceil_div(rows, most));
}

// Per chunk:  dh = (dy w2) GELU'(h)   dw2 += dy^T GELU(h)   dw1 += dh^T x   db1 += columns of dh   dx = dh w1
template <class Gelu>
void backward_team(const MlpBackward& a, int64_t chunk, float* dh, float* activation, float* scratch) {
  const DepthOuter<Same> w1{a.w1, a.in, {}}, w2{a.w2, a.hidden, {}};
  for (int64_t row = 0; row < a.rows; row += chunk) {
    const int64_t rows = imin(chunk, a.rows - row);
    const Sums add{row > 0, true};
    const float* const dy = a.dy + row * a.out;
    const GeluSlopeEpilogue<Gelu> slope{dh, a.hidden, a.h + row * a.hidden, activation};
    gemm_team(rows, a.hidden, a.out, DepthInner<Same>{dy, a.out, {}}, w2, slope, scratch);
    gemm_team(a.out, a.hidden, rows, DepthOuter<Same>{dy, a.out, {}},
              DepthOuter<Same>{activation, a.hidden, {}}, Store{a.dw2, a.hidden}, scratch, add);
    gemm_team(a.hidden, a.in, rows, DepthOuter<Same>{dh, a.hidden, {}},
              DepthOuter<Same>{a.x + row * a.in, a.in, {}}, Store{a.dw1, a.in}, scratch, add);
    sum_columns_team(dh, rows, a.hidden, a.hidden, a.db1, add.add);
    gemm_team(rows, a.in, a.hidden, DepthInner<Same>{dh, a.hidden, {}}, w1, Store{a.dx + row * a.in, a.in},
              scratch);
  }
  sum_columns_team(a.dy, a.rows, a.out, a.out, a.db2, false);
}

void zero(float* p, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = 0.0f;
}

template <class Gelu>
bool backward(const MlpBackward& a) {
  const int64_t chunk = chunk_rows(a.rows, a.hidden);
  const int64_t dh_products = imax(gemm_scratch(chunk, a.hidden, a.out), gemm_scratch(chunk, a.in, a.hidden));
  const int64_t dw_products = imax(gemm_scratch(a.out, a.hidden, chunk), gemm_scratch(a.hidden, a.in, chunk));
  const size_t products = static_cast<size_t>(imax(dh_products, dw_products));
  const size_t hidden = Scratch::padded(static_cast<size_t>(chunk * a.hidden));
  Scratch scratch(2 * hidden + products);
  if (!scratch.data()) return false;
  float* const dh = scratch.take(hidden);
  float* const activation = scratch.take(hidden);
  float* const panels = scratch.take(products);
  on_team(threads_for(2 * a.rows * a.hidden * (a.in + a.out)),
          [&] { backward_team<Gelu>(a, chunk, dh, activation, panels); });
  return true;
}

}  // namespace

bool mlp_forward(const MlpForward& a) {
  if (a.rows == 0) return true;
  return a.tanh ? forward<GeluTanh>(a) : forward<GeluErf>(a);
}

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

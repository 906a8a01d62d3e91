// gelu_mlp, forward: y = fc2(GELU(fc1(x))), erf or tanh form.
//
// Fused so that the hidden activations, four times the size of x, cross memory as little as possible:
//   inference  a thread takes 96 rows, computes a slice of their hidden layer, and multiplies it with fc2
//              while it is still in its second-level cache; the hidden layer as a whole never exists
//   training   only the pre-activation h is written; GELU is applied to h where it is packed for fc2
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

// left (rows x k) times right, both packed whole.
template <class Epilogue>
void multiply_packed(const Epilogue& epilogue, const float* left, const float* right, int64_t rows,
                     int64_t columns, int64_t k, Sums sums) {
  const Block block{{0, ceil_div(rows, kTileRows)}, {0, ceil_div(columns, kTileCols)}, 0, rows, 0, columns};
  multiply_whole(epilogue, PackedLeftWhole{left, rows}, PackedRight{right, columns}, k, block, sums);
}
template <class Operand>
void pack_left_whole(const Operand& operand, float* packed, int64_t row, int64_t rows, int64_t k) {
  const int64_t step = block_depth(k);
  for (int64_t kk = 0; kk < k; kk += step) {
    pack_left(operand, packed + left_floats(rows, kk), {0, ceil_div(rows, kTileRows)}, row, rows, kk,
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
    pack_right_whole_team(w1, buffers.w1, f, columns, 0, a.in);
    pack_right_whole_team(w2, buffers.w2, 0, a.out, f, columns);
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
#pragma omp barrier
      gemm_team(a.rows, a.out, columns, DepthInner<Same>{hidden, columns, {}}, w2, output, panels,
                {f > 0, f + columns == a.hidden});
#pragma omp barrier
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
#pragma omp barrier
    gemm_team(a.rows, a.out, a.hidden, hidden, w2, output, scratch.data());
  });
  return true;
}

template <class Gelu>
bool forward(const MlpForward& a) {
  return a.h ? training<Gelu>(a) : inference<Gelu>(a);
}

}  // namespace

bool mlp_forward(const MlpForward& a) {
  if (a.rows == 0) return true;
  return a.tanh ? forward<GeluTanh>(a) : forward<GeluErf>(a);
}

}  // namespace VIT_ISA
}  // namespace vit

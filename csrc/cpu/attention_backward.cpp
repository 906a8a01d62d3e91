// attention, backward: the gradient of qkv from that of out, recomputing the probabilities from the saved
// log-sum-exp (Dao et al., "FlashAttention", 2022, algorithm 4).
//
// With P = exp(S - lse) and delta = rowsum(dout * out):
//   dV = P^T dout     dP = dout V^T     dS = P (dP - delta)     dQ = scale dS K     dK = scale dS^T Q
// S^T and dP^T come out of the register tile with queries in the lanes (attention.h), so dS^T is at once the
// right operand of dQ^T = K^T dS^T. For dV and dK the summation runs over queries, and P^T and dS^T are left
// operands, which the register tile reads as they are (kRowTiles). A head is one thread's work from start to
// end, since all its queries add to the same dK and dV.
#include "attention.h"
#include "isa_kernels.h"
#include "runtime.h"
#include "team.h"

namespace vit {
namespace VIT_ISA {
namespace {

// Queries and keys per block: two score blocks of 224 x 288 floats are 504 KiB, half the second-level cache,
// and the 197 tokens of a 224-pixel ViT with 16-pixel patches are a single block.
constexpr int64_t kQueries = 224;
constexpr int64_t kKeys = 288;

// A thread's scratch, cut into pieces.
enum Piece {
  kK,         // left panels of K, over head_dim
  kV,         // left panels of V, over head_dim
  kKColumns,  // left panels of K^T, over keys
  kQ,         // right panels of Q^T scale log2(e), over head_dim
  kDout,      // right panels of dout^T, over head_dim
  kQRows,     // right panels of Q scale, over queries
  kDoutRows,  // right panels of dout, over queries
  kP,         // probabilities: per query panel, keys x width
  kDs,        // their gradient, in the same layout
  kDq,        // dQ^T so far: per query panel, head_dim x width
  kDqPart,    // what one block of keys adds to it
  kLse,       // per query, in units of log2
  kDelta,     // per query
  kScale,     // per query: `scale` repeated
  kPieces
};

struct Plan {
  int64_t queries, keys;  // block sizes
  int64_t offset[kPieces + 1];
};

Plan make_plan(const AttentionBackward& a) {
  Plan plan;
  plan.queries = even_block(a.tokens, kQueries, kTileCols);
  plan.keys = even_block(a.tokens, kKeys, kTileRows);
  const int64_t lanes = round_up(plan.queries, kTileCols);
  int64_t size[kPieces];
  size[kK] = size[kV] = left_floats(a.tokens, a.head_dim);
  size[kKColumns] = left_floats(a.head_dim, a.tokens);
  size[kQ] = size[kDout] = size[kDq] = lanes * a.head_dim;
  size[kDqPart] = kTileCols * a.head_dim;
  size[kQRows] = size[kDoutRows] = right_floats(a.head_dim, plan.queries);
  size[kP] = size[kDs] = lanes * plan.keys;
  size[kLse] = size[kDelta] = size[kScale] = lanes;
  plan.offset[0] = 0;
  for (int i = 0; i < kPieces; ++i) plan.offset[i + 1] = plan.offset[i] + round_up(size[i], 16);
  return plan;
}

// One head: where its inputs and gradients are, and this thread's scratch.
struct Work {
  const AttentionBackward& a;
  const Plan& plan;
  float* scratch;
  Head head;
  const float *out, *dout, *lse;
  float *dq, *dk, *dv;

  float* at(Piece piece) const { return scratch + plan.offset[piece]; }
  int64_t out_stride() const { return a.heads * a.head_dim; }
};

void pack_keys(const Work& w) {
  const int64_t n = w.a.tokens, d = w.a.head_dim;
  pack_left_all(DepthInner<Same>{w.head.k, w.head.stride, {}}, w.at(kK), n, 0, d);
  pack_left_all(DepthInner<Same>{w.head.v, w.head.stride, {}}, w.at(kV), n, 0, d);
  pack_left_all(DepthOuter<Same>{w.head.k, w.head.stride, {}}, w.at(kKColumns), d, 0, n);
}

float dot(const float* x, const float* y, int64_t n) {
  Vec sum = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) sum += load(x + i) * load(y + i);
  const int rest = static_cast<int>(n - i);
  sum += load_first(x + i, rest) * load_first(y + i, rest);
  return sum_lanes(sum);
}

void pack_queries(const Work& w, int64_t query, int64_t queries) {
  const int64_t d = w.a.head_dim, stride = w.out_stride();
  const float* const q = w.head.q + query * w.head.stride;
  const float* const dout = w.dout + query * stride;
  const Range panels{0, ceil_div(queries, kTileCols)}, columns{0, ceil_div(d, kTileCols)};
  pack_right(DepthInner<Times>{q, w.head.stride, {w.a.scale * kLog2E}}, w.at(kQ), panels, 0, queries, 0, d);
  pack_right(DepthInner<Same>{dout, stride, {}}, w.at(kDout), panels, 0, queries, 0, d);
  pack_right(DepthOuter<Times>{q, w.head.stride, {w.a.scale}}, w.at(kQRows), columns, 0, d, 0, queries);
  pack_right(DepthOuter<Same>{dout, stride, {}}, w.at(kDoutRows), columns, 0, d, 0, queries);
  for (int64_t i = 0; i < queries; ++i) {
    w.at(kLse)[i] = w.lse[query + i] * kLog2E;
    w.at(kDelta)[i] = dot(dout + i * stride, w.out + (query + i) * stride, d);
  }
}

// P^T and dS^T of one query panel and a block of keys, from the scores (in p) and dP^T (in ds).
template <int kVectors>
void probabilities(float* p, float* ds, int64_t keys, const float* lse, const float* delta) {
  constexpr int kWidth = kVectors * kLanes;
  for (int64_t j = 0; j < keys; ++j) {
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = j * kWidth + v * kLanes;
      const Vec probability = vexp2(load(p + at) - load(lse + v * kLanes));
      store(p + at, probability);
      store(ds + at, probability * (load(ds + at) - load(delta + v * kLanes)));
    }
  }
}

// Fills kP and kDs for a block, and adds its part of dQ^T.
void score_block(const Work& w, int64_t queries, int64_t key, int64_t keys) {
  const int64_t d = w.a.head_dim;
  for (int64_t i = 0; i < queries; i += kTileCols) {
    const int vectors = panel_vectors(queries - i);
    float* const p = w.at(kP) + i * w.plan.keys;
    float* const ds = w.at(kDs) + i * w.plan.keys;
    multiply_panel(w.at(kK) + key * d, w.at(kQ) + i * d, keys, d, vectors, p);
    multiply_panel(w.at(kV) + key * d, w.at(kDout) + i * d, keys, d, vectors, ds);
    if (vectors == kTileVectors) {
      probabilities<kTileVectors>(p, ds, keys, w.at(kLse) + i, w.at(kDelta) + i);
    } else {
      probabilities<1>(p, ds, keys, w.at(kLse) + i, w.at(kDelta) + i);
    }
    float* const dq = w.at(kDq) + i * d;
    float* const part = key == 0 ? dq : w.at(kDqPart);
    const int width = vectors * kLanes;
    for (int64_t r = 0; r < d; r += kTileRows) {
      const int rows = static_cast<int>(imin(kTileRows, d - r));
      kTiles[vectors - 1][rows - 1](keys, w.at(kKColumns) + r * w.a.tokens + key * kTileRows,
                                    kTileRows, ds, part + r * width);
    }
    if (key > 0) {
      for (int64_t x = 0; x < d * width; x += kLanes) store(dq + x, load(dq + x) + load(part + x));
    }
  }
}

// gradient[key .. key + keys) (+)= scores^T right, the summation running over the queries of the block;
// `scores` is kP or kDs, `right` dout or Q scale.
template <bool kAdd>
void key_gradient(const Work& w, Piece scores, Piece right, int64_t queries, int64_t key, int64_t keys,
                  float* gradient) {
  const int64_t d = w.a.head_dim, panel_stride = kTileCols * w.plan.keys;
  // The panels of kTileCols queries, and the one of kLanes queries that may follow them.
  const float* const panels = w.at(scores);
  const float* const half = panels + queries / kTileCols * panel_stride;
  const Store store{gradient, w.head.stride};
  alignas(64) float tile[kTileRows * kTileCols];
  for (int64_t j = 0; j < keys; j += kTileRows) {
    const int rows = static_cast<int>(imin(kTileRows, keys - j));
    for (int64_t c = 0; c < d; c += kTileCols) {
      const int64_t columns = imin(kTileCols, d - c);
      kRowTiles[panel_vectors(columns) - 1][rows - 1](queries, panels + j * kTileCols, panel_stride,
                                                      half + j * kLanes, w.at(right) + c * queries, tile);
      put_tile<kAdd, true>(store, tile, rows, key + j, c, columns);
    }
  }
}
template <bool kAdd>
void key_gradients(const Work& w, int64_t queries, int64_t key, int64_t keys) {
  key_gradient<kAdd>(w, kP, kDoutRows, queries, key, keys, w.dv);
  key_gradient<kAdd>(w, kDs, kQRows, queries, key, keys, w.dk);
}

void head_gradient(const Work& w) {
  const int64_t n = w.a.tokens, d = w.a.head_dim;
  pack_keys(w);
  for (int64_t query = 0; query < n; query += w.plan.queries) {
    const int64_t queries = imin(w.plan.queries, n - query);
    pack_queries(w, query, queries);
    for (int64_t key = 0; key < n; key += w.plan.keys) {
      const int64_t keys = imin(w.plan.keys, n - key);
      score_block(w, queries, key, keys);
      query == 0 ? key_gradients<false>(w, queries, key, keys) : key_gradients<true>(w, queries, key, keys);
    }
    for (int64_t i = 0; i < queries; i += kTileCols) {
      store_transposed(w.at(kDq) + i * d, d, panel_vectors(queries - i) * kLanes,
                       imin(kTileCols, queries - i), w.at(kScale), w.dq + (query + i) * w.head.stride,
                       w.head.stride);
    }
  }
}

}  // namespace

bool attention_backward(const AttentionBackward& a) {
  const int64_t heads = a.batch * a.heads;
  if (heads * a.tokens == 0) return true;
  const int team = threads_for(5 * heads * a.tokens * a.tokens * (a.head_dim + 8));
  const Plan plan = make_plan(a);
  Scratch scratch(static_cast<size_t>(team * plan.offset[kPieces]));
  if (!scratch.data()) return false;
  on_team(team, [&] {
    const int worker = omp_get_thread_num();
    float* const own = scratch.data() + worker * plan.offset[kPieces];
    for (int64_t i = 0; i < plan.offset[kScale + 1] - plan.offset[kScale]; ++i)
      own[plan.offset[kScale] + i] = a.scale;
#pragma omp for schedule(dynamic) nowait
    for (int64_t index = 0; index < heads; ++index) {
      const Head head = head_of(a.qkv, index, a.tokens, a.heads, a.head_dim);
      const int64_t out = out_offset(index, a.tokens, a.heads, a.head_dim);
      float* const dq = a.dqkv + (head.q - a.qkv);
      const int64_t part = a.heads * a.head_dim;
      head_gradient({a, plan, own, head, a.out + out, a.dout + out, a.lse + index * a.tokens, dq, dq + part,
                     dq + 2 * part});
    }
  });
  return true;
}

}  // namespace VIT_ISA
}  // namespace vit

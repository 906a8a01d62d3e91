// attention, forward: out = softmax(Q K^T scale) V for every head, straight from the packed projection qkv.
//
// Flash style (Dao et al., "FlashAttention", 2022, algorithm 1): scores exist only for one block of queries
// and one block of keys at a time, in the first two cache levels; a running maximum and sum per query rescale
// what has been accumulated when a later block of keys raises the maximum. What is saved for the backward
// pass is one number per query, the logarithm of the sum of exponentials. For the sequence lengths of a ViT
// one block of keys is the whole sequence and nothing is ever rescaled.
//
// Scores are kept in units of log2: scale * log2(e) is folded into Q as it is packed, and the exponentials
// are powers of two.
#include <math.h>

#include "attention.h"
#include "isa_kernels.h"
#include "runtime.h"
#include "team.h"

namespace vit {
namespace VIT_ISA {
namespace {

constexpr int64_t kKeys = 384;  // keys per block: with 32 queries 48 KiB of scores

struct Buffers {
  float *k, *v;       // left panels: K over head_dim, V^T over keys
  float* q;           // right panel of one block of queries
  float* scores;      // keys x queries
  float *sum, *part;  // head_dim x queries: accumulated output and one block's contribution
};

int64_t buffer_floats(const AttentionForward& a) {
  const int64_t keys = left_floats(a.tokens, a.head_dim), values = left_floats(a.head_dim, a.tokens);
  return round_up(keys, 16) + round_up(values, 16) + kTileCols * (3 * a.head_dim + imin(kKeys, a.tokens));
}
Buffers cut(const AttentionForward& a, float* p) {
  Buffers b;
  b.k = p;
  b.v = b.k + round_up(left_floats(a.tokens, a.head_dim), 16);
  b.q = b.v + round_up(left_floats(a.head_dim, a.tokens), 16);
  b.sum = b.q + kTileCols * a.head_dim;
  b.part = b.sum + kTileCols * a.head_dim;
  b.scores = b.part + kTileCols * a.head_dim;
  return b;
}

// Turns scores (keys x queries) into exp2(score - maximum) in place and updates maximum and sum. Returns in
// `correction` what earlier results must be multiplied with.
template <int kVectors>
void exponentials(float* scores, int64_t keys, Vec* maximum, Vec* sum, Vec* correction) {
  constexpr int kWidth = kVectors * kLanes;
  Vec top[kVectors], total[kVectors] = {};
  for (int v = 0; v < kVectors; ++v) top[v] = maximum[v];
  for (int64_t j = 0; j < keys; ++j) {
    for (int v = 0; v < kVectors; ++v) top[v] = vmax(top[v], load(scores + j * kWidth + v * kLanes));
  }
  for (int64_t j = 0; j < keys; ++j) {
    for (int v = 0; v < kVectors; ++v) {
      float* const at = scores + j * kWidth + v * kLanes;
      const Vec p = vexp2(load(at) - top[v]);
      store(at, p);
      total[v] += p;
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    correction[v] = vexp2(maximum[v] - top[v]);
    maximum[v] = top[v];
    sum[v] = sum[v] * correction[v] + total[v];
  }
}

template <int kVectors>
void query_block(const AttentionForward& a, const Buffers& b, const Head& head, int64_t query,
                 int64_t queries, float* out, float* lse) {
  constexpr int kWidth = kVectors * kLanes;
  const DepthInner<Times> q{head.q + query * head.stride, head.stride, {a.scale * kLog2E}};
  q.template pack<kWidth>(b.q, 0, queries, 0, a.head_dim);

  Vec maximum[kVectors], sum[kVectors] = {}, correction[kVectors];
  for (int v = 0; v < kVectors; ++v) maximum[v] = broadcast(-INFINITY);
  const int64_t step = even_block(a.tokens, kKeys, kTileRows);
  for (int64_t key = 0; key < a.tokens; key += step) {
    const int64_t keys = imin(step, a.tokens - key);
    multiply_panel(b.k + key * a.head_dim, b.q, keys, a.head_dim, kVectors, b.scores);
    exponentials<kVectors>(b.scores, keys, maximum, sum, correction);
    // V^T over all keys has panels a.tokens deep; this block starts `key` steps into each.
    float* const part = key == 0 ? b.sum : b.part;
    for (int64_t d = 0; d < a.head_dim; d += kTileRows) {
      const int rows = static_cast<int>(imin(kTileRows, a.head_dim - d));
      kTiles[kVectors - 1][rows - 1](keys, b.v + d * a.tokens + key * kTileRows, kTileRows, b.scores,
                                     part + d * kWidth);
    }
    if (key > 0) {
      for (int64_t i = 0; i < a.head_dim * kWidth; i += kLanes) {
        store(b.sum + i, load(b.sum + i) * correction[i / kLanes % kVectors] + load(b.part + i));
      }
    }
  }

  alignas(64) float inverse[kWidth], top[kWidth], total[kWidth];
  for (int v = 0; v < kVectors; ++v) {
    store(inverse + v * kLanes, 1.0f / sum[v]);
    store(top + v * kLanes, maximum[v]);
    store(total + v * kLanes, sum[v]);
  }
  store_transposed(b.sum, a.head_dim, kWidth, queries, inverse, out, a.heads * a.head_dim);
  for (int64_t i = 0; i < queries; ++i) lse[i] = top[i] * kLn2 + logf(total[i]);
}

// A thread's part of all blocks of queries: head by head, or parts of one when there are few. K and V of a
// head are packed when it gets there.
void run(const AttentionForward& a, int64_t units, const Buffers& b) {
  const int64_t blocks = ceil_div(a.tokens, kTileCols);
  const int64_t piece = imax(1, imin(blocks, units / (kShares * omp_get_num_threads())));
  int64_t packed = -1;
#pragma omp for schedule(dynamic, piece) nowait
  for (int64_t unit = 0; unit < units; ++unit) {
    const int64_t index = unit / blocks, query = unit % blocks * kTileCols;
    const Head head = head_of(a.qkv, index, a.tokens, a.heads, a.head_dim);
    if (index != packed) {
      pack_left_all(DepthInner<Same>{head.k, head.stride, {}}, b.k, a.tokens, 0, a.head_dim);
      pack_left_all(DepthOuter<Same>{head.v, head.stride, {}}, b.v, a.head_dim, 0, a.tokens);
      packed = index;
    }
    const int64_t queries = imin(kTileCols, a.tokens - query);
    float* const out =
        a.out + out_offset(index, a.tokens, a.heads, a.head_dim) + query * a.heads * a.head_dim;
    float* const lse = a.lse + index * a.tokens + query;
    if (panel_vectors(queries) == kTileVectors) {
      query_block<kTileVectors>(a, b, head, query, queries, out, lse);
    } else {
      query_block<1>(a, b, head, query, queries, out, lse);
    }
  }
}

}  // namespace

bool attention_forward(const AttentionForward& a) {
  const int64_t units = a.batch * a.heads * ceil_div(a.tokens, kTileCols);
  if (units == 0) return true;
  const int team = threads_for(2 * a.batch * a.heads * a.tokens * a.tokens * (a.head_dim + 8));
  const int64_t own = round_up(buffer_floats(a), 16);
  Scratch scratch(static_cast<size_t>(team * own));
  if (!scratch.data()) return false;
  on_team(team, [&] {
    const int worker = omp_get_thread_num();
    run(a, units, cut(a, scratch.data() + worker * own));
  });
  return true;
}

}  // namespace VIT_ISA
}  // namespace vit

// How an attention backward is cut up: pure arithmetic, shared by the CANN host side, the twin and the tests.
#pragma once

#include <string>

#include "attention/tiling.h"
#include "attention_grad/tiling_data.h"

namespace vit {

// One kernel per head size, path and dtype.
constexpr uint64_t AttentionGradKey(uint32_t head_dim, GradPath path, bool bf16) {
  return head_dim * 10 + static_cast<uint32_t>(path) * 2 + (bf16 ? 2 : 1);
}

namespace detail {

// L1 bytes for blocks of that many queries and keys: the operand sets, and P and dS.
inline uint64_t GradCubeBytes(const AttentionGradTiling& t) {
  const uint64_t set = (2ull * t.query_block + 2ull * t.key_block) * t.head_dim * 2;
  return t.sets * set + uint64_t(t.prob_buffers) * t.query_block * t.key_block * 2;
}

// Unified-buffer bytes per row of a strip: S and dP, P and dS, dO and O as they come and in fp32, what belongs to the
// row.
inline uint64_t GradVectorBytesPerRow(uint32_t key_block, uint32_t head_dim) {
  return 2ull * key_block * (4 + 2) + 2ull * head_dim * (2 + 4) + 2 * 32 + 6 * 4;
}

}  // namespace detail

inline GradPath PathOf(const AttentionGradTiling& t) {
  return t.query_blocks == 1 && t.key_blocks == 1 ? GradPath::kWhole : GradPath::kBlocked;
}

// The arguments must have passed CheckAttention.
inline AttentionGradTiling MakeAttentionGradTiling(uint32_t batch, uint32_t tokens, uint32_t heads, uint32_t head_dim,
                                                   float scale, bool deterministic, const Platform& platform) {
  using detail::Up;
  AttentionGradTiling t{};
  t.batch = batch, t.tokens = tokens, t.heads = heads, t.head_dim = head_dim;
  t.scale = scale, t.deterministic = deterministic;
  const uint32_t padded = uint32_t(Up(tokens, 16));
  const auto strip_of = [&](uint32_t key_block) {
    const uint64_t budget = platform.ub - 512;  // lanes of constants
    return uint32_t(budget / detail::GradVectorBytesPerRow(key_block, head_dim)) / 8 * 8;
  };

  // The whole head at once, with as much prefetch as L1 has room for.
  struct Room {
    uint32_t sets, prob_buffers;
  };
  bool whole = false;
  for (const Room room : {Room{3, 2}, Room{3, 1}, Room{2, 2}, Room{2, 1}}) {
    t.query_block = t.key_block = padded;
    t.query_blocks = t.key_blocks = 1;
    t.sets = room.sets, t.prob_buffers = room.prob_buffers;
    whole = padded <= 512 && detail::GradCubeBytes(t) <= platform.l1 && strip_of(padded) >= 16;
    if (whole) break;
  }
  if (!whole) {
    t.sets = 3, t.prob_buffers = 2;
    const auto even = [padded](uint32_t most, uint32_t& block, uint32_t& blocks) {
      blocks = (padded + most - 1) / most;
      block = uint32_t(Up((padded + blocks - 1) / blocks, 16));
      blocks = (padded + block - 1) / block;
    };
    even(kGradQueryBlock, t.query_block, t.query_blocks);
    const uint32_t keys = kGradKeyElems / head_dim / 16 * 16;
    even(keys < kGradKeyBlock ? keys : kGradKeyBlock, t.key_block, t.key_blocks);
  }
  const uint32_t middle = t.query_block / 2, most = strip_of(t.key_block);
  const uint32_t strips = (middle + most - 1) / most;
  t.strip = uint32_t(Up((middle + strips - 1) / strips, 8));

  const uint64_t owned = uint64_t(batch) * heads * (deterministic ? 1 : t.key_blocks);  // what cannot be split further
  t.blocks = uint32_t(owned < uint64_t(platform.aic) ? owned : uint64_t(platform.aic));
  t.score_bytes = Up(uint64_t(t.query_block) * t.key_block * 4, 512);
  t.prob_bytes = Up(uint64_t(t.query_block) * t.key_block * 2, 512);
  t.dq_offset = t.blocks * kGradRing * 2 * (t.score_bytes + t.prob_bytes);
  return t;
}

inline uint64_t AttentionGradWorkspace(const AttentionGradTiling& t) {
  const uint64_t dq = uint64_t(t.batch) * t.heads * t.tokens * t.head_dim * 4;
  return t.dq_offset + (PathOf(t) == GradPath::kBlocked ? dq : 0);
}

}  // namespace vit

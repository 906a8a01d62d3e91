// What the host tells the attention gradient kernel, and the constants both sides build on. No host header.
#pragma once

#include <cstdint>

#include "attention/tiling_data.h"

namespace vit {

// The cube computes S and dP of a step while the vector cores turn those of the step before into P and dS.
constexpr uint32_t kGradLag = 1;
constexpr uint32_t kGradRing = kGradLag + 1;

// One step covers a block of queries against a block of keys of one head. Whole: that is the whole head, and every
// gradient leaves L0C finished. Blocked: dK and dV of a key block stay in L0C while the queries pass by, and dQ is added
// up in fp32 in the workspace.
enum class GradPath : uint32_t { kWhole = 0, kBlocked = 1 };

// Queries and, at most, keys per block of the blocked path, and elements of such a block of keys: dK and dV of one, fp32,
// fill half of L0C.
constexpr uint32_t kGradQueryBlock = 128, kGradKeyBlock = 128, kGradKeyElems = 8192;

struct AttentionGradTiling {
  uint32_t batch, tokens, heads, head_dim;
  uint32_t query_block, query_blocks;  // rows of Q and dO per step, steps per key block
  uint32_t key_block, key_blocks;      // rows of K and V per step, key blocks per head
  uint32_t strip;                      // rows per pass of a vector core, a multiple of 8
  uint32_t sets;                       // operand sets (Q, K, V, dO) in L1: 3, or 2 for want of room
  uint32_t prob_buffers;               // L1 buffers for P and dS: one each, or one for both
  uint32_t deterministic;              // blocked path: all key blocks of a head on one core, dQ added up in order
  uint32_t blocks;                     // AI Cores launched
  float scale;
  uint64_t score_bytes, prob_bytes;    // of S or dP, and of P or dS, in one slot of the ring; multiples of 512
  uint64_t dq_offset;                  // of the fp32 dQ in the workspace (blocked path)
};
static_assert(sizeof(AttentionGradTiling) % 8 == 0, "tiling data is padded to 8 bytes");

}  // namespace vit

// What the host tells the attention kernel, and the constants both sides build on. No host header: device code reads it.
#pragma once

#include <cstdint>

namespace vit {

// The cube runs this many steps of Q K^T ahead of P V, and the vector cores merge an output this many steps after its
// softmax. A slot of the ring may be reused once its step is merged.
constexpr uint32_t kValueLag = 2;
constexpr uint32_t kMergeLag = 3;
constexpr uint32_t kRing = kMergeLag + 1;

// Eight columns of P * 1 come with every output row: the row sums, already spread over one 32-byte block.
constexpr uint32_t kSumColumns = 8;

// Rows or columns of one product in L0: 128 x 128 half-size tiles of L0A, L0B and L0C, a little less when head_dim is so
// large (above kNarrowHead) that the output and its row sums would not fit.
constexpr uint32_t kTileRows = 128, kWideTileRows = 112, kNarrowHead = 96;

struct AttentionTiling {
  uint32_t batch, tokens, heads, head_dim;
  uint32_t head_group;    // heads per unit
  uint32_t query_block;   // rows of Q per step, a multiple of 16
  uint32_t query_blocks;  // per head
  uint32_t chunk;         // columns of one step, a multiple of 16
  uint32_t chunks;        // per row
  uint32_t key_tile;      // rows of K or V per load into L1; divides into chunk with a remainder allowed
  uint32_t key_tiles;     // per chunk
  uint32_t units;
  uint32_t blocks;        // AI Cores launched
  float scale;
  uint64_t score_bytes, prob_bytes, partial_bytes;  // of one slot of the ring, multiples of 512
};
static_assert(sizeof(AttentionTiling) % 8 == 0, "tiling data is padded to 8 bytes");

}  // namespace vit

// How an attention forward is cut up: pure arithmetic, shared by the CANN host side, the twin and the tests.
//
// A step is what one hand-off between the cube core and its two vector cores covers: `query_block` rows of one head
// against `chunk` columns. With up to kSinglePassTokens tokens a chunk is the whole row, so softmax needs one pass; a
// ViT head (197 tokens) is one step. Beyond, chunks of kChunk columns are merged online. A unit is what one load of Q
// serves: a query block of `head_group` neighbouring heads, whose rows lie side by side in qkv.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "attention/tiling_data.h"
#include "common/platform.h"

namespace vit {

constexpr uint32_t kMaxTokens = 4096;
constexpr uint32_t kSinglePassTokens = 1024;
constexpr uint32_t kChunk = 512;
constexpr uint32_t kMaxQkvPitch = 65535;  // elements between two rows that one ND -> NZ copy can express

constexpr uint32_t kHeadDims[] = {32, 64, 80, 96, 128};  // the kernel is compiled for each of them

// One kernel per head size and dtype.
constexpr uint64_t AttentionKey(uint32_t head_dim, bool bf16) { return head_dim * 10 + (bf16 ? 2 : 1); }

namespace detail {

constexpr uint64_t Up(uint64_t a, uint64_t b) { return (a + b - 1) / b * b; }

inline uint32_t TileRows(uint32_t head_dim) { return head_dim <= kNarrowHead ? kTileRows : kWideTileRows; }

// Unified-buffer bytes per row of a strip (a vector core's half of a query block).
inline uint64_t VectorBytesPerRow(uint32_t chunk, uint32_t chunks, uint32_t head_dim) {
  const uint64_t partial = (head_dim + kSumColumns) * 4;
  const uint64_t scores_and_probs = Up(chunk, 32) * 4 + chunk * 2;
  const uint64_t statistics = 4 * 4 + 32;  // four values per row, one of them spread over a block
  const uint64_t online = chunks > 1 ? partial + kRing * 32 + 8 : 0;
  return scores_and_probs + partial + head_dim * 2 + statistics + online;
}

inline uint64_t CubeBytes(const AttentionTiling& t) {
  const uint64_t width = uint64_t(t.head_group) * t.head_dim * 2;
  const uint64_t rows = t.query_block < TileRows(t.head_dim) ? t.query_block : TileRows(t.head_dim);
  return 2 * (t.query_block * width + 2 * t.key_tile * width + rows * t.key_tile * 2);
}

}  // namespace detail

// Empty when the shape is supported; otherwise what is wrong with which argument.
inline std::string CheckAttention(int64_t batch, int64_t tokens, int64_t heads, int64_t head_dim, double scale) {
  const auto refuse = [](const char* what, const std::string& value, const std::string& expected) {
    return std::string("attention: ") + what + " is " + value + ", expected " + expected;
  };
  if (batch < 1 || batch > 1 << 20) return refuse("batch (qkv dimension 0)", std::to_string(batch), "1 to 1048576");
  if (tokens < 1 || tokens > kMaxTokens) {
    return refuse("tokens (qkv dimension 1)", std::to_string(tokens), "1 to " + std::to_string(kMaxTokens));
  }
  bool known = false;
  for (const uint32_t d : kHeadDims) known = known || head_dim == d;
  if (!known) return refuse("head_dim (qkv dimension 4)", std::to_string(head_dim), "32, 64, 80, 96 or 128");
  if (heads < 1 || 3 * heads * head_dim > kMaxQkvPitch) {
    return refuse("heads (qkv dimension 3)", std::to_string(heads),
                  "1 to " + std::to_string(kMaxQkvPitch / (3 * head_dim)) + " at head_dim " + std::to_string(head_dim));
  }
  if (!(scale > 0) || !std::isfinite(scale)) return refuse("scale", std::to_string(scale), "a positive finite number");
  return "";
}

// The arguments must have passed CheckAttention.
inline AttentionTiling MakeAttentionTiling(uint32_t batch, uint32_t tokens, uint32_t heads, uint32_t head_dim,
                                           float scale, const Platform& platform) {
  using detail::Up;
  AttentionTiling t{};
  t.batch = batch, t.tokens = tokens, t.heads = heads, t.head_dim = head_dim, t.scale = scale;
  const uint32_t padded = uint32_t(Up(tokens, 16));
  t.chunk = tokens <= kSinglePassTokens ? padded : kChunk;
  t.chunks = (padded + t.chunk - 1) / t.chunk;

  const uint64_t vector_budget = platform.ub - 512;  // lanes of constants
  const uint32_t strip = uint32_t(vector_budget / detail::VectorBytesPerRow(t.chunk, t.chunks, head_dim)) / 8 * 8;
  const uint32_t fewest = (padded + 2 * strip - 1) / (2 * strip);
  // Candidates: how many heads share a load, and into how many blocks the rows of a head are cut. The last core to
  // finish decides; a step costs its rows plus what it takes to fill the pipeline, worth about 48 rows.
  double best = 0;
  for (const uint32_t group : {4u, 2u, 1u}) {
    if (heads % group != 0 || (group > 1 && (t.chunks > 1 || group * head_dim > 128))) continue;
    for (uint32_t blocks = fewest; blocks <= fewest + 3; ++blocks) {
      AttentionTiling c = t;
      c.head_group = group;
      c.query_block = uint32_t(Up((padded + blocks - 1) / blocks, 16));
      c.query_blocks = (padded + c.query_block - 1) / c.query_block;
      c.key_tile = c.chunk;
      if (detail::CubeBytes(c) > platform.l1 || (c.chunks > 1 && c.query_block > detail::TileRows(head_dim))) {
        c.key_tile = 2 * detail::TileRows(head_dim);
        // Streamed tiles accumulate into one tile of L0C and serve one head.
        if (group > 1 || c.query_block > detail::TileRows(head_dim)) continue;
      }
      c.key_tiles = (c.chunk + c.key_tile - 1) / c.key_tile;
      c.units = batch * (heads / group) * c.query_blocks;
      const uint32_t rounds = (c.units + platform.aic - 1) / platform.aic;
      const double cost = double(rounds) * group * (c.query_block + 48);
      if (best == 0 || cost < best) {
        best = cost;
        t = c;
      }
    }
  }
  t.blocks = t.units < uint32_t(platform.aic) ? t.units : uint32_t(platform.aic);
  t.score_bytes = Up(uint64_t(t.query_block) * t.chunk * 4, 512);
  t.prob_bytes = Up(uint64_t(t.query_block) * t.chunk * 2, 512);
  t.partial_bytes = Up(uint64_t(t.query_block) * (head_dim + kSumColumns) * 4, 512);
  return t;
}

inline uint64_t AttentionWorkspace(const AttentionTiling& t) {
  return t.blocks * kRing * (t.score_bytes + t.prob_bytes + t.partial_bytes);
}

}  // namespace vit

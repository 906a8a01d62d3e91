// What the host tells the linear gradient kernel, and the constants both sides build on. No host header: device code
// reads it.
#pragma once

#include <cstdint>

#include "linear/tiling_data.h"

namespace vit {

struct LinearGradTiling {
  ProductGrid weight;  // G = dy^T x, a sum over rows
  ProductGrid input;   // dx = dy (scale w), a sum over columns of y
  uint32_t epilogue;   // LinearEpilogue: which of b and scale are there
  uint32_t cores;      // AI Cores launched
  uint32_t direct;     // G is dw and leaves L0C as such; otherwise its summands go to the workspace
  uint32_t rsv;
  // Of the workspace; the summands of G lie at its beginning.
  uint64_t sums_offset;    // column sums of dy, one row per vector core
  uint64_t weight_offset;  // scale w
  uint64_t ring_offset;    // tiles of dx
};
static_assert(sizeof(LinearGradTiling) % 8 == 0, "tiling data is padded to 8 bytes");

// Rows of the workspace's matrices are padded to a multiple of so many floats.
constexpr uint32_t kWorkspacePitch = 16;

}  // namespace vit

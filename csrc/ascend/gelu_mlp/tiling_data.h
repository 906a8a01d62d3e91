// What the host tells the GELU-MLP kernels, and the constants both sides build on. No host header.
#pragma once

#include <cstdint>

#include "common/grid_data.h"

namespace vit {

// Slots of the ring of tiles between cube and vector cores: of the first product, which keeps the vector cores busy,
// and of the second, whose tiles come more rarely.
constexpr uint32_t kHiddenRing = 8;
constexpr uint32_t kOutRing = 3;

// How the rows of x are dealt: each AI Core gets a run of them, in blocks that pass through both products one by one.
// Both kernels walk this. `first` and `second` are the columns of the two products, each a sum over the other's number
// of columns (forward: hidden and out; backward: hidden and width).
struct MlpRows {
  uint32_t rows;
  uint32_t first, second;
  uint32_t cores;       // AI Cores that get rows
  uint32_t block_rows;  // a multiple of 16; the last block of a core may be smaller
  uint32_t keep_a;  // the left panels of the first product stay in L1 while its columns pass by
};

struct GeluMlpTiling {
  MlpRows rows;
  PanelTiling panels;
  uint32_t width;               // summation of the first product
  uint32_t strip;               // elements a vector core works on at once
  uint32_t save;                // write the pre-activation
  uint32_t b1_float, b2_float;  // float32 biases; otherwise of x's dtype
  uint32_t reserved;
  uint64_t hidden_bytes;        // of one block's hidden activations in the workspace, a multiple of 512
};
static_assert(sizeof(GeluMlpTiling) % 8 == 0, "tiling data is padded to 8 bytes");

}  // namespace vit

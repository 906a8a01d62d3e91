// What the host tells the GELU-MLP gradient kernel, and the constants both sides build on. No host header.
#pragma once

#include <cstdint>

#include "gelu_mlp/tiling_data.h"

namespace vit {

// Rows and columns of the products dy w2 (`first`: hidden columns) and dpre w1 (`second`: width).
struct GeluMlpGradTiling {
  MlpRows rows;
  PanelTiling panels;         // of those products
  PanelTiling weight_panels;  // of the products that sum over rows
  uint32_t columns;           // of dy
  uint32_t strip;             // elements a vector core works on at once
  uint64_t dpre_offset, gelu_offset;  // in the workspace, behind the rings: (rows, hidden) of x's dtype
  uint64_t sums_offset;               // fp32 per vector core: sums over its rows of dpre and of dy
};
static_assert(sizeof(GeluMlpGradTiling) % 8 == 0, "tiling data is padded to 8 bytes");

}  // namespace vit

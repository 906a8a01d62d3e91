// What the host tells the GELU-MLP gradient kernel, and the constants both sides build on. No host header.
#pragma once

#include <cstdint>

#include "gelu_mlp/tiling_data.h"

namespace vit {

struct GeluMlpGradTiling {
  MlpRows rows;                       // of the products dy w2 (`first`: hidden columns) and dpre w1 (`second`: width)
  PanelTiling panels;                 // of those products
  PanelTiling weight_panels;          // of dpre^T x and dy^T gelu, which sum over rows
  uint32_t parts;                     // of the rows in those: with more than one, the parts are added up afterwards
  uint32_t columns;                   // of dy
  uint32_t strip;                     // elements a vector core works on at once
  uint32_t cores;                     // AI Cores launched
  uint64_t dpre_offset, gelu_offset;  // in the workspace, behind the rings: (rows, hidden) of x's dtype
  uint64_t sums_offset;               // fp32 per vector core: sums over its rows of dpre and of dy
  uint64_t parts_offset;              // fp32: the parts of dw1, then of dw2, where there are several
};
static_assert(sizeof(GeluMlpGradTiling) % 8 == 0, "tiling data is padded to 8 bytes");

}  // namespace vit

// What the host tells the linear kernel, and the constants both sides build on. No host header: device code reads it.
#pragma once

#include <cstdint>

#include "common/grid_data.h"

namespace vit {

// What comes after the product, as bits of LinearTiling::epilogue.
enum LinearEpilogue : uint32_t {
  kLinearBias = 1,
  kLinearScale = 2,
  kLinearResidual = 4,
  kLinearBiasFloat = 8,    // float32 bias; otherwise of x's dtype
  kLinearScaleFloat = 16,  // float32 scale; otherwise of x's dtype
};

struct LinearTiling {
  ProductGrid grid;  // y: rows of x against rows of w
  uint32_t epilogue;
  uint32_t rsv;
};
static_assert(sizeof(LinearTiling) % 8 == 0, "tiling data is padded to 8 bytes");

}  // namespace vit

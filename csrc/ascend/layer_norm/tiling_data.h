// What the host tells the layer-norm kernels, forward and backward. No host header: device code reads it.
#pragma once

#include <cstdint>

namespace vit {

struct LayerNormTiling {
  uint64_t rows;
  uint32_t width, pitch;  // of a row in elements, as it is and rounded up to 16
  uint32_t tile_rows;     // rows in UB at a time
  uint32_t blocks;        // vector cores launched; rows are dealt to them in equal runs
  float eps, inverse_width;
  uint32_t gamma_float, beta_float;  // float32 parameters beside 16-bit activations
};
static_assert(sizeof(LayerNormTiling) % 8 == 0, "tiling data is padded to 8 bytes");

// One kernel per dtype of x.
constexpr uint64_t kLayerNormHalf = 1, kLayerNormBf16 = 2, kLayerNormFloat = 3;

}  // namespace vit

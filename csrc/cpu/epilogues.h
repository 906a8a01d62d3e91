// What happens to a tile of a product before it is stored (see gemm.h for the protocol).
#pragma once

#include "vmath.h"

namespace vit {
namespace VIT_ISA {

// c = residual + scale * (sum + bias), each of the three optional. `residual` has the layout of c.
template <bool kBias, bool kScale, bool kResidual>
struct LinearEpilogue {
  float* c;
  int64_t stride;
  const float *bias, *scale, *residual;
  template <class Lanes>
  void finish(Lanes lanes, Vec sum, int64_t i, int64_t j) const {
    if constexpr (kBias) sum += lanes.load(bias + j);
    if constexpr (kScale) sum *= lanes.load(scale + j);
    if constexpr (kResidual) sum += lanes.load(residual + i * stride + j);
    lanes.store(c + i * stride + j, sum);
  }
};

// c = GELU(sum + bias): the hidden layer of an MLP whose pre-activation nobody needs.
template <class Gelu>
struct GeluEpilogue {
  float* c;
  int64_t stride;
  const float* bias;
  template <class Lanes>
  void finish(Lanes lanes, Vec sum, int64_t i, int64_t j) const {
    lanes.store(c + i * stride + j, Gelu::value(sum + lanes.load(bias + j)));
  }
};

// c = sum * GELU'(h), and activation = GELU(h) on the side, since the two share the costly part.
// `h` and `activation` have the layout of c.
template <class Gelu>
struct GeluSlopeEpilogue {
  float* c;
  int64_t stride;
  const float* h;
  float* activation;
  template <class Lanes>
  void finish(Lanes lanes, Vec sum, int64_t i, int64_t j) const {
    const int64_t at = i * stride + j;
    const ValueAndSlope gelu = Gelu::value_and_slope(lanes.load(h + at));
    lanes.store(activation + at, gelu.value);
    lanes.store(c + at, sum * gelu.slope);
  }
};

}  // namespace VIT_ISA
}  // namespace vit

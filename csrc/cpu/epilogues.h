// What happens to a tile of a product before it is stored (see gemm.h for the protocol).
#pragma once

#include "operands.h"
#include "vmath.h"

namespace vit {
namespace VIT_ISA {

// c = residual + scale * (sum + bias), each of the three optional. `residual` has the layout of c.
template <bool kBias, bool kScale, bool kResidual>
struct LinearEpilogue {
  float* c;
  int64_t stride;
  const float *bias, *scale, *residual;
  float* at(int64_t i, int64_t j) const { return c + i * stride + j; }
  void fetch(int64_t i, int64_t j) const {
    fetch_to_write(at(i, j));
    if constexpr (kResidual) fetch_to_read(residual + i * stride + j);
  }
  template <class Lanes>
  void finish(Lanes lanes, Vec sum, int64_t i, int64_t j) const {
    if constexpr (kBias) sum += lanes.load(bias + j);
    if constexpr (kScale) sum *= lanes.load(scale + j);
    if constexpr (kResidual) sum += lanes.load(residual + i * stride + j);
    lanes.store(at(i, j), sum);
  }
};

// c = GELU(sum + bias): the hidden layer of an MLP whose pre-activation nobody needs.
template <class Gelu>
struct GeluEpilogue {
  float* c;
  int64_t stride;
  const float* bias;
  float* at(int64_t i, int64_t j) const { return c + i * stride + j; }
  void fetch(int64_t i, int64_t j) const { fetch_to_write(at(i, j)); }
  template <class Lanes>
  void finish(Lanes lanes, Vec sum, int64_t i, int64_t j) const {
    lanes.store(at(i, j), Gelu::value(sum + lanes.load(bias + j)));
  }
};

// dh = sum * GELU'(h), and activation = GELU(h) on the side, since the two share the costly part: both in panels.
// Whole registers are written, so that what pads a last panel is 0 as in any other packed operand.
template <class Gelu>
struct GeluSlopeEpilogue {
  Panels dh, activation;
  const float* h;  // row-major
  float* at(int64_t i, int64_t j) const { return dh.at(i, j); }
  void fetch(int64_t i, int64_t j) const {
    fetch_to_read(h + i * dh.columns + j);
    fetch_to_write(dh.at(i, j));
    fetch_to_write(activation.at(i, j));
  }
  template <class Lanes>
  void finish(Lanes lanes, Vec sum, int64_t i, int64_t j) const {
    const ValueAndSlope gelu = Gelu::value_and_slope(lanes.load(h + i * dh.columns + j));
    store(activation.at(i, j), gelu.value);
    store(dh.at(i, j), sum * gelu.slope);
  }
};

}  // namespace VIT_ISA
}  // namespace vit

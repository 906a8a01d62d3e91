// How a linear layer is cut up: pure arithmetic, shared by the CANN host side, the twin and the tests.
#pragma once

#include <string>

#include "common/grid_tiling.h"
#include "linear/tiling_data.h"

namespace vit {

// The cube's loads take rows up to 65535 elements apart.
constexpr int64_t kMaxLinearWidth = 65535, kMaxLinearRows = int64_t(1) << 24;

// Of x (..., in) with its leading dimensions flattened, and w (out, in).
struct LinearShape {
  int64_t rows, in, out;
};

// Empty when the shape is supported; otherwise what is wrong with which argument.
inline std::string CheckLinear(const LinearShape& shape) {
  const auto check = [](const char* what, int64_t value, int64_t most) -> std::string {
    if (value >= 1 && value <= most) return "";
    return "linear: " + std::string(what) + " is " + std::to_string(value) + ", expected 1 to " + std::to_string(most);
  };
  for (const std::string& refusal : {check("rows (product of the leading dimensions of x)", shape.rows, kMaxLinearRows),
                                     check("in (last dimension of x)", shape.in, kMaxLinearWidth),
                                     check("out (first dimension of w)", shape.out, kMaxLinearWidth)}) {
    if (!refusal.empty()) return refusal;
  }
  return "";
}

// The shape must have passed CheckLinear. `epilogue` is made of LinearEpilogue.
inline LinearTiling MakeLinearTiling(const LinearShape& shape, uint32_t epilogue, const Platform& platform) {
  return {MakeProductGrid(uint32_t(shape.rows), uint32_t(shape.out), uint32_t(shape.in), false, platform), epilogue, 0};
}

// One kernel per dtype; the gradient has the same keys.
constexpr uint64_t LinearKey(bool bf16) { return bf16 ? 2 : 1; }

inline uint64_t LinearWorkspace(const LinearTiling& t) {
  return t.epilogue == 0 ? 0 : uint64_t(Cores(t.grid)) * kRingSlots * kRingTileElems * 4;
}

}  // namespace vit

// How a linear layer is cut up: pure arithmetic, shared by the CANN host side, the twin and the tests.
#pragma once

#include <string>

#include "common/grid_tiling.h"
#include "linear/tiling_data.h"

namespace vit {

// The cube's loads take rows up to 65535 elements apart.
constexpr int64_t kMaxLinearWidth = 65535, kMaxLinearRows = int64_t(1) << 24;

// Empty when the shape is supported; otherwise what is wrong with which argument. x (rows, in), w (out, in).
inline std::string CheckLinear(int64_t rows, int64_t in, int64_t out) {
  const auto check = [](const char* what, int64_t value, int64_t most) -> std::string {
    if (value >= 1 && value <= most) return "";
    return "linear: " + std::string(what) + " is " + std::to_string(value) + ", expected 1 to " + std::to_string(most);
  };
  for (const std::string& refusal : {check("rows (product of the leading dimensions of x)", rows, kMaxLinearRows),
                                     check("in (last dimension of x)", in, kMaxLinearWidth),
                                     check("out (first dimension of w)", out, kMaxLinearWidth)}) {
    if (!refusal.empty()) return refusal;
  }
  return "";
}

// The arguments must have passed CheckLinear. `epilogue` is made of LinearEpilogue.
inline LinearTiling MakeLinearTiling(uint32_t rows, uint32_t in, uint32_t out, uint32_t epilogue,
                                     const Platform& platform) {
  return {MakeProductGrid(rows, out, in, false, platform), epilogue};
}

inline uint64_t LinearWorkspace(const LinearTiling& t) {
  return t.epilogue == 0 ? 0 : uint64_t(t.grid.Cores()) * kRingSlots * kRingTileElems * 4;
}

}  // namespace vit

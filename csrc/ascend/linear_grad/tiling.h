// How a linear layer's gradient is cut up: pure arithmetic, shared by the CANN host side, the twin and the tests.
#pragma once

#include "linear/tiling.h"
#include "linear_grad/tiling_data.h"

namespace vit {

// The shape must have passed CheckLinear. `epilogue` is made of LinearEpilogue.
inline LinearGradTiling MakeLinearGradTiling(const LinearShape& shape, uint32_t epilogue, const Platform& platform) {
  LinearGradTiling t{};
  const uint32_t rows = uint32_t(shape.rows), in = uint32_t(shape.in), out = uint32_t(shape.out);
  t.weight = MakeProductGrid(out, in, rows, true, platform);
  t.input = MakeProductGrid(rows, in, out, false, platform);
  t.epilogue = epilogue;
  t.cores = std::max(Cores(t.weight), Cores(t.input));
  t.direct = t.weight.depth_parts == 1 && (epilogue & kLinearScale) == 0;
  const uint64_t summand = uint64_t(out) * grid::Up(in, kWorkspacePitch) * 4;
  t.sums_offset = grid::Up(t.direct ? 0 : t.weight.depth_parts * summand, 512);
  t.weight_offset = t.sums_offset + grid::Up(uint64_t(2) * t.cores * grid::Up(out, kWorkspacePitch) * 4, 512);
  t.ring_offset = t.weight_offset + grid::Up((epilogue & kLinearScale) ? uint64_t(out) * in * 2 : 0, 512);
  return t;
}

inline uint64_t LinearGradWorkspace(const LinearGradTiling& t) {
  return t.ring_offset + ((t.epilogue & kLinearScale) ? uint64_t(t.cores) * kRingSlots * kRingTileElems * 4 : 0);
}

}  // namespace vit

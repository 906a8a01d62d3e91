// How a GELU-MLP gradient is cut up: pure arithmetic, shared by the CANN host side, the twin and the tests.
#pragma once

#include "gelu_mlp/tiling.h"
#include "gelu_mlp_grad/tiling_data.h"

namespace vit {

// The arguments must have passed CheckGeluMlp.
inline GeluMlpGradTiling MakeGeluMlpGradTiling(uint32_t rows, uint32_t width, uint32_t hidden, uint32_t columns,
                                               const Platform& platform) {
  using detail::RoundTo;
  GeluMlpGradTiling t{};
  const uint32_t aic = uint32_t(platform.aic);
  t.rows.rows = rows, t.rows.first = hidden, t.rows.second = width;
  t.rows.cores = DealtCores(rows, aic);
  t.columns = columns;
  t.panels = MakePanelTiling(LargestBlock(rows, t.rows.cores), columns, platform, &t.rows.keep_a);
  uint32_t unused = 0;
  t.weight_panels = MakePanelTiling(kPanelRows, kPanelDepth, platform, &unused);

  // The sums over rows stay in UB. Beside them: dh and h, the pre-activation and four strips of scratch in fp32, dpre and
  // gelu on their way out.
  const uint64_t per_element = 4 + 2 + 4 + 4 * 4 + 2 + 2;
  const uint64_t budget = platform.ub - 4 * 1024 - uint64_t(hidden) * 4;
  const uint64_t most = kPanelRows / 2 * kHalfCols, fits = budget / per_element / 64 * 64;
  t.strip = uint32_t(fits < most ? fits : most);
  t.dpre_offset = uint64_t(t.rows.cores) * kHiddenRing * kTileElems * 4;
  t.gelu_offset = t.dpre_offset + RoundTo(uint64_t(rows) * hidden * 2, 512);
  t.sums_offset = t.gelu_offset + RoundTo(uint64_t(rows) * hidden * 2, 512);
  return t;
}

inline uint64_t GeluMlpGradWorkspace(const GeluMlpGradTiling& t) {
  return t.sums_offset + uint64_t(2) * t.rows.cores * (t.rows.first + t.columns) * 4;
}

}  // namespace vit

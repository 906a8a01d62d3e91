// How a GELU-MLP gradient is cut up: pure arithmetic, shared by the CANN host side, the twin and the tests.
#pragma once

#include <algorithm>

#include "gelu_mlp/tiling.h"
#include "gelu_mlp_grad/tiling_data.h"

namespace vit {

namespace detail {

// Into how many parts the rows of the weight gradients are cut: the tiles of one part may be too few to occupy the
// cores, but the parts have to be added up. Costs in cycles: of a panel of a tile, of a barrier, per byte and core; a
// tenth has to be gained.
inline uint32_t WeightParts(uint64_t rows, uint64_t width, uint64_t hidden, uint64_t columns, uint64_t cores) {
  const uint64_t tiles = Divided(hidden, kPanelRows) * Divided(width, kPanelCols) +
                         Divided(columns, kPanelRows) * Divided(hidden, kPanelCols);
  const uint64_t chunks = Divided(rows, kPanelDepth);
  uint64_t best = 0;
  uint32_t parts = 1;
  for (uint64_t d = 1; d <= 8 && d <= chunks; ++d) {
    const uint64_t sums = d == 1 ? 0 : 8000 + (d + 1) * hidden * (width + columns) * 4 / (60 * 2 * cores);
    const uint64_t cycles = Divided(tiles * d, cores) * Divided(chunks, d) * 1050 + sums;
    if (d == 1 || cycles < best - best / 10) best = cycles, parts = uint32_t(d);
  }
  return parts;
}

}  // namespace detail

// The arguments must have passed CheckGeluMlp.
inline GeluMlpGradTiling MakeGeluMlpGradTiling(uint32_t rows, uint32_t width, uint32_t hidden, uint32_t columns,
                                               const Platform& platform) {
  using detail::RoundTo;
  GeluMlpGradTiling t{};
  DealRows(t.rows, rows, uint32_t(platform.aic));
  t.rows.first = hidden, t.rows.second = width;
  t.columns = columns;
  t.panels = MakePanelTiling(t.rows.block_rows, columns, platform, &t.rows.keep_a);
  uint32_t unused = 0;
  t.weight_panels = MakePanelTiling(kPanelRows, kPanelDepth, platform, &unused);
  t.parts = detail::WeightParts(rows, width, hidden, columns, platform.aic);
  t.cores = uint32_t(platform.aic);

  // The sums over rows stay in UB. Beside them: dh and h, the pre-activation and four strips of scratch in fp32, dpre
  // and gelu on their way out.
  const uint64_t per_element = 4 + 2 + 4 + 4 * 4 + 2 + 2;
  const uint64_t budget = platform.ub - 4 * 1024 - uint64_t(hidden) * 4;
  const uint64_t most = kPanelRows / 2 * kHalfCols, fits = budget / per_element / 64 * 64;
  t.strip = uint32_t(fits < most ? fits : most);

  const uint64_t activations = RoundTo(uint64_t(rows) * hidden * 2, 512);
  t.dpre_offset = uint64_t(t.rows.cores) * kHiddenRing * kRingTileElems * 4;
  t.gelu_offset = t.dpre_offset + activations;
  t.sums_offset = t.gelu_offset + activations;
  t.parts_offset = t.sums_offset + RoundTo(uint64_t(2) * t.rows.cores * (hidden + columns) * 4, 512);
  return t;
}

inline uint64_t GeluMlpGradWorkspace(const GeluMlpGradTiling& t) {
  const uint64_t weights = uint64_t(t.rows.first) * (t.rows.second + t.columns);
  return t.parts_offset + (t.parts > 1 ? t.parts * weights * 4 : 0);
}

}  // namespace vit

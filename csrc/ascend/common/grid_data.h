// One matrix product dealt over the AI Cores (product_grid.h walks it, grid_tiling.h chooses it). No host header:
// device code reads it.
#pragma once

#include <cstdint>

#include "common/panel_data.h"

namespace vit {

// Tiles between cube and vector cores: what PanelCube stores at once. Fewer than 15 may be under way.
constexpr uint32_t kRingSlots = 4;
constexpr uint32_t kRingTileElems = kPanelRows * kHalfCols;

// C[rows, cols], a sum over depth: row_parts x col_parts x depth_parts cores, each with a run of whole fractals of rows
// and of columns and a run of whole panels of the depth. With several depth_parts C comes out in as many summands.
struct ProductGrid {
  uint32_t rows, cols, depth;
  uint32_t row_parts, col_parts, depth_parts;
  uint32_t keep_a;  // the left panels of a block of rows stay in L1 while its columns pass by
  uint32_t keep_b;  // the right panels of some columns stay in L1 while the rows pass by
  PanelTiling panels;
};

}  // namespace vit

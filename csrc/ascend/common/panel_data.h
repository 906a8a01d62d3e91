// How the panel cube (panel_cube.h) divides L1. No host header: device code reads it.
#pragma once

#include <cstdint>

namespace vit {

constexpr uint32_t kPanelRows = 128;  // of a product, at most
constexpr uint32_t kPanelCols = 256;  // of a product, at most: two halves of L0C
constexpr uint32_t kHalfCols = kPanelCols / 2;
constexpr uint32_t kPanelDepth = 128;  // of one product in L0

struct PanelTiling {
  uint32_t depth;    // summation per stage, a multiple of kPanelDepth
  uint32_t a_slots;  // left panels in L1
  uint32_t b_slots;  // right panels in L1; the smaller of the two is how many stages are under way
  uint32_t a_rows;   // rows of a left panel, a multiple of 16
};

}  // namespace vit

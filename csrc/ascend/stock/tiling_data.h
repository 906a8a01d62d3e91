// What the host tells the stand-ins for stock operators.
#pragma once

#include <cstdint>

namespace vit {

constexpr uint32_t kStockTile = 8192;  // elements per step and vector core

struct StockStreamTiling {
  uint64_t elems, tiles;
  uint32_t inputs, passes;
  uint32_t row_elems;  // of one contiguous run in GM
  uint32_t store;      // 0: a reduction, whose result is nothing beside what it reads
};

}  // namespace vit

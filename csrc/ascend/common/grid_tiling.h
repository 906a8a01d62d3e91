// How a matrix product is dealt over the AI Cores and L1 is divided: pure arithmetic for tiling functions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/grid_data.h"
#include "common/platform.h"

namespace vit {

inline uint32_t Cores(const ProductGrid& g) { return g.row_parts * g.col_parts * g.depth_parts; }

namespace grid {

// Bytes per cycle, of a core: L2 to L1, L1 to L0A and L0B, L0C to L2; of the chip: HBM to L2. Estimates, of which only
// the ratios matter here.
constexpr uint64_t kFromL2 = 110, kToL0a = 256, kToL0b = 128, kToL2 = 86, kFromHbm = 800;
constexpr uint64_t kMmadStart = 15;  // cycles before a product of two tiles in L0 gets going

constexpr uint64_t Ceil(uint64_t a, uint64_t b) { return (a + b - 1) / b; }
constexpr uint64_t Up(uint64_t a, uint64_t b) { return Ceil(a, b) * b; }

// Per cent of the full rate for rows of so many elements: 91 from half a kilobyte on, 78 for half of that and less.
constexpr uint64_t RowShare(uint64_t elems) {
  return elems >= 256 ? 91 : elems <= 128 ? 78 : 78 + 13 * (elems - 128) / 128;
}

// The largest run of `total` dealt in whole `unit`s to `parts`.
constexpr uint64_t LargestRun(uint64_t total, uint64_t unit, uint64_t parts) {
  return Ceil(Ceil(total, unit), parts) * unit < total ? Ceil(Ceil(total, unit), parts) * unit : total;
}

// A run of rows is walked in equal blocks of at most kPanelRows.
constexpr uint64_t BlockRows(uint64_t rows) { return Up(Ceil(rows, Ceil(rows, kPanelRows)), 16); }

// What may stay in L1 from one product to the next.
enum class Keep { kNothing, kRows, kCols };

// How L1 is divided for left panels of `a_rows` rows, by depth of a stage and number of stages. False when there is not
// enough room.
inline bool DivideL1(ProductGrid& g, uint64_t a_rows, uint64_t depth, uint32_t stage_depth, uint32_t slots, Keep keep,
                     const Platform& platform) {
  const uint64_t left = a_rows * stage_depth * 2, right = uint64_t(kPanelCols) * stage_depth * 2;
  const uint32_t chunks = uint32_t(Ceil(depth, stage_depth));
  if (keep == Keep::kCols && chunks <= slots) return false;
  const uint32_t a_slots = keep == Keep::kRows ? std::max(chunks, slots) : slots;
  const uint32_t b_slots = keep == Keep::kCols ? chunks : slots;
  g.panels = {stage_depth, a_slots, b_slots, uint32_t(a_rows)};
  g.keep_a = keep == Keep::kRows, g.keep_b = keep == Keep::kCols;
  return a_slots * left + b_slots * right <= platform.l1;
}

// Deep stages make for long rows; of shallow ones more fit.
struct Stages {
  uint32_t depth, slots;
};
constexpr Stages kStages[] = {{2 * kPanelDepth, 2}, {kPanelDepth, 4}, {kPanelDepth, 3}};

// Estimated cycles of the core with most to do: per block of rows and panel of columns, what the slowest of the pipes
// takes and some of the fetching, which is what makes the others wait when it comes late.
inline uint64_t Cycles(const ProductGrid& g, bool over_rows) {
  const uint64_t rows = LargestRun(g.rows, 16, g.row_parts), cols = LargestRun(g.cols, 16, g.col_parts);
  const uint64_t depth = LargestRun(g.depth, kPanelDepth, g.depth_parts), chunks = Ceil(depth, kPanelDepth);
  const uint64_t m = BlockRows(rows), blocks = Ceil(rows, m), panels = Ceil(cols, kPanelCols);
  uint64_t cycles = 0;
  for (uint64_t col = 0; col < cols; col += kPanelCols) {
    const uint64_t n = Up(std::min<uint64_t>(kPanelCols, cols - col), 16), halves = Ceil(n, kHalfCols);
    const uint64_t k = Up(depth, 16);
    const uint64_t cube = chunks * halves * kMmadStart + (m / 16) * (n / 16) * (k / 16);
    const uint64_t load = (halves * m * 2 / kToL0a + n * 2 / kToL0b) * k;
    const uint64_t left = (g.keep_a ? Ceil(m, panels) : m) * 100 / RowShare(over_rows ? m : g.panels.depth);
    const uint64_t right = (g.keep_b ? Ceil(n, blocks) : n) * 100 / RowShare(over_rows ? n : g.panels.depth);
    const uint64_t fetch = (left + right) * depth * 2 / kFromL2;
    const uint64_t store = m * n * 4 / kToL2;
    // One half of the columns is stored while the other is computed, unless there is only one.
    cycles += halves == 1 ? std::max({cube + store, load, fetch}) : std::max({cube, load, fetch, store});
    cycles += fetch / 8;
  }
  // Nothing happens before the first stages are there, and they come from HBM: the fewer different ones, the sooner.
  const uint64_t first_rows = g.row_parts * m + g.col_parts * std::min<uint64_t>(panels, g.row_parts) * kPanelCols;
  return blocks * cycles + first_rows * g.depth_parts * std::min<uint64_t>(depth, 2 * g.panels.depth) * 2 / kFromHbm;
}

}  // namespace grid

// The fastest grid for C[rows, cols] summed over depth. `over_rows`: the sum runs over the rows of both operands as
// they are stored (dw = dy^T x). Then C may come out in summands, which costs as much as writing and reading all but
// the first of them, and what a stage reads of a row is as long as the tile, not as the stage is deep.
inline ProductGrid MakeProductGrid(uint32_t rows, uint32_t cols, uint32_t depth, bool over_rows,
                                   const Platform& platform) {
  const uint32_t cores = uint32_t(platform.aic);
  ProductGrid best{};
  uint64_t best_cycles = ~0ull;
  const auto most = [cores](uint64_t units) { return uint32_t(std::min<uint64_t>(units, cores)); };
  for (uint32_t r = 1; r <= most(grid::Ceil(rows, 16)); ++r) {
    for (uint32_t c = 1; c <= std::min(most(grid::Ceil(cols, 16)), cores / r); ++c) {
      const uint32_t deepest = over_rows ? std::min(most(grid::Ceil(depth, kPanelDepth)), cores / (r * c)) : 1;
      for (uint32_t d = 1; d <= deepest; ++d) {
        ProductGrid g{rows, cols, depth, r, c, d, 0, 0, {}};
        const uint64_t a_rows = grid::BlockRows(grid::LargestRun(rows, 16, r));
        const uint64_t run = grid::LargestRun(depth, kPanelDepth, d);
        const uint64_t summands = uint64_t(rows) * cols * 4 * (d - 1) * 2 / (grid::kFromL2 * cores);
        for (const grid::Stages stages : grid::kStages) {
          for (const grid::Keep keep : {grid::Keep::kRows, grid::Keep::kCols, grid::Keep::kNothing}) {
            if (over_rows && keep == grid::Keep::kCols) continue;  // two summands would have to share them
            if (!grid::DivideL1(g, a_rows, run, stages.depth, stages.slots, keep, platform)) continue;
            const uint64_t cycles = grid::Cycles(g, over_rows) + summands;
            if (cycles < best_cycles) best = g, best_cycles = cycles;
          }
        }
      }
    }
  }
  return best;
}

}  // namespace vit

// How a GELU-MLP is cut up: pure arithmetic, shared by the CANN host side, the twin and the tests.
#pragma once

#include <cstdint>
#include <string>

#include "common/platform.h"
#include "gelu_mlp/tiling_data.h"

namespace vit {

constexpr int64_t kMaxMlpWidth = 8192, kMaxMlpHidden = 16384, kMaxMlpRows = int64_t(1) << 24;

// One kernel per dtype and form; the gradient has the same keys.
constexpr uint64_t GeluMlpKey(bool tanh, bool bf16) { return (tanh ? 20u : 10u) + (bf16 ? 2u : 1u); }

namespace detail {

constexpr uint64_t RoundTo(uint64_t a, uint64_t b) { return (a + b - 1) / b * b; }
constexpr uint64_t Divided(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

inline std::string RefuseMlp(const std::string& argument, int64_t value, const std::string& expected) {
  return "gelu_mlp: " + argument + " is " + std::to_string(value) + ", expected " + expected;
}

}  // namespace detail

// Empty when the shape is supported; otherwise what is wrong with which argument. x (rows, width), w1 (hidden, width),
// w2 (columns, hidden).
inline std::string CheckGeluMlp(int64_t rows, int64_t width, int64_t hidden, int64_t columns, int64_t approximate) {
  const auto dimension = [](const char* name, int64_t value, int64_t most) -> std::string {
    if (value >= 16 && value <= most && value % 16 == 0) return "";
    return detail::RefuseMlp(name, value, "a multiple of 16 from 16 to " + std::to_string(most));
  };
  if (rows < 1 || rows > kMaxMlpRows) {
    return detail::RefuseMlp("rows (product of the leading dimensions of x)", rows,
                             "1 to " + std::to_string(kMaxMlpRows));
  }
  for (const std::string& refusal : {dimension("width (last dimension of x)", width, kMaxMlpWidth),
                                     dimension("hidden (first dimension of w1)", hidden, kMaxMlpHidden),
                                     dimension("out (first dimension of w2)", columns, kMaxMlpWidth)}) {
    if (!refusal.empty()) return refusal;
  }
  if (approximate != 0 && approximate != 1) return detail::RefuseMlp("approximate", approximate, "0 (erf) or 1 (tanh)");
  return "";
}

// How rows are dealt: every core gets a multiple of 16, the last one what is left, and all walk them in blocks of one
// size.
inline void DealRows(MlpRows& t, uint32_t rows, uint32_t aic) {
  const uint32_t fractals = uint32_t(detail::Divided(rows, 16));
  t.rows = rows;
  t.cores = fractals < aic ? fractals : aic;
  const uint64_t most = detail::Divided(fractals, t.cores) * 16, blocks = detail::Divided(most, kPanelRows);
  t.block_rows = uint32_t(detail::RoundTo(detail::Divided(most, blocks), 16));
}

// How L1 is divided for left panels of `a_rows` rows. When the `depth` of the first product fits, its left panels stay.
inline PanelTiling MakePanelTiling(uint32_t a_rows, uint32_t summation, const Platform& platform, uint32_t* keep_a) {
  PanelTiling t{};
  t.depth = kPanelDepth, t.a_rows = a_rows;
  const uint64_t left = uint64_t(a_rows) * t.depth * 2, right = uint64_t(kPanelCols) * t.depth * 2;
  const uint32_t chunks = uint32_t(detail::Divided(summation, t.depth));
  for (const bool keep : {true, false}) {
    for (uint32_t slots = 4; slots >= 3; --slots) {
      t.b_slots = slots;
      t.a_slots = keep && chunks > slots ? chunks : slots;
      *keep_a = keep ? 1 : 0;
      if (t.a_slots * left + t.b_slots * right <= platform.l1) return t;
    }
  }
  return t;  // three slots of each always fit
}

// The arguments must have passed CheckGeluMlp.
inline GeluMlpTiling MakeGeluMlpTiling(uint32_t rows, uint32_t width, uint32_t hidden, uint32_t columns, bool tanh,
                                       bool save, bool b1_float, bool b2_float, const Platform& platform) {
  GeluMlpTiling t{};
  DealRows(t.rows, rows, uint32_t(platform.aic));
  t.rows.first = hidden, t.rows.second = columns;
  t.width = width, t.save = save, t.b1_float = b1_float, t.b2_float = b2_float;
  t.panels = MakePanelTiling(t.rows.block_rows, width, platform, &t.rows.keep_a);
  // A strip in, twice, its scratch and what goes out; three rows of bias, padding and constants beside them.
  const uint64_t scratch = tanh ? 2 : 3, per_element = 2 * 4 + scratch * 4 + 2;
  const uint64_t budget = platform.ub - 4 * 1024;
  const uint64_t most = kPanelRows / 2 * kHalfCols, fits = budget / per_element / 64 * 64;
  t.strip = uint32_t(fits < most ? fits : most);
  t.hidden_bytes = detail::RoundTo(uint64_t(t.rows.block_rows) * hidden * 2, 512);
  return t;
}

inline uint64_t GeluMlpWorkspace(const GeluMlpTiling& t) {
  return t.rows.cores * (2 * t.hidden_bytes + uint64_t(kHiddenRing + kOutRing) * kRingTileElems * 4);
}

}  // namespace vit

// How a layer norm is cut up: pure arithmetic, shared by the CANN host side, the twin and the tests. Rows are dealt to
// all vector cores in equal runs; a run passes through UB in tiles as tall as fit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "common/platform.h"
#include "layer_norm/tiling_data.h"

namespace vit {

constexpr uint32_t kMaxNormWidth = 2032;  // a row of floats has to fit the repeat stride of 255 blocks
constexpr uint32_t kMaxGradRows = 120;    // two sums per row: twice as many repeats
constexpr uint32_t kMaxTileRows = 248;    // repeats of one instruction, in whole groups of eight

// Empty when supported; otherwise what is wrong with which argument.
inline std::string CheckLayerNorm(const char* op, int64_t rows, int64_t width, double eps) {
  const auto refuse = [op](const char* what, const std::string& value, const std::string& expected) {
    return std::string(op) + ": " + what + " is " + value + ", expected " + expected;
  };
  if (rows < 1 || rows > int64_t(1) << 40) {
    return refuse("rows (the product of x's leading dimensions)", std::to_string(rows), "1 to 2^40");
  }
  if (width < 1 || width > kMaxNormWidth) {
    return refuse("width (the last dimension of x)", std::to_string(width), "1 to " + std::to_string(kMaxNormWidth));
  }
  if (!(eps >= 0) || !std::isfinite(eps)) return refuse("eps", std::to_string(eps), "a finite number >= 0");
  return "";
}

namespace detail {

constexpr uint64_t NormUp(uint64_t a, uint64_t b) { return (a + b - 1) / b * b; }
constexpr uint32_t NormPitch(uint32_t width) { return uint32_t(NormUp(width, 16)); }

// UB bytes with tiles of `rows` rows. Forward: the strip of floats, inputs and outputs, gamma and beta as they are
// loaded and in fp32, numbers per row and a block of them.
inline uint64_t NormBytes(uint64_t rows, uint32_t width, uint32_t elem_bytes, bool add) {
  const uint64_t tile = rows * NormPitch(width), columns = NormUp(NormPitch(width) * 4ull, 512);
  return tile * (4 + elem_bytes * (add ? 4 : 2)) + 32 + 4 * columns + 512 + NormUp(rows, 8) * (5 * 4 + 32);
}
// Gradient: three strips of floats, the inputs, gamma likewise, dgamma and dbeta, numbers per row and five blocks.
inline uint64_t NormGradBytes(uint64_t rows, uint32_t width, uint32_t elem_bytes, bool add) {
  const uint64_t tile = rows * NormPitch(width), columns = NormUp(NormPitch(width) * 4ull, 512);
  return 3 * (NormUp(tile * 4, 512) + 256) + 4 * columns + tile * elem_bytes * (add ? 3 : 2) +
         NormUp(rows, 8) * (5 * 4 + 5 * 32) + 3 * 32;
}

// `fits` says whether tiles of so many rows fit UB.
template <typename Fits>
LayerNormTiling MakeNormTiling(uint64_t rows, uint32_t width, float eps, uint32_t most_rows, const Platform& platform,
                               const Fits& fits) {
  LayerNormTiling t{};
  t.rows = rows, t.width = width, t.eps = eps;
  t.pitch = NormPitch(width);
  t.inverse_width = 1.0f / float(width);
  t.blocks = uint32_t(std::min<uint64_t>(rows, uint64_t(platform.aiv)));
  const uint64_t share = (rows + t.blocks - 1) / t.blocks;
  uint64_t tallest = std::min<uint64_t>(share, most_rows);
  while (!fits(tallest)) --tallest;
  // Equal tiles: the last one of a core is no stub.
  const uint64_t tiles = (share + tallest - 1) / tallest;
  t.tile_rows = uint32_t((share + tiles - 1) / tiles);
  return t;
}

}  // namespace detail

// The arguments must have passed CheckLayerNorm.
inline LayerNormTiling MakeLayerNormForwardTiling(uint64_t rows, uint32_t width, float eps, uint32_t elem_bytes,
                                                  bool add, const Platform& platform) {
  return detail::MakeNormTiling(rows, width, eps, kMaxTileRows, platform, [&](uint64_t tile_rows) {
    return detail::NormBytes(tile_rows, width, elem_bytes, add) <= platform.ub;
  });
}

inline LayerNormTiling MakeLayerNormGradTiling(uint64_t rows, uint32_t width, uint32_t elem_bytes, bool add,
                                               const Platform& platform) {
  return detail::MakeNormTiling(rows, width, 0, kMaxGradRows, platform, [&](uint64_t tile_rows) {
    return detail::NormGradBytes(tile_rows, width, elem_bytes, add) <= platform.ub;
  });
}

// Of the gradient: every core's sums for gamma and beta.
inline uint64_t LayerNormGradWorkspace(const LayerNormTiling& t) { return uint64_t(t.blocks) * 2 * t.pitch * 4; }

}  // namespace vit

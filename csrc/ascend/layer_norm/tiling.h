// How a layer norm is cut up: pure arithmetic, shared by the CANN host side, the twin and the tests. Rows are dealt to all
// vector cores in equal runs; a run passes through UB in tiles as tall as fit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "common/platform.h"
#include "common/row_fold.h"
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

// UB bytes of one row of a tile: what the queues hold, the strips of floats, what rows are summed in, numbers per row.
inline uint64_t LayerNormRowBytes(uint32_t width, uint32_t pitch, uint32_t elem_bytes, bool add) {
  const uint64_t queues = uint64_t(pitch) * elem_bytes * (add ? 4 : 2);
  const uint64_t fold = uint64_t(FoldedColumns(width)) / 8 * 9 * 4;
  return queues + pitch * 4ull + fold + 8 * 4 + 32;
}
// UB bytes of the gradient with tiles of `rows` rows: three strips of floats, the inputs, gamma as it is loaded and in fp32,
// dgamma and dbeta, numbers per row and blocks of them.
inline uint64_t LayerNormGradBytes(uint64_t rows, uint32_t width, uint32_t elem_bytes, bool add) {
  const auto up = [](uint64_t bytes, uint64_t unit) { return (bytes + unit - 1) / unit * unit; };
  const uint64_t tile = rows * up(width, 16), numbers = up(rows, 8);
  const uint64_t strips = 3 * (up(tile * 4, 512) + 256), columns = 4 * up(up(width, 16) * 4, 512);
  return strips + columns + tile * elem_bytes * (add ? 3 : 2) + numbers * (5 * 4 + 5 * 32) + 3 * 32;
}

// The arguments must have passed CheckLayerNorm; `fits` says whether a tile of so many rows fits UB.
template <typename Fits>
LayerNormTiling MakeLayerNormTiling(uint64_t rows, uint32_t width, float eps, uint32_t elem_bytes, uint32_t most_rows,
                                    const Platform& platform, const Fits& fits) {
  LayerNormTiling t{};
  t.rows = rows, t.width = width, t.eps = eps;
  const uint32_t unit = 32 / elem_bytes;
  t.pitch = (width + unit - 1) / unit * unit;
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

inline uint32_t NormPitch(uint32_t width, uint32_t elem_bytes) {
  const uint32_t unit = 32 / elem_bytes;
  return (width + unit - 1) / unit * unit;
}

inline LayerNormTiling MakeLayerNormForwardTiling(uint64_t rows, uint32_t width, float eps, uint32_t elem_bytes, bool add,
                                                  const Platform& platform) {
  const uint32_t pitch = NormPitch(width, elem_bytes);
  const uint64_t parameters = 2 * (2ull * pitch + 80) * 4;  // gamma and beta, each with the buffer it is loaded through
  return MakeLayerNormTiling(rows, width, eps, elem_bytes, kMaxTileRows, platform, [&](uint64_t tile_rows) {
    return tile_rows * LayerNormRowBytes(width, pitch, elem_bytes, add) + parameters + 2048 <= platform.ub;
  });
}

inline LayerNormTiling MakeLayerNormGradTiling(uint64_t rows, uint32_t width, uint32_t elem_bytes, bool add,
                                               const Platform& platform) {
  return MakeLayerNormTiling(rows, width, 0, elem_bytes, kMaxGradRows, platform, [&](uint64_t tile_rows) {
    return LayerNormGradBytes(tile_rows, width, elem_bytes, add) <= platform.ub;
  });
}

// Of the gradient: every core's sums for gamma and beta.
inline uint64_t LayerNormGradWorkspace(const LayerNormTiling& t) { return uint64_t(t.blocks) * 2 * t.pitch * 4; }

}  // namespace vit

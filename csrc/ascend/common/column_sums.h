// Sums over the rows of row-major strips of floats.
#pragma once

#include "kernel_operator.h"

namespace vit {

using namespace AscendC;

// sums[c] += strip[row][c]; at most 255 rows of `cols` columns (a multiple of 8, at most 2040), `pitch` floats apart.
__aicore__ inline void AddRows(const LocalTensor<float>& sums, const LocalTensor<float>& strip, uint32_t rows,
                               uint32_t cols, uint32_t pitch) {
  constexpr uint32_t kLanes = 64, kBlockFloats = 8;
  for (uint32_t col = 0; col < cols; col += kLanes) {
    const uint64_t lanes = cols - col < kLanes ? cols - col : kLanes;
    Add(sums[col], strip[col], sums[col], lanes, static_cast<uint8_t>(rows),
        BinaryRepeatParams(1, 1, 1, 0, static_cast<uint8_t>(pitch / kBlockFloats), 0));
  }
}

}  // namespace vit

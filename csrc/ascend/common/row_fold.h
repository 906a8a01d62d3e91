// How the columns of a row are folded before they are summed: arithmetic that host and device share.
#pragma once

#include <cstdint>

namespace vit {

// Two instructions sum up to 512 columns of a row (8 to one, then 64 to one); wider rows are first folded onto a part of
// themselves, and all are folded at least once, so that the parts are whole repeats whatever the width.
constexpr uint32_t kFoldLimit = 512, kFoldUnit = 64;

constexpr uint32_t FoldedColumns(uint32_t cols) {
  const uint32_t parts = cols <= 2 * kFoldLimit ? 2 : (cols + kFoldLimit - 1) / kFoldLimit;
  const uint32_t part = (cols + parts - 1) / parts;
  const uint32_t units = (part + kFoldUnit - 1) / kFoldUnit;
  // An odd number: operands that lie an even number of 256 bytes apart would want the same banks of UB.
  const bool odd_fits = (units + 1) * kFoldUnit <= kFoldLimit && (units + 1) * kFoldUnit < cols;
  return (units % 2 == 0 && odd_fits ? units + 1 : units) * kFoldUnit;
}

}  // namespace vit

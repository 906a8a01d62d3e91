// Row softmax pieces on strips of scores in UB. A strip is NZ: `groups` groups of 16 columns, each `rows` x 16 floats,
// `rows` a multiple of 8. Element-wise passes do not care about the order; row reductions fold whole groups onto each
// other with full-width instructions, which a row-major strip with an odd width would not allow.
#pragma once

#include "kernel_operator.h"

namespace vit {

using namespace AscendC;

constexpr uint32_t kGroupColumns = 16;
constexpr uint32_t kLanes = 64;       // floats of one vector repeat
constexpr uint32_t kBlockFloats = 8;  // floats of one 32-byte block

struct StripShape {
  uint32_t rows, groups;
  __aicore__ inline uint32_t GroupElems() const { return rows * kGroupColumns; }
  __aicore__ inline uint32_t Elems() const { return groups * GroupElems(); }
};

// Folds the columns of rows that lie in two strips onto one group with Max; the first strip is as wide as the second or
// one group wider. The result lies in `scratch` (as large as the second strip), except that of a single group, which is
// the first strip itself. A level with an odd number of groups leaves one over; it rides along with a later level, so
// the number of dependent instructions stays logarithmic.
__aicore__ inline LocalTensor<float> FoldGroupsMax(const LocalTensor<float>& first, const LocalTensor<float>& second,
                                                   const LocalTensor<float>& scratch, const StripShape& shape) {
  const uint32_t group = shape.GroupElems();
  if (shape.groups == 1) return first;
  uint32_t count = shape.groups / 2;
  bool left_over = shape.groups % 2 != 0;
  const LocalTensor<float> last = first[count * group];
  Max(scratch, first, second, static_cast<int32_t>(count * group));
  PipeBarrier<PIPE_V>();
  while (count > 1 || left_over) {
    const uint32_t middle = count / 2;
    if (middle > 0) Max(scratch, scratch, scratch[(count - middle) * group], static_cast<int32_t>(middle * group));
    if (left_over && count % 2 != 0) {
      Max(scratch[middle * group], scratch[middle * group], last, static_cast<int32_t>(group));
      left_over = false;
    }
    count -= middle;
    PipeBarrier<PIPE_V>();
  }
  return scratch;
}

// row_max[rows] = the maximum of each row, which lies in two strips of `shape` together. `blocks` holds rows x 8 floats
// of scratch.
__aicore__ inline void RowMax(const LocalTensor<float>& row_max, const LocalTensor<float>& first,
                              const LocalTensor<float>& second, const LocalTensor<float>& scratch,
                              const LocalTensor<float>& blocks, const StripShape& shape) {
  const LocalTensor<float> folded = FoldGroupsMax(first, second, scratch, shape);
  const uint32_t repeats = shape.rows / kBlockFloats;
  Max(blocks, folded, folded[kBlockFloats], kLanes, repeats, BinaryRepeatParams(1, 2, 2, 8, 16, 16));
  PipeBarrier<PIPE_V>();
  BlockReduceMax(row_max, blocks, repeats, kLanes, 1, 1, 8);
  PipeBarrier<PIPE_V>();
}

// blocks[row][0..8) = values[row]: the form in which a row's value is an operand of an element-wise instruction.
__aicore__ inline void SpreadRows(const LocalTensor<float>& blocks, const LocalTensor<float>& values, uint32_t rows) {
  Brcb(blocks, values, rows / kBlockFloats, BrcbRepeatParams(1, 8));
  PipeBarrier<PIPE_V>();
}

// strip = strip * scale + shift[row], with `scale` spread over kLanes floats and `shift` over one block per row. With
// shift = -scale * maximum, rounded, the maximum becomes 0 if the product is rounded as well. If the hardware does not,
// the whole row is off by up to half a unit in the last place of scale * maximum; that cancels against the row sum as
// long as exp of it fits 16 bits, up to maxima of 2^27.
__aicore__ inline void ScaleAndShift(const LocalTensor<float>& strip, const LocalTensor<float>& scale,
                                     const LocalTensor<float>& shift, const StripShape& shape) {
  const uint32_t repeats = shape.rows / kBlockFloats;
  for (uint32_t g = 0; g < shape.groups; ++g) {
    for (uint32_t offset = 0; offset < kGroupColumns; offset += kBlockFloats) {
      FusedMulAdd(strip[g * shape.GroupElems() + offset], scale, shift, kLanes, repeats,
                  BinaryRepeatParams(2, 1, 1, 16, 0, 8));
    }
  }
  PipeBarrier<PIPE_V>();
}

}  // namespace vit

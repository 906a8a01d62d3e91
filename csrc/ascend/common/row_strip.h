// Row-major strips of floats in UB as the layer norms use them: rows summed, rows scaled or shifted by a number of
// their own, columns by a vector. A row instruction takes 64 columns and repeats over the rows, so it needs one column
// of repeats per 64 columns whatever the number of rows.
#pragma once

#include "kernel_operator.h"

#include "common/l0_load.h"

namespace vit {

using namespace AscendC;

constexpr uint32_t kStripLanes = 64;   // floats of one vector repeat
constexpr uint32_t kStripBlock = 8;    // floats of one 32-byte block
constexpr uint32_t kStripUnit = 16;    // the pitch is a multiple of it, so that half a row is whole blocks
constexpr uint32_t kBankPeriod = 512;  // bytes after which blocks meet the same banks of UB again

// `rows` rows (at most 255) of `cols` elements, `pitch` apart: cols rounded up to kStripUnit, at most 2032.
struct RowStrip {
  uint32_t rows, cols, pitch;
  __aicore__ inline uint8_t Rows() const { return static_cast<uint8_t>(rows); }
  __aicore__ inline uint8_t Blocks() const { return static_cast<uint8_t>(pitch / kStripBlock); }
  __aicore__ inline uint32_t Half() const { return pitch / 2; }
  __aicore__ inline uint32_t Elems() const { return rows * pitch; }
};

__aicore__ inline constexpr uint64_t LanesLeft(uint32_t left) { return left < kStripLanes ? left : kStripLanes; }

// ---- GM <-> UB and T <-> float

// Blocks of a row in UB that the row in memory does not reach: one or none, and that only of floats.
template <typename T>
__aicore__ inline uint32_t StripGap(const RowStrip& shape) {
  return (shape.pitch * sizeof(T) - RoundUp(shape.cols * sizeof(T), 32)) / 32;
}

// GM -> UB: rows that follow each other in GM, padded with zeros to whole blocks; a gap is left as it is.
template <typename T>
__aicore__ inline void LoadStripRows(const LocalTensor<T>& dst, const GlobalTensor<T>& src, const RowStrip& shape) {
  DataCopyPadExtParams<T> pad;  // the value stays 0: a bfloat16 constant cannot be converted on the device
  pad.isPad = true;
  pad.rightPadding = static_cast<uint8_t>(RoundUp(shape.cols * sizeof(T), 32) / sizeof(T) - shape.cols);
  DataCopyPad(dst, src,
              DataCopyExtParams(static_cast<uint16_t>(shape.rows), shape.cols * sizeof(T), 0, StripGap<T>(shape), 0),
              pad);
}
template <typename T>
__aicore__ inline void StoreStripRows(const GlobalTensor<T>& dst, const LocalTensor<T>& src, const RowStrip& shape) {
  DataCopyPad(dst, src,
              DataCopyExtParams(static_cast<uint16_t>(shape.rows), shape.cols * sizeof(T), StripGap<T>(shape), 0, 0));
}

// strip = x, gap excepted; no barrier.
template <typename T>
__aicore__ inline void WidenStrip(const LocalTensor<float>& strip, const LocalTensor<T>& x, const RowStrip& shape) {
  if constexpr (sizeof(T) < sizeof(float)) {
    Cast(strip, x, RoundMode::CAST_NONE, shape.Elems());
  } else if (StripGap<T>(shape) == 0) {
    Adds(strip, x, 0.0f, static_cast<int32_t>(shape.Elems()));
  } else {
    const uint32_t cols = shape.pitch - kStripBlock;
    for (uint32_t col = 0; col < cols; col += kStripLanes) {
      Adds(strip[col], x[col], 0.0f, LanesLeft(cols - col), shape.Rows(),
           UnaryRepeatParams(1, 1, shape.Blocks(), shape.Blocks()));
    }
  }
}

// x = strip, rounded; no barrier.
template <typename T>
__aicore__ inline void NarrowStrip(const LocalTensor<T>& x, const LocalTensor<float>& strip, const RowStrip& shape) {
  if constexpr (sizeof(T) < sizeof(float)) {
    Cast(x, strip, RoundMode::CAST_RINT, shape.Elems());
  } else {
    Adds(x, strip, 0.0f, static_cast<int32_t>(shape.Elems()));
  }
}

// ---- sums of rows

// dst[r][c] = a[r][c] + b[r][c] for `cols` columns; rows of the three lie `*_blocks` blocks apart. No barrier.
__aicore__ inline void AddColumns(const LocalTensor<float>& dst, const LocalTensor<float>& a,
                                  const LocalTensor<float>& b, uint32_t rows, uint32_t cols, uint8_t dst_blocks,
                                  uint8_t a_blocks, uint8_t b_blocks) {
  for (uint32_t col = 0; col < cols; col += kStripLanes) {
    Add(dst[col], a[col], b[col], LanesLeft(cols - col), static_cast<uint8_t>(rows),
        BinaryRepeatParams(1, 1, 1, dst_blocks, a_blocks, b_blocks));
  }
}

// dst[r][c] = one column of the left half of `strip` + one of the right, `dst` having rows of half the width
// `dst_blocks` apart. Which columns meet is of no matter to a sum: those that do not lie an even number of 256 bytes
// apart, where both would want the same banks. No barrier.
__aicore__ inline void AddHalves(const LocalTensor<float>& dst, const LocalTensor<float>& strip, const RowStrip& shape,
                                 uint8_t dst_blocks) {
  const uint32_t middle = shape.Half(), whole = middle / kStripLanes * kStripLanes;
  for (uint32_t col = 0; col < middle; col += kStripLanes) {
    const uint32_t other = col >= whole ? col : col + kStripLanes < whole ? col + kStripLanes : 0;
    Add(dst[col], strip[col], strip[middle + other], LanesLeft(middle - col), shape.Rows(),
        BinaryRepeatParams(1, 1, 1, dst_blocks, shape.Blocks(), shape.Blocks()));
  }
}

// sums[r] = the sum of `cols` columns (a multiple of 8) of row r of `strip`, which is destroyed. The last columns are
// folded onto those before them until one instruction can add up what is left; `rows` rows, at most 255, `blocks`
// apart.
__aicore__ inline void FoldRows(const LocalTensor<float>& sums, const LocalTensor<float>& strip, uint32_t rows,
                                uint32_t cols, uint8_t blocks) {
  while (cols > kStripLanes) {
    const uint32_t fold = cols >= 2 * kStripLanes ? cols / 2 / kStripLanes * kStripLanes : cols - kStripLanes;
    const LocalTensor<float> onto = strip[cols - 2 * fold];
    AddColumns(onto, onto, strip[cols - fold], rows, fold, blocks, blocks, blocks);
    PipeBarrier<PIPE_V>();
    cols -= fold;
  }
  WholeReduceSum(sums, strip, static_cast<int32_t>(cols), static_cast<int32_t>(rows), 1, 1, blocks);
  PipeBarrier<PIPE_V>();
}

// sums[r] = the sum of row r, or of its squares; the strip stays, `scratch` is half as large.
__aicore__ inline void SumRowsOf(const LocalTensor<float>& sums, const LocalTensor<float>& strip,
                                 const LocalTensor<float>& scratch, const RowStrip& shape) {
  const uint8_t blocks = static_cast<uint8_t>(shape.Half() / kStripBlock);
  AddHalves(scratch, strip, shape, blocks);
  PipeBarrier<PIPE_V>();
  FoldRows(sums, scratch, shape.rows, shape.Half(), blocks);
}
__aicore__ inline void SumSquaresOf(const LocalTensor<float>& sums, const LocalTensor<float>& strip,
                                    const LocalTensor<float>& scratch, const RowStrip& shape) {
  const uint32_t middle = shape.Half();
  const uint8_t blocks = static_cast<uint8_t>(middle / kStripBlock);
  const BinaryRepeatParams params(1, 1, 1, blocks, shape.Blocks(), shape.Blocks());
  for (uint32_t col = 0; col < middle; col += kStripLanes) {
    Mul(scratch[col], strip[col], strip[col], LanesLeft(middle - col), shape.Rows(), params);
  }
  PipeBarrier<PIPE_V>();
  for (uint32_t col = 0; col < middle; col += kStripLanes) {
    MulAddDst(scratch[col], strip[middle + col], strip[middle + col], LanesLeft(middle - col), shape.Rows(), params);
  }
  PipeBarrier<PIPE_V>();
  FoldRows(sums, scratch, shape.rows, middle, blocks);
}

// ---- a number per row, a vector over the columns

// spread[r][0..8) = values[r], the form in which a row's number is an operand; whole groups of eight rows.
__aicore__ inline void SpreadValues(const LocalTensor<float>& spread, const LocalTensor<float>& values, uint32_t rows) {
  Brcb(spread, values, static_cast<uint8_t>(RoundUp(rows, kStripBlock) / kStripBlock), BrcbRepeatParams(1, 8));
}

// strip[r][c] += factor * spread[r].
__aicore__ inline void AddPerRow(const LocalTensor<float>& strip, const LocalTensor<float>& spread, float factor,
                                 const RowStrip& shape) {
  for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
    Axpy(strip[col], spread, factor, LanesLeft(shape.cols - col), shape.Rows(),
         UnaryRepeatParams(1, 0, shape.Blocks(), 1));
  }
  PipeBarrier<PIPE_V>();
}

// strip[r][c] *= spread[r].
__aicore__ inline void MultiplyPerRow(const LocalTensor<float>& strip, const LocalTensor<float>& spread,
                                      const RowStrip& shape) {
  for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
    Mul(strip[col], strip[col], spread, LanesLeft(shape.cols - col), shape.Rows(),
        BinaryRepeatParams(1, 1, 0, shape.Blocks(), shape.Blocks(), 1));
  }
  PipeBarrier<PIPE_V>();
}

// strip[r][c] *= columns[c] for the first `cols` columns; no barrier.
__aicore__ inline void MultiplyByColumns(const LocalTensor<float>& strip, const LocalTensor<float>& columns,
                                         uint32_t cols, const RowStrip& shape) {
  for (uint32_t col = 0; col < cols; col += kStripLanes) {
    Mul(strip[col], strip[col], columns[col], LanesLeft(cols - col), shape.Rows(),
        BinaryRepeatParams(1, 1, 1, shape.Blocks(), shape.Blocks(), 0));
  }
}

}  // namespace vit

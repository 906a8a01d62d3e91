// Row-major strips of floats in UB as the layer norms use them: rows summed, rows scaled or shifted by a number of their
// own, columns by a vector. A row instruction takes 64 columns and repeats over the rows, so it needs one column of
// repeats per 64 columns whatever the number of rows.
#pragma once

#include "kernel_operator.h"

#include "common/row_fold.h"

namespace vit {

using namespace AscendC;

constexpr uint32_t kStripLanes = 64;  // floats of one vector repeat
constexpr uint32_t kStripBlock = 8;   // floats of one 32-byte block
constexpr uint32_t kMostRepeats = 255;
constexpr uint32_t kBankPeriod = 512;  // bytes after which blocks meet the same banks of UB again

// `rows` rows (at most 255) of `cols` floats, `pitch` apart (a multiple of 8, at most 2040).
struct RowStrip {
  uint32_t rows, cols, pitch;
  __aicore__ inline uint8_t Blocks() const { return static_cast<uint8_t>(pitch / kStripBlock); }
  __aicore__ inline uint32_t WholeBlocks() const { return (cols + kStripBlock - 1) / kStripBlock * kStripBlock; }
};

__aicore__ inline constexpr uint64_t LanesLeft(uint32_t left) { return left < kStripLanes ? left : kStripLanes; }
// dst[r][c] = a[r][c] + b[r][c] for `cols` columns; rows of the three lie `*_blocks` blocks apart.
__aicore__ inline void AddColumns(const LocalTensor<float>& dst, const LocalTensor<float>& a, const LocalTensor<float>& b,
                                  uint32_t rows, uint32_t cols, uint8_t dst_blocks, uint8_t a_blocks, uint8_t b_blocks) {
  for (uint32_t col = 0; col < cols; col += kStripLanes) {
    Add(dst[col], a[col], b[col], LanesLeft(cols - col), static_cast<uint8_t>(rows),
        BinaryRepeatParams(1, 1, 1, dst_blocks, a_blocks, b_blocks));
  }
}

// Where rows are folded and summed. `folded` holds rows x FoldedColumns floats, `eighths` rows x FoldedColumns / 8.
struct FoldSpace {
  LocalTensor<float> folded, eighths;
};

// sums[r] = the sum of row r of `space.folded`.
__aicore__ inline void SumFolded(const LocalTensor<float>& sums, const FoldSpace& space, uint32_t rows, uint32_t folded) {
  const uint32_t per_row = folded / kStripLanes, all = rows * per_row;
  for (uint32_t done = 0; done < all; done += kMostRepeats) {
    const uint32_t count = all - done < kMostRepeats ? all - done : kMostRepeats;
    BlockReduceSum(space.eighths[done * kStripBlock], space.folded[done * kStripLanes], static_cast<int32_t>(count),
                   static_cast<int32_t>(kStripLanes), 1, 1, kStripBlock);
  }
  PipeBarrier<PIPE_V>();
  WholeReduceSum(sums, space.eighths, static_cast<int32_t>(per_row * kStripBlock), static_cast<int32_t>(rows), 1, 1,
                 static_cast<int32_t>(per_row));
  PipeBarrier<PIPE_V>();
}

// sums[r] = the sum of row r; the strip stays. Columns between `cols` and the next multiple of 8 are zero.
__aicore__ inline void SumRowsOf(const LocalTensor<float>& sums, const LocalTensor<float>& strip, const FoldSpace& space,
                                 const RowStrip& shape) {
  if (shape.cols <= kStripLanes) {
    WholeReduceSum(sums, strip, static_cast<int32_t>(shape.cols), static_cast<int32_t>(shape.rows), 1, 1, shape.Blocks());
    PipeBarrier<PIPE_V>();
    return;
  }
  const uint32_t part = FoldedColumns(shape.cols), cols = shape.WholeBlocks();
  const uint8_t blocks = static_cast<uint8_t>(part / kStripBlock);
  const uint32_t second = cols - part < part ? cols - part : part;
  AddColumns(space.folded, strip, strip[part], shape.rows, second, blocks, shape.Blocks(), shape.Blocks());
  for (uint32_t col = second; col < part; col += kStripLanes) {  // columns without a partner
    Adds(space.folded[col], strip[col], 0.0f, LanesLeft(part - col), static_cast<uint8_t>(shape.rows),
         UnaryRepeatParams(1, 1, blocks, shape.Blocks()));
  }
  PipeBarrier<PIPE_V>();
  for (uint32_t first = 2 * part; first < cols; first += part) {
    AddColumns(space.folded, space.folded, strip[first], shape.rows, cols - first < part ? cols - first : part, blocks,
               blocks, shape.Blocks());
    PipeBarrier<PIPE_V>();
  }
  SumFolded(sums, space, shape.rows, part);
}

// sums[r] = the sum of a[r][c] * b[r][c]; the strips stay.
__aicore__ inline void SumProductsOf(const LocalTensor<float>& sums, const LocalTensor<float>& a,
                                     const LocalTensor<float>& b, const FoldSpace& space, const RowStrip& shape) {
  const uint32_t part = FoldedColumns(shape.cols), cols = shape.WholeBlocks();
  const uint8_t blocks = static_cast<uint8_t>(part / kStripBlock);
  const BinaryRepeatParams params(1, 1, 1, blocks, shape.Blocks(), shape.Blocks());
  if (cols < part) {  // one narrow part: the rest of it has to be zero
    Duplicate(space.folded, 0.0f, static_cast<int32_t>(shape.rows * part));
    PipeBarrier<PIPE_V>();
  }
  for (uint32_t first = 0; first < cols; first += part) {
    const uint32_t width = cols - first < part ? cols - first : part;
    for (uint32_t col = 0; col < width; col += kStripLanes) {
      const uint64_t lanes = LanesLeft(width - col);
      const uint8_t rows = static_cast<uint8_t>(shape.rows);
      if (first == 0) {
        Mul(space.folded[col], a[col], b[col], lanes, rows, params);
      } else {
        MulAddDst(space.folded[col], a[first + col], b[first + col], lanes, rows, params);
      }
    }
    PipeBarrier<PIPE_V>();
  }
  SumFolded(sums, space, shape.rows, part);
}

// spread[r][0..8) = values[r], the form in which a row's number is an operand. Up to 7 values more are read.
__aicore__ inline void SpreadValues(const LocalTensor<float>& spread, const LocalTensor<float>& values, uint32_t rows) {
  Brcb(spread, values, static_cast<uint8_t>((rows + kStripBlock - 1) / kStripBlock), BrcbRepeatParams(1, 8));
  PipeBarrier<PIPE_V>();
}

// strip[r][c] += factor * spread[r].
__aicore__ inline void AddPerRow(const LocalTensor<float>& strip, const LocalTensor<float>& spread, float factor,
                                 const RowStrip& shape) {
  for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
    Axpy(strip[col], spread, factor, LanesLeft(shape.cols - col), static_cast<uint8_t>(shape.rows),
         UnaryRepeatParams(1, 0, shape.Blocks(), 1));
  }
  PipeBarrier<PIPE_V>();
}

// dst[r][c] = strip[r][c] * spread[r]; strips of one pitch.
__aicore__ inline void MultiplyPerRow(const LocalTensor<float>& dst, const LocalTensor<float>& strip,
                                      const LocalTensor<float>& spread, const RowStrip& shape) {
  for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
    Mul(dst[col], strip[col], spread, LanesLeft(shape.cols - col), static_cast<uint8_t>(shape.rows),
        BinaryRepeatParams(1, 1, 0, shape.Blocks(), shape.Blocks(), 1));
  }
  PipeBarrier<PIPE_V>();
}

// dst[r][c] = strip[r][c] * columns[c]; no barrier.
__aicore__ inline void MultiplyByColumns(const LocalTensor<float>& dst, const LocalTensor<float>& strip,
                                         const LocalTensor<float>& columns, const RowStrip& shape) {
  for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
    Mul(dst[col], strip[col], columns[col], LanesLeft(shape.cols - col), static_cast<uint8_t>(shape.rows),
        BinaryRepeatParams(1, 1, 1, shape.Blocks(), shape.Blocks(), 0));
  }
}

// ---- GM <-> UB

// GM -> UB: `rows` rows of `cols` elements that follow each other in GM, padded with zeros to `pitch` (cols rounded up to
// 32 bytes).
template <typename T>
__aicore__ inline void LoadStripRows(const LocalTensor<T>& dst, const GlobalTensor<T>& src, uint32_t rows, uint32_t cols,
                                     uint32_t pitch) {
  DataCopyPadExtParams<T> pad;  // the value stays 0: a bfloat16 constant cannot be converted on the device
  pad.isPad = true;
  pad.rightPadding = static_cast<uint8_t>(pitch - cols);
  DataCopyPad(dst, src, DataCopyExtParams(static_cast<uint16_t>(rows), cols * sizeof(T), 0, 0, 0), pad);
}
template <typename T>
__aicore__ inline void StoreStripRows(const GlobalTensor<T>& dst, const LocalTensor<T>& src, uint32_t rows, uint32_t cols) {
  DataCopyPad(dst, src, DataCopyExtParams(static_cast<uint16_t>(rows), cols * sizeof(T), 0, 0, 0));
}

}  // namespace vit

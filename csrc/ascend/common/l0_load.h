// GM -> L1 -> L0 loads of 16-bit operands: what every cube program that keeps whole operands in L1 needs.
//
// An operand in L1 is an NZ matrix: element (r, c) at ((c / 16) * pitch + r) * 16 + c % 16, where `pitch` is its number
// of rows rounded up to 16. The cube wants its left operand as Zz fractals in L0A and its right one as Zn fractals in
// L0B; which instruction gets there depends on whether the operand is used as it is stored or transposed.
#pragma once

#include "kernel_operator.h"

namespace vit {

using namespace AscendC;

constexpr uint32_t kFractal = 16;                     // rows and columns of a 16-bit fractal
constexpr uint32_t kFractalElems = kFractal * kFractal;

// M_MTE1 flag of the first half of L0A and L0B: operands there have been used. On a cube core a TPipe keeps the ids
// before it for itself.
constexpr int32_t kOperandsFree = 3;

__aicore__ inline constexpr uint32_t CeilDiv(uint32_t a, uint32_t b) { return (a + b - 1) / b; }
__aicore__ inline constexpr uint32_t RoundUp(uint32_t a, uint32_t b) { return CeilDiv(a, b) * b; }
__aicore__ inline constexpr uint32_t Min(uint32_t a, uint32_t b) { return a < b ? a : b; }

// A 16-bit matrix in L1, `pitch` rows per column of fractals.
template <typename T>
struct L1Matrix {
  LocalTensor<T> data;
  uint32_t pitch;
};

// GM -> L1: `rows` rows of `cols` elements, `row_pitch` elements apart, as NZ. The rows up to the next multiple of 16
// repeat real ones, so whatever is computed from them is finite and its row maxima are those of real rows.
template <typename T>
__aicore__ inline void LoadRows(const LocalTensor<T>& dst, const GlobalTensor<T>& src, uint32_t rows, uint32_t cols,
                                uint32_t row_pitch) {
  const uint32_t padded = RoundUp(rows, kFractal);
  for (uint32_t done = 0; done < padded; done += rows) {
    DataCopy(dst[done * kFractal], src,
             Nd2NzParams(1, Min(rows, padded - done), cols, 0, row_pitch, padded, 1, 0));
  }
}

// One 3D load: rows [row, row + rows) and columns [col, col + cols), both multiples of 16. Into L0A it keeps the order
// of the stored matrix, into L0B it transposes every fractal.
template <typename T>
__aicore__ inline void LoadBlock(const LocalTensor<T>& dst, const L1Matrix<T>& src, uint32_t row, uint32_t col,
                                 uint32_t rows, uint32_t cols) {
  LoadData3DParamsV2<T> p;
  p.l1H = 1;
  p.l1W = src.pitch;
  p.channelSize = cols;
  p.kExtension = cols;
  p.mExtension = rows;
  p.mStartPt = row;
  LoadData(dst, src.data[col * src.pitch], p);
}

// Left operand A[m, k] stored as it is used.
template <typename T>
__aicore__ inline void LoadLeft(const LocalTensor<T>& l0a, const L1Matrix<T>& src, uint32_t row, uint32_t col,
                                uint32_t m, uint32_t k) {
  LoadBlock(l0a, src, row, col, m, k);
}

// Right operand B[k, n] stored as it is used (rows are the summation).
template <typename T>
__aicore__ inline void LoadRight(const LocalTensor<T>& l0b, const L1Matrix<T>& src, uint32_t row, uint32_t col,
                                 uint32_t k, uint32_t n) {
  LoadBlock(l0b, src, row, col, k, n);
}

// `strips` runs of `count` neighbouring fractals, from column of fractals to column of fractals.
template <typename T, bool transpose>
__aicore__ inline void LoadStrips(const LocalTensor<T>& dst, const L1Matrix<T>& src, uint32_t row, uint32_t col,
                                  uint32_t strips, uint32_t count) {
  LoadData2DParams p;
  p.repeatTimes = count;
  p.srcStride = 1;
  p.ifTranspose = transpose;
  for (uint32_t i = 0; i < strips; ++i) {
    LoadData(dst[i * count * kFractalElems], src.data[(col + i * kFractal) * src.pitch + row * kFractal], p);
  }
}

// Left operand A[m, k] stored as A^T[k, m]: every fractal is transposed on the way.
template <typename T>
__aicore__ inline void LoadLeftTransposed(const LocalTensor<T>& l0a, const L1Matrix<T>& src, uint32_t row,
                                          uint32_t col, uint32_t m, uint32_t k) {
  LoadStrips<T, true>(l0a, src, row, col, m / kFractal, k / kFractal);
}

// Right operand B[k, n] stored as B^T[n, k]: NZ of B^T already is Zn of B.
template <typename T>
__aicore__ inline void LoadRightTransposed(const LocalTensor<T>& l0b, const L1Matrix<T>& src, uint32_t row,
                                           uint32_t col, uint32_t k, uint32_t n) {
  LoadStrips<T, false>(l0b, src, row, col, k / kFractal, n / kFractal);
}

// C (+)= A B. Small products are shorter than the pipe is deep, and the next one that adds to them must wait.
__aicore__ inline constexpr bool NeedsMmadBarrier(uint32_t m, uint32_t n) { return (m / kFractal) * (n / kFractal) < 10; }

template <typename T>
__aicore__ inline void Multiply(const LocalTensor<float>& c, const LocalTensor<T>& a, const LocalTensor<T>& b,
                                uint32_t m, uint32_t n, uint32_t k, bool first) {
  MmadParams p;
  p.m = m;
  p.n = n;
  p.k = k;
  p.cmatrixInitVal = first;
  if (!first && NeedsMmadBarrier(m, n)) PipeBarrier<PIPE_M>();
  Mmad(c, a, b, p);
}

// Two halves of a memory used in turn, each guarded by the flag of its own id that says "the reader is done with it".
struct PingPong {
  uint32_t index = 0;
  __aicore__ inline uint32_t Next() {
    const uint32_t current = index;
    index ^= 1;
    return current;
  }
};

}  // namespace vit

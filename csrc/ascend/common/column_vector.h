// A vector over the columns of a product (bias, LayerScale) in its epilogue: loaded per tile, applied to every row of a
// row-major strip of floats.
#pragma once

#include "common/l0_load.h"

namespace vit {

constexpr uint32_t kRepeatFloats = 64;  // floats of one vector repeat
constexpr uint32_t kFloatBlock = 8;     // floats of 32 bytes

// One row of `elems` elements, any number: GM -> UB.
template <typename U>
__aicore__ inline void LoadRow(const LocalTensor<U>& dst, const GlobalTensor<U>& src, uint32_t elems) {
  DataCopyPad(dst, src, DataCopyExtParams(1, elems * sizeof(U), 0, 0, 0), DataCopyPadExtParams<U>());
}

// In memory, of the activations' dtype or float32; absent ones are never loaded.
template <typename T>
class ColumnVector {
 public:
  __aicore__ inline ColumnVector(GM_ADDR data, uint32_t elems, bool is_float) : is_float_(is_float) {
    if (is_float) {
      wide_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(data), elems);
    } else {
      narrow_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(data), elems);
    }
  }

 private:
  template <typename>
  friend class ColumnRow;

  GlobalTensor<T> narrow_;
  GlobalTensor<float> wide_;
  bool is_float_;
};

// The columns of one tile, as floats in UB.
template <typename T>
class ColumnRow {
 public:
  __aicore__ inline void Init(TPipe& pipe, uint32_t most, uint32_t buffers = 2) {
    pipe.InitBuffer(loaded_, buffers, most * sizeof(float));
    pipe.InitBuffer(row_, most * sizeof(float));
  }

  // Any number of columns; those up to the next multiple of 8 are finite.
  __aicore__ inline void Load(const ColumnVector<T>& vector, uint32_t col, uint32_t cols) {
    const uint32_t padded = RoundUp(cols, kFloatBlock);
    if (vector.is_float_) {
      LocalTensor<float> loaded = loaded_.template AllocTensor<float>();
      LoadRow(loaded, vector.wide_[col], cols);
      loaded_.EnQue(loaded);
      loaded = loaded_.template DeQue<float>();
      Adds(row_.template Get<float>(), loaded, 0.0f, static_cast<int32_t>(padded));
      loaded_.FreeTensor(loaded);
    } else {
      LocalTensor<T> loaded = loaded_.template AllocTensor<T>();
      LoadRow(loaded, vector.narrow_[col], cols);
      loaded_.EnQue(loaded);
      loaded = loaded_.template DeQue<T>();
      Cast(row_.template Get<float>(), loaded, RoundMode::CAST_NONE, padded);
      loaded_.FreeTensor(loaded);
    }
    PipeBarrier<PIPE_V>();
  }

  __aicore__ inline LocalTensor<float> Get() { return row_.template Get<float>(); }

  // strip[row][c] += vector[c], or *= vector[c], for `cols` columns of rows `pitch` floats apart (a multiple of 8); at
  // most 255 rows.
  __aicore__ inline void AddTo(const LocalTensor<float>& strip, uint32_t rows, uint32_t cols, uint32_t pitch) {
    for (uint32_t col = 0; col < cols; col += kRepeatFloats) {
      Add(strip[col], strip[col], Get()[col], Lanes(cols - col), rows, PerRow(pitch));
    }
    PipeBarrier<PIPE_V>();
  }
  __aicore__ inline void MultiplyInto(const LocalTensor<float>& strip, uint32_t rows, uint32_t cols, uint32_t pitch) {
    for (uint32_t col = 0; col < cols; col += kRepeatFloats) {
      Mul(strip[col], strip[col], Get()[col], Lanes(cols - col), rows, PerRow(pitch));
    }
    PipeBarrier<PIPE_V>();
  }

 private:
  __aicore__ static inline uint64_t Lanes(uint32_t left) { return Min(kRepeatFloats, left); }
  __aicore__ static inline BinaryRepeatParams PerRow(uint32_t pitch) {
    return BinaryRepeatParams(1, 1, 1, pitch / kFloatBlock, pitch / kFloatBlock, 0);
  }

  TQue<TPosition::VECIN, 1> loaded_;
  TBuf<TPosition::VECCALC> row_;
};

}  // namespace vit

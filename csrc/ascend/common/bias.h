// A bias in the epilogue of a matrix product: loaded per tile of columns, added to a row-major strip of floats.
#pragma once

#include "kernel_operator.h"

namespace vit {

using namespace AscendC;

// A bias vector in memory, of the activations' dtype or float32.
template <typename T>
class BiasVector {
 public:
  __aicore__ inline BiasVector(GM_ADDR data, uint32_t elems, bool is_float) : is_float_(is_float) {
    if (is_float) {
      wide_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(data), elems);
    } else {
      narrow_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(data), elems);
    }
  }

 private:
  template <typename>
  friend class BiasRow;

  GlobalTensor<T> narrow_;
  GlobalTensor<float> wide_;
  bool is_float_;
};

// The columns of a bias that belong to one tile, as floats in UB.
template <typename T>
class BiasRow {
  static constexpr uint32_t kLanes = 64;  // floats of one vector repeat
  static constexpr uint32_t kBlockFloats = 8;

 public:
  __aicore__ inline BiasRow(TPipe& pipe, uint32_t most) {
    pipe.InitBuffer(loaded_, 2, most * sizeof(float));
    pipe.InitBuffer(row_, most * sizeof(float));
  }

  // Columns [col, col + cols), both multiples of 16.
  __aicore__ inline void Load(const BiasVector<T>& bias, uint32_t col, uint32_t cols) {
    if (bias.is_float_) {
      LocalTensor<float> loaded = loaded_.template AllocTensor<float>();
      DataCopy(loaded, bias.wide_[col], cols);
      loaded_.EnQue(loaded);
      loaded = loaded_.template DeQue<float>();
      Adds(row_.Get<float>(), loaded, 0.0f, static_cast<int32_t>(cols));
      loaded_.FreeTensor(loaded);
    } else {
      LocalTensor<T> loaded = loaded_.template AllocTensor<T>();
      DataCopy(loaded, bias.narrow_[col], cols);
      loaded_.EnQue(loaded);
      loaded = loaded_.template DeQue<T>();
      Cast(row_.Get<float>(), loaded, RoundMode::CAST_NONE, cols);
      loaded_.FreeTensor(loaded);
    }
    PipeBarrier<PIPE_V>();
  }

  // strip[row][c] += bias[c]; at most 255 rows of `cols` columns.
  __aicore__ inline void AddTo(const LocalTensor<float>& strip, uint32_t rows, uint32_t cols) {
    const LocalTensor<float> row = row_.Get<float>();
    const uint8_t pitch = static_cast<uint8_t>(cols / kBlockFloats);
    for (uint32_t col = 0; col < cols; col += kLanes) {
      const uint64_t lanes = cols - col < kLanes ? cols - col : kLanes;
      Add(strip[col], strip[col], row[col], lanes, static_cast<uint8_t>(rows),
          BinaryRepeatParams(1, 1, 1, pitch, pitch, 0));
    }
  }

 private:
  TQue<TPosition::VECIN, 1> loaded_;
  TBuf<TPosition::VECCALC> row_;
};

}  // namespace vit

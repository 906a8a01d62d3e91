// Layer normalisation of rows, alone or of the sum of two tensors: the body of two operators.
//
//   MTE2   x (and residual) of the next tile
//   V      [sum] -> fp32 -> mean -> x - mean -> variance -> rstd -> * rstd -> * gamma + beta -> T
//   MTE3   y, [sum], mean, rstd of the tile before
//
// A tile has two buffers: the one it arrives in, free for the next tile as soon as the tile has been widened, and the
// strip of floats on which all the work is done. Tiles are as tall as UB allows, since an instruction costs a start-up and
// a dependent pair a wait, whatever the number of rows.
//
// A row is read once and everything about it is computed while it is in UB: the variance is that of the centred row (two
// passes, as rows with a large mean need), statistics are fp32 whatever T is. The kernel is bound by HBM; what the vector
// cores do is about 7.5 passes over a tile, hidden behind the copies of its neighbours.
#pragma once

#include "kernel_operator.h"

#include "common/column_vector.h"
#include "common/row_strip.h"
#include "layer_norm/tiling_data.h"

namespace vit {

template <typename T>
constexpr bool kIsBf16 = false;
template <>
constexpr bool kIsBf16<bfloat16_t> = true;

// The rows of one vector core.
struct RowRange {
  uint64_t first, end;
  __aicore__ inline explicit RowRange(const LayerNormTiling& t)
      : first(t.rows * static_cast<uint64_t>(GetBlockIdx()) / t.blocks),
        end(t.rows * (static_cast<uint64_t>(GetBlockIdx()) + 1) / t.blocks) {}
};

template <typename T, bool kAdd>
class LayerNorm {
  static constexpr bool kFloat = sizeof(T) == sizeof(float);

 public:
  __aicore__ inline LayerNorm(TPipe& pipe, GM_ADDR x, GM_ADDR residual, GM_ADDR gamma, GM_ADDR beta, GM_ADDR sum, GM_ADDR y,
                              GM_ADDR mean, GM_ADDR rstd, const LayerNormTiling& t)
      : t_(t), gamma_(gamma, t.width, kFloat || t.gamma_float != 0), beta_(beta, t.width, kFloat || t.beta_float != 0) {
    const uint64_t elems = t.rows * t.width;
    x_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(x), elems);
    y_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(y), elems);
    mean_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(mean), t.rows);
    rstd_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(rstd), t.rows);
    // In this order instructions find their operands in different thirds of UB, where they share no banks: the strip | the
    // queues it is filled from and emptied into | what it is folded in and multiplied by.
    const uint32_t tile = t.tile_rows * t.pitch, numbers = RoundUp(t.tile_rows, kStripBlock);
    pipe.InitBuffer(strip_, tile * sizeof(float));
    pipe.InitBuffer(x_in_, 1, tile * sizeof(T));
    pipe.InitBuffer(y_out_, 1, tile * sizeof(T));
    if (kAdd) {
      residual_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(residual), elems);
      sum_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(sum), elems);
      pipe.InitBuffer(residual_in_, 1, tile * sizeof(T));
      pipe.InitBuffer(sum_out_, 1, tile * sizeof(T));
    }
    pipe.InitBuffer(folded_, t.tile_rows * FoldedColumns(t.width) * sizeof(float));
    pipe.InitBuffer(eighths_, t.tile_rows * FoldedColumns(t.width) / kStripBlock * sizeof(float));
    pipe.InitBuffer(mean_out_, 2, numbers * sizeof(float));
    pipe.InitBuffer(rstd_out_, 2, numbers * sizeof(float));
    pipe.InitBuffer(row_values_, numbers * sizeof(float));
    pipe.InitBuffer(constants_, 3 * numbers * sizeof(float));
    pipe.InitBuffer(spread_, numbers * 32);
    gamma_row_.Init(pipe, t.pitch, 1);
    beta_row_.Init(pipe, t.pitch + kStripLanes, 1);  // 256 bytes more: gamma and beta are operands of one instruction
  }

  __aicore__ inline void Run() {
    const RowRange range(t_);
    // Numbers of rows that a short tile does not have are read and never used.
    const int32_t numbers = static_cast<int32_t>(RoundUp(t_.tile_rows, kStripBlock));
    Duplicate(row_values_.Get<float>(), 0.0f, numbers);
    Duplicate(Ones(), 1.0f, numbers);
    Duplicate(InverseWidth(), t_.inverse_width, numbers);
    Duplicate(Eps(), t_.eps, numbers);
    Fetch(range, range.first);
    gamma_row_.Load(gamma_, 0, t_.width);
    beta_row_.Load(beta_, 0, t_.width);
    for (uint64_t row = range.first; row < range.end; row += t_.tile_rows) {
      const RowStrip shape = TileAt(range, row);
      Gather(row, shape);
      Fetch(range, row + t_.tile_rows);
      Normalise(row, shape);
      Finish(row, shape);
    }
  }

 private:
  __aicore__ inline RowStrip TileAt(const RowRange& range, uint64_t row) const {
    const uint64_t left = range.end - row;
    return {left < t_.tile_rows ? static_cast<uint32_t>(left) : t_.tile_rows, t_.width, t_.pitch};
  }

  // A tile is on its way while the one ahead of it is worked on.
  __aicore__ inline void Fetch(const RowRange& range, uint64_t row) {
    if (row >= range.end) return;
    Load(x_in_, x_, row, TileAt(range, row));
    if constexpr (kAdd) Load(residual_in_, residual_, row, TileAt(range, row));
  }
  // strip = (x - mean) * rstd, and both statistics on their way out.
  __aicore__ inline void Normalise(uint64_t row, const RowStrip& shape) {
    const LocalTensor<float> strip = strip_.Get<float>(), spread = spread_.Get<float>(), values = row_values_.Get<float>();
    const FoldSpace space{folded_.Get<float>(), eighths_.Get<float>()};
    const int32_t rows = static_cast<int32_t>(shape.rows);

    SumRowsOf(values, strip, space, shape);
    StoreNumbers(mean_, mean_out_, values, t_.inverse_width, row, shape.rows);
    SpreadValues(spread, values, shape.rows);
    AddPerRow(strip, spread, -t_.inverse_width, shape);

    SumProductsOf(values, strip, strip, space, shape);
    FusedMulAdd(values, InverseWidth(), Eps(), rows);
    PipeBarrier<PIPE_V>();
    Sqrt(values, values, rows);
    PipeBarrier<PIPE_V>();
    Div(values, Ones(), values, rows);
    PipeBarrier<PIPE_V>();
    StoreNumbers(rstd_, rstd_out_, values, 1.0f, row, shape.rows);
    SpreadValues(spread, values, shape.rows);
    MultiplyPerRow(strip, strip, spread, shape);
  }

  // The strip of a tile in fp32, and with two inputs their sum, as it is stored.
  __aicore__ inline void Gather(uint64_t row, const RowStrip& shape) {
    const uint32_t elems = shape.rows * shape.pitch;
    const LocalTensor<float> strip = strip_.Get<float>();
    LocalTensor<T> x = x_in_.template DeQue<T>();
    if constexpr (kAdd) {
      LocalTensor<T> residual = residual_in_.template DeQue<T>();
      LocalTensor<T> sum = sum_out_.template AllocTensor<T>();
      AddInto(sum, x, residual, elems);
      residual_in_.FreeTensor(residual);
      Widen(strip, sum, elems);
      sum_out_.EnQue(sum);
      sum = sum_out_.template DeQue<T>();
      StoreStripRows(sum_[row * t_.width], sum, shape.rows, shape.cols);
      sum_out_.FreeTensor(sum);
    } else {
      Widen(strip, x, elems);
    }
    x_in_.FreeTensor(x);
  }

  // sum = x + residual, rounded once. bfloat16 has no addition; it takes the way through fp32.
  __aicore__ inline void AddInto(const LocalTensor<T>& sum, const LocalTensor<T>& x, const LocalTensor<T>& residual,
                                 uint32_t elems) {
    if constexpr (kIsBf16<T>) {
      const LocalTensor<float> strip = strip_.Get<float>(), other = folded_.Get<float>();
      const uint32_t step = t_.tile_rows * FoldedColumns(t_.width);  // what `folded_` holds
      Cast(strip, x, RoundMode::CAST_NONE, elems);
      for (uint32_t first = 0; first < elems; first += step) {
        const uint32_t count = Min(step, elems - first);
        Cast(other, residual[first], RoundMode::CAST_NONE, count);
        PipeBarrier<PIPE_V>();
        Add(strip[first], strip[first], other, static_cast<int32_t>(count));
        PipeBarrier<PIPE_V>();
      }
      Cast(sum, strip, RoundMode::CAST_RINT, elems);
    } else {
      Add(sum, x, residual, static_cast<int32_t>(elems));
    }
    PipeBarrier<PIPE_V>();
  }

  __aicore__ inline void Widen(const LocalTensor<float>& strip, const LocalTensor<T>& x, uint32_t elems) {
    if constexpr (kFloat) {
      Adds(strip, x, 0.0f, static_cast<int32_t>(elems));
    } else {
      Cast(strip, x, RoundMode::CAST_NONE, elems);
    }
    PipeBarrier<PIPE_V>();
  }

  // y = strip * gamma + beta.
  __aicore__ inline void Finish(uint64_t row, const RowStrip& shape) {
    const LocalTensor<float> strip = strip_.Get<float>();
    for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
      FusedMulAdd(strip[col], gamma_row_.Get()[col], beta_row_.Get()[col], LanesLeft(shape.cols - col),
                  static_cast<uint8_t>(shape.rows), BinaryRepeatParams(1, 1, 1, shape.Blocks(), 0, 0));
    }
    PipeBarrier<PIPE_V>();
    LocalTensor<T> y = y_out_.template AllocTensor<T>();
    if constexpr (kFloat) {
      Adds(y, strip, 0.0f, static_cast<int32_t>(shape.rows * shape.pitch));
    } else {
      Cast(y, strip, RoundMode::CAST_RINT, shape.rows * shape.pitch);
    }
    y_out_.EnQue(y);
    y = y_out_.template DeQue<T>();
    StoreStripRows(y_[row * t_.width], y, shape.rows, shape.cols);
    y_out_.FreeTensor(y);
  }

  __aicore__ inline void Load(TQue<TPosition::VECIN, 1>& queue, const GlobalTensor<T>& src, uint64_t row,
                              const RowStrip& shape) {
    LocalTensor<T> x = queue.template AllocTensor<T>();
    LoadStripRows(x, src[row * t_.width], shape.rows, shape.cols, shape.pitch);
    queue.EnQue(x);
  }

  // One number per row, times a factor.
  __aicore__ inline void StoreNumbers(const GlobalTensor<float>& dst, TQue<TPosition::VECOUT, 1>& queue,
                                      const LocalTensor<float>& values, float factor, uint64_t row, uint32_t rows) {
    LocalTensor<float> numbers = queue.template AllocTensor<float>();
    Muls(numbers, values, factor, static_cast<int32_t>(rows));
    queue.EnQue(numbers);
    numbers = queue.template DeQue<float>();
    StoreStripRows(dst[row], numbers, 1, rows);
    queue.FreeTensor(numbers);
  }

  __aicore__ inline LocalTensor<float> Ones() { return constants_.Get<float>(); }
  __aicore__ inline LocalTensor<float> InverseWidth() { return Ones()[RoundUp(t_.tile_rows, kStripBlock)]; }
  __aicore__ inline LocalTensor<float> Eps() { return Ones()[2 * RoundUp(t_.tile_rows, kStripBlock)]; }

  const LayerNormTiling& t_;
  const ColumnVector<T> gamma_, beta_;
  GlobalTensor<T> x_, residual_, sum_, y_;
  GlobalTensor<float> mean_, rstd_;
  TQue<TPosition::VECIN, 1> x_in_, residual_in_;
  TQue<TPosition::VECOUT, 1> y_out_, sum_out_, mean_out_, rstd_out_;
  TBuf<TPosition::VECCALC> strip_, folded_, eighths_, row_values_, constants_, spread_;
  ColumnRow<T> gamma_row_, beta_row_;
};

}  // namespace vit

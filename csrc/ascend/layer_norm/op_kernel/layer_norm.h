// Layer normalisation of rows, alone or of the sum of two tensors: the body of two operators.
//
//   MTE2   x (and residual) of the next tile
//   V      [sum] -> fp32 -> mean -> x - mean -> variance -> rstd -> * rstd -> * gamma + beta -> T
//   MTE3   y, [sum], mean, rstd of the tile before
//
// A tile has two buffers: the one it arrives in, and the strip of floats on which all the work is done. The first is
// where its rows are folded to sum them, and free for the next tile after that; squares are folded where y will be,
// once the y before it has left. So nothing in UB is there for the sums alone, and tiles are as tall as can be, since
// an instruction costs a start-up and a dependent pair a wait, whatever the number of rows.
//
// A row is read once and everything about it is computed while it is in UB: the variance is that of the centred row
// (two passes, as rows with a large mean need), statistics are fp32 whatever T is. The kernel is bound by HBM; what the
// vector cores do is about 7.5 passes over a tile, hidden behind the copies of its neighbours.
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

// The rows of one vector core, and its tiles.
struct RowRange {
  uint64_t first, end;
  __aicore__ inline explicit RowRange(const LayerNormTiling& t)
      : first(t.rows * static_cast<uint64_t>(GetBlockIdx()) / t.blocks),
        end(t.rows * (static_cast<uint64_t>(GetBlockIdx()) + 1) / t.blocks) {}
  __aicore__ inline RowStrip TileAt(uint64_t row, const LayerNormTiling& t) const {
    return {end - row < t.tile_rows ? static_cast<uint32_t>(end - row) : t.tile_rows, t.width, t.pitch};
  }
};

// One number per row, on its way out.
__aicore__ inline void StoreNumbers(const GlobalTensor<float>& dst, const LocalTensor<float>& numbers, uint32_t count) {
  DataCopyPad(dst, numbers, DataCopyExtParams(1, count * sizeof(float), 0, 0, 0));
}

template <typename T, bool kAdd>
class LayerNorm {
  static constexpr bool kFloat = sizeof(T) == sizeof(float);

 public:
  __aicore__ inline LayerNorm(TPipe& pipe, GM_ADDR x, GM_ADDR residual, GM_ADDR gamma, GM_ADDR beta, GM_ADDR sum,
                              GM_ADDR y, GM_ADDR mean, GM_ADDR rstd, const LayerNormTiling& t)
      : t_(t),
        numbers_(RoundUp(t.tile_rows, kStripBlock)),
        gamma_(gamma, t.width, kFloat || t.gamma_float != 0),
        beta_(beta, t.width, kFloat || t.beta_float != 0) {
    const uint64_t elems = t.rows * t.width;
    x_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(x), elems);
    y_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(y), elems);
    mean_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(mean), t.rows);
    rstd_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(rstd), t.rows);
    // In this order most instructions find their operands in different thirds of UB, where they share no banks.
    const uint32_t tile = t.tile_rows * t.pitch, columns = RoundUp(t.pitch, kBankPeriod / sizeof(float));
    pipe.InitBuffer(strip_, tile * sizeof(float));
    pipe.InitBuffer(x_in_, 1,
                    tile * sizeof(T) + kBlockBytes);  // what a bfloat16 residual is widened in: half a tile, in blocks
    pipe.InitBuffer(y_out_, 1, tile * sizeof(T));
    if (kAdd) {
      residual_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(residual), elems);
      sum_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(sum), elems);
      pipe.InitBuffer(residual_in_, 1, tile * sizeof(T));
      pipe.InitBuffer(sum_out_, 1, tile * sizeof(T));
    }
    gamma_row_.Init(pipe, columns, 1);
    beta_row_.Init(pipe, columns + kStripLanes, 1);  // 256 bytes more: gamma and beta are operands of one instruction
    pipe.InitBuffer(statistics_out_, 1, numbers_ * sizeof(float));
    pipe.InitBuffer(row_values_, numbers_ * sizeof(float));
    pipe.InitBuffer(constants_, 3 * numbers_ * sizeof(float));
    pipe.InitBuffer(spread_, numbers_ * kBlockBytes);
  }

  __aicore__ inline void Run() {
    const RowRange range(t_);
    Fetch(range, range.first);
    // Numbers of rows that a short tile does not have are read and never used; a gap between rows counts as zeros.
    const int32_t numbers = static_cast<int32_t>(numbers_);
    Duplicate(row_values_.Get<float>(), 0.0f, numbers);
    Duplicate(Ones(), 1.0f, numbers);
    Duplicate(InverseWidth(), t_.inverse_width, numbers);
    Duplicate(Eps(), t_.eps, numbers);
    if constexpr (kFloat) Duplicate(strip_.Get<float>(), 0.0f, static_cast<int32_t>(t_.tile_rows * t_.pitch));
    gamma_row_.Load(gamma_, 0, t_.width);
    beta_row_.Load(beta_, 0, t_.width);
    for (uint64_t row = range.first; row < range.end; row += t_.tile_rows) {
      const RowStrip shape = range.TileAt(row, t_);
      Centre(range, row, shape);
      LocalTensor<T> y = y_out_.template AllocTensor<T>();
      Normalise(y.template ReinterpretCast<float>(), row, shape);
      Finish(y, row, shape);
    }
  }

 private:
  static constexpr uint32_t kBlockBytes = 32;

  // A tile is on its way while the one ahead of it is worked on.
  __aicore__ inline void Fetch(const RowRange& range, uint64_t row) {
    if (row >= range.end) return;
    Load(x_in_, x_, range, row);
    if constexpr (kAdd) Load(residual_in_, residual_, range, row);
  }
  __aicore__ inline void Load(TQue<TPosition::VECIN, 1>& queue, const GlobalTensor<T>& src, const RowRange& range,
                              uint64_t row) {
    LocalTensor<T> x = queue.template AllocTensor<T>();
    LoadStripRows(x, src[row * t_.width], range.TileAt(row, t_));
    queue.EnQue(x);
  }

  // strip = x - mean, with two inputs of their sum as it is stored, and the mean on its way out.
  __aicore__ inline void Centre(const RowRange& range, uint64_t row, const RowStrip& shape) {
    const LocalTensor<float> strip = strip_.Get<float>(), spread = spread_.Get<float>(),
                             values = row_values_.Get<float>();
    LocalTensor<T> x = x_in_.template DeQue<T>();
    if constexpr (kAdd) {
      LocalTensor<T> sum = sum_out_.template AllocTensor<T>();
      AddResidual(sum, x, shape);
      WidenStrip(strip, sum, shape);
      sum_out_.EnQue(sum);
      sum = sum_out_.template DeQue<T>();
      StoreStripRows(sum_[row * t_.width], sum, shape);
      sum_out_.FreeTensor(sum);
    } else {
      WidenStrip(strip, x, shape);
    }
    PipeBarrier<PIPE_V>();
    SumRowsOf(values, strip, x.template ReinterpretCast<float>(), shape);
    x_in_.FreeTensor(x);
    Fetch(range, row + t_.tile_rows);
    SpreadValues(spread, values, shape.rows);
    SendNumbers(mean_, t_.inverse_width, row, shape.rows);
    PipeBarrier<PIPE_V>();
    AddPerRow(strip, spread, -t_.inverse_width, shape);
  }

  // sum = x + residual, rounded once. bfloat16 has no addition; it takes the way through fp32, and x's place with it.
  __aicore__ inline void AddResidual(const LocalTensor<T>& sum, const LocalTensor<T>& x, const RowStrip& shape) {
    LocalTensor<T> residual = residual_in_.template DeQue<T>();
    if constexpr (kIsBf16<T>) {
      const LocalTensor<float> strip = strip_.Get<float>(), other = x.template ReinterpretCast<float>();
      const uint32_t elems = shape.Elems(), step = RoundUp(CeilDiv(elems, 2), kStripUnit);
      Cast(strip, x, RoundMode::CAST_NONE, elems);
      for (uint32_t first = 0; first < elems; first += step) {
        const uint32_t count = Min(step, elems - first);
        Cast(other, residual[first], RoundMode::CAST_NONE, count);
        PipeBarrier<PIPE_V>();
        Add(strip[first], strip[first], other, static_cast<int32_t>(count));
      }
      PipeBarrier<PIPE_V>();
      Cast(sum, strip, RoundMode::CAST_RINT, elems);
    } else if constexpr (kFloat) {
      AddColumns(sum, x, residual, shape.rows, RoundUp(shape.cols, kStripBlock), shape.Blocks(), shape.Blocks(),
                 shape.Blocks());
    } else {
      Add(sum, x, residual, static_cast<int32_t>(shape.Elems()));
    }
    PipeBarrier<PIPE_V>();
    residual_in_.FreeTensor(residual);
  }

  // strip *= rstd, which is on its way out.
  __aicore__ inline void Normalise(const LocalTensor<float>& scratch, uint64_t row, const RowStrip& shape) {
    const LocalTensor<float> strip = strip_.Get<float>(), spread = spread_.Get<float>(),
                             values = row_values_.Get<float>();
    const int32_t rows = static_cast<int32_t>(shape.rows);
    SumSquaresOf(values, strip, scratch, shape);
    FusedMulAdd(values, InverseWidth(), Eps(), rows);
    PipeBarrier<PIPE_V>();
    Sqrt(values, values, rows);
    PipeBarrier<PIPE_V>();
    Div(values, Ones(), values, rows);
    PipeBarrier<PIPE_V>();
    SpreadValues(spread, values, shape.rows);
    SendNumbers(rstd_, 1.0f, row, shape.rows);
    PipeBarrier<PIPE_V>();
    MultiplyPerRow(strip, spread, shape);
  }

  // y = strip * gamma + beta.
  __aicore__ inline void Finish(LocalTensor<T>& y, uint64_t row, const RowStrip& shape) {
    const LocalTensor<float> strip = strip_.Get<float>();
    for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
      FusedMulAdd(strip[col], gamma_row_.Get()[col], beta_row_.Get()[col], LanesLeft(shape.cols - col), shape.Rows(),
                  BinaryRepeatParams(1, 1, 1, shape.Blocks(), 0, 0));
    }
    PipeBarrier<PIPE_V>();
    NarrowStrip(y, strip, shape);
    y_out_.EnQue(y);
    y = y_out_.template DeQue<T>();
    StoreStripRows(y_[row * t_.width], y, shape);
    y_out_.FreeTensor(y);
  }

  // The number of each row, times a factor.
  __aicore__ inline void SendNumbers(const GlobalTensor<float>& dst, float factor, uint64_t row, uint32_t rows) {
    LocalTensor<float> numbers = statistics_out_.AllocTensor<float>();
    Muls(numbers, row_values_.Get<float>(), factor, static_cast<int32_t>(rows));
    statistics_out_.EnQue(numbers);
    numbers = statistics_out_.DeQue<float>();
    StoreNumbers(dst[row], numbers, rows);
    statistics_out_.FreeTensor(numbers);
  }

  __aicore__ inline LocalTensor<float> Ones() { return constants_.Get<float>(); }
  __aicore__ inline LocalTensor<float> InverseWidth() { return Ones()[numbers_]; }
  __aicore__ inline LocalTensor<float> Eps() { return Ones()[2 * numbers_]; }

  const LayerNormTiling& t_;
  const uint32_t numbers_;  // per row of a tile, in whole blocks
  const ColumnVector<T> gamma_, beta_;
  GlobalTensor<T> x_, residual_, sum_, y_;
  GlobalTensor<float> mean_, rstd_;
  TQue<TPosition::VECIN, 1> x_in_, residual_in_;
  TQue<TPosition::VECOUT, 1> y_out_, sum_out_, statistics_out_;
  TBuf<TPosition::VECCALC> strip_, row_values_, constants_, spread_;
  ColumnRow<T> gamma_row_, beta_row_;
};

}  // namespace vit

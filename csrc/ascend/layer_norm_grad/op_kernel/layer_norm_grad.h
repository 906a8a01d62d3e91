// Gradient of a layer norm, alone or of the fused sum before it: the body of two operators. With xhat = (x - mean) *
// rstd, g = dy * gamma and the sums over the columns of a row,
//
//   dx = rstd * (g - sum(g) / width - xhat * sum(g * xhat) / width)   [+ dsum]        dgamma += dy * xhat   dbeta += dy
//
//   MTE2   dy, x, mean, rstd of the next tile; dsum
//   V      A = dy    X = xhat    P = A X    A = g     P = two half-wide rows per row     A = rstd A + k1 X + k2   -> T
//           |-> dbeta             |-> dgamma              folded into the two sums -> k1, k2
//   MTE3   dx of the tile before
//
// Three strips of floats are all it takes: inputs are widened at once, so that their single buffers fill again while a
// tile is worked on, and dx leaves through P. One half of P takes g * xhat, the other g, both folded once; from there
// on they are twice as many rows of half the width, and one chain of folds sums both.
//
// dgamma and dbeta are sums over rows: every core adds its own rows up in UB and writes two rows of sums once. After a
// barrier over all cores the columns are dealt to them, and each adds the cores' sums of its columns in order: the
// result does not depend on which core was first, and per row no traffic is caused but that of x, dy and dx.
#pragma once

#include "kernel_operator.h"

#include "common/column_sums.h"
#include "layer_norm/op_kernel/layer_norm.h"

namespace vit {

template <typename T, bool kAdd>
class LayerNormGrad {
  static constexpr bool kFloat = sizeof(T) == sizeof(float);

 public:
  __aicore__ inline LayerNormGrad(TPipe& pipe, GM_ADDR dsum, GM_ADDR dy, GM_ADDR x, GM_ADDR gamma, GM_ADDR mean,
                                  GM_ADDR rstd, GM_ADDR dx, GM_ADDR workspace, const LayerNormTiling& t)
      : t_(t), numbers_(RoundUp(t.tile_rows, kStripBlock)), gamma_(gamma, t.width, kFloat || t.gamma_float != 0) {
    const uint64_t elems = t.rows * t.width;
    dy_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dy), elems);
    x_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(x), elems);
    dx_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dx), elems);
    mean_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(mean), t.rows);
    rstd_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(rstd), t.rows);
    partial_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(workspace), uint64_t(t.blocks) * 2 * t.pitch);
    // Operands of one instruction should lie an odd number of 256 bytes apart: A and P on even ones, X, gamma and the
    // sums on odd ones. What is spread over the rows comes last, away from the strips.
    const uint32_t tile = t.tile_rows * t.pitch, strip = RoundUp(tile * sizeof(float), kBankPeriod);
    const uint32_t columns = RoundUp(t.pitch * sizeof(float), kBankPeriod);
    pipe.InitBuffer(a_, strip + kBankPeriod / 2);
    pipe.InitBuffer(x_strip_, strip + kBankPeriod / 2);
    pipe.InitBuffer(p_, 1, strip + kBankPeriod / 2);
    gamma_row_.Init(pipe, columns / sizeof(float), 1);
    pipe.InitBuffer(sums_, 2 * columns);
    pipe.InitBuffer(dy_in_, 1, tile * sizeof(T));
    pipe.InitBuffer(x_in_, 1, tile * sizeof(T));
    if (kAdd) {
      dsum_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dsum), elems);
      pipe.InitBuffer(dsum_in_, 1, tile * sizeof(T));
    }
    pipe.InitBuffer(statistics_in_, 1, 2 * numbers_ * sizeof(float));
    pipe.InitBuffer(shift_, numbers_ * sizeof(float));
    pipe.InitBuffer(row_sums_, 2 * numbers_ * sizeof(float));
    pipe.InitBuffer(factors_, 3 * (numbers_ + 1) * kBlockBytes);
    pipe.InitBuffer(weights_, 2 * numbers_ * kBlockBytes);
  }

  // This core's rows: dx, and the sums for gamma and beta into its part of the workspace.
  __aicore__ inline void Rows() {
    const RowRange range(t_);
    Fetch(range, range.first);
    // Columns that only the strips and gamma have count as zeros; numbers of rows that a short tile does not have are
    // read.
    Duplicate(a_.Get<float>(), 0.0f, static_cast<int32_t>(t_.tile_rows * t_.pitch));
    Duplicate(x_strip_.Get<float>(), 0.0f, static_cast<int32_t>(t_.tile_rows * t_.pitch));
    Duplicate(row_sums_.Get<float>(), 0.0f, static_cast<int32_t>(2 * numbers_));
    Duplicate(sums_.Get<float>(), 0.0f, static_cast<int32_t>(2 * SumPitch()));
    Duplicate(gamma_row_.Get(), 0.0f, static_cast<int32_t>(t_.pitch));
    PipeBarrier<PIPE_V>();
    gamma_row_.Load(gamma_, 0, t_.width);
    for (uint64_t row = range.first; row < range.end; row += t_.tile_rows) {
      const RowStrip shape = range.TileAt(row, t_);
      if constexpr (kAdd) Load(dsum_in_, dsum_, row, shape);
      Read(range, row, shape);
      LocalTensor<float> p = p_.template AllocTensor<float>();
      Multiply(p, shape);
      Weights(p, shape);
      Finish(p, row, shape);
    }
    StoreSums();
  }

 private:
  static constexpr uint32_t kBlockBytes = 32;

  __aicore__ inline uint32_t SumPitch() const { return RoundUp(t_.pitch * sizeof(float), kBankPeriod) / sizeof(float); }

  // A tile is on its way while the one ahead of it is worked on.
  __aicore__ inline void Fetch(const RowRange& range, uint64_t row) {
    if (row >= range.end) return;
    const RowStrip shape = range.TileAt(row, t_);
    LocalTensor<float> statistics = statistics_in_.AllocTensor<float>();
    LoadRow(statistics, mean_[row], shape.rows);
    LoadRow(statistics[numbers_], rstd_[row], shape.rows);
    statistics_in_.EnQue(statistics);
    Load(dy_in_, dy_, row, shape);
    Load(x_in_, x_, row, shape);
  }
  __aicore__ inline void Load(TQue<TPosition::VECIN, 1>& queue, const GlobalTensor<T>& src, uint64_t row,
                              const RowStrip& shape) {
    LocalTensor<T> x = queue.template AllocTensor<T>();
    LoadStripRows(x, src[row * t_.width], shape);
    queue.EnQue(x);
  }

  // The next tensor of a queue in floats; no barrier.
  __aicore__ inline void Widen(const LocalTensor<float>& strip, TQue<TPosition::VECIN, 1>& queue,
                               const RowStrip& shape) {
    LocalTensor<T> x = queue.template DeQue<T>();
    WidenStrip(strip, x, shape);
    queue.FreeTensor(x);
  }

  // rstd, -mean * rstd and -rstd / width of each row, spread over a block. A block lies between them: the same row's
  // are operands of one instruction.
  __aicore__ inline LocalTensor<float> Factor(uint32_t index) {
    return factors_.Get<float>()[index * (numbers_ + 1) * kStripBlock];
  }

  // A = dy, X = xhat, and dbeta.
  __aicore__ inline void Read(const RowRange& range, uint64_t row, const RowStrip& shape) {
    const LocalTensor<float> a = a_.Get<float>(), x = x_strip_.Get<float>(), shift = shift_.Get<float>();
    const int32_t rows = static_cast<int32_t>(RoundUp(shape.rows, kStripBlock));  // whole blocks are loaded
    LocalTensor<float> statistics = statistics_in_.DeQue<float>();
    const LocalTensor<float> rstd = statistics[numbers_];
    Muls(shift, statistics, -1.0f, rows);
    SpreadValues(Factor(0), rstd, shape.rows);
    Widen(a, dy_in_, shape);
    PipeBarrier<PIPE_V>();
    Mul(shift, shift, rstd, rows);
    Muls(Factor(2), Factor(0), -t_.inverse_width, rows * static_cast<int32_t>(kStripBlock));
    statistics_in_.FreeTensor(statistics);
    Widen(x, x_in_, shape);
    Fetch(range, row + t_.tile_rows);
    PipeBarrier<PIPE_V>();
    SpreadValues(Factor(1), shift, shape.rows);
    AddRows(sums_.Get<float>()[SumPitch()], a, shape.rows, t_.pitch, t_.pitch);
    PipeBarrier<PIPE_V>();
    for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
      FusedMulAdd(x[col], Factor(0), Factor(1), LanesLeft(shape.cols - col), shape.Rows(),
                  BinaryRepeatParams(1, 0, 0, shape.Blocks(), 1, 1));
    }
    PipeBarrier<PIPE_V>();
  }

  // P = A X and dgamma; then A = g, and P in two halves: g * xhat folded once, and g folded once.
  __aicore__ inline void Multiply(const LocalTensor<float>& p, const RowStrip& shape) {
    const LocalTensor<float> a = a_.Get<float>(), gamma = gamma_row_.Get();
    const uint32_t middle = shape.Half();
    const uint8_t blocks = shape.Blocks();
    Mul(p, a, x_strip_.Get<float>(), static_cast<int32_t>(shape.Elems()));
    PipeBarrier<PIPE_V>();
    AddRows(sums_.Get<float>(), p, shape.rows, t_.pitch, t_.pitch);
    MultiplyByColumns(a, gamma, t_.pitch, shape);
    MultiplyByColumns(p, gamma, middle, shape);
    PipeBarrier<PIPE_V>();
    for (uint32_t col = 0; col < middle; col += kStripLanes) {
      MulAddDst(p[col], p[middle + col], gamma[middle + col], LanesLeft(middle - col), shape.Rows(),
                BinaryRepeatParams(1, 1, 1, blocks, blocks, 0));
    }
    AddHalves(p[middle], a, shape, blocks);
    PipeBarrier<PIPE_V>();
  }

  // k1 = -rstd sum(g xhat) / width and k2 = -rstd sum(g) / width, in two blocks per row.
  __aicore__ inline void Weights(const LocalTensor<float>& p, const RowStrip& shape) {
    const LocalTensor<float> sums = row_sums_.Get<float>(), weights = weights_.Get<float>();
    FoldRows(sums, p, 2 * shape.rows, shape.Half(), static_cast<uint8_t>(shape.Half() / kStripBlock));
    const uint8_t groups = static_cast<uint8_t>(RoundUp(shape.rows, kStripBlock) / kStripBlock);
    SpreadValues(weights, sums, kStripBlock * 2 * groups);
    if constexpr (kAdd) Widen(p, dsum_in_, shape);
    PipeBarrier<PIPE_V>();
    for (uint32_t i = 0; i < 2; ++i) {
      Mul(weights[i * kStripBlock], weights[i * kStripBlock], Factor(2), kStripLanes, groups,
          BinaryRepeatParams(2, 2, 1, 16, 16, 8));
    }
    PipeBarrier<PIPE_V>();
  }

  // dx = rstd A + k1 X + k2 [+ dsum].
  __aicore__ inline void Finish(LocalTensor<float>& p, uint64_t row, const RowStrip& shape) {
    const LocalTensor<float> a = a_.Get<float>(), x = x_strip_.Get<float>(), weights = weights_.Get<float>();
    const uint8_t rows = shape.Rows(), blocks = shape.Blocks();
    for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
      FusedMulAdd(x[col], weights, weights[kStripBlock], LanesLeft(shape.cols - col), rows,
                  BinaryRepeatParams(1, 0, 0, blocks, 2, 2));
    }
    PipeBarrier<PIPE_V>();
    for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
      FusedMulAdd(a[col], Factor(0), x[col], LanesLeft(shape.cols - col), rows,
                  BinaryRepeatParams(1, 0, 1, blocks, 1, blocks));
    }
    PipeBarrier<PIPE_V>();
    if constexpr (kAdd) {
      if constexpr (kFloat) {
        AddColumns(a, a, p, shape.rows, shape.cols, blocks, blocks, blocks);  // the gap of A stays zero
      } else {
        Add(a, a, p, static_cast<int32_t>(shape.Elems()));
      }
      PipeBarrier<PIPE_V>();
    }
    LocalTensor<T> dx = p.template ReinterpretCast<T>();
    NarrowStrip(dx, a, shape);
    p_.EnQue(dx);
    dx = p_.template DeQue<T>();
    StoreStripRows(dx_[row * t_.width], dx, shape);
    p_.FreeTensor(dx);
  }

  // The sums are complete: the last dx on its way out was computed after them.
  __aicore__ inline void StoreSums() {
    const GlobalTensor<float> partial = partial_[static_cast<uint64_t>(GetBlockIdx()) * 2 * t_.pitch];
    DataCopy(partial, sums_.Get<float>(), t_.pitch);
    DataCopy(partial[t_.pitch], sums_.Get<float>()[SumPitch()], t_.pitch);
  }

  const LayerNormTiling& t_;
  const uint32_t numbers_;
  const ColumnVector<T> gamma_;
  GlobalTensor<T> dsum_, dy_, x_, dx_;
  GlobalTensor<float> mean_, rstd_, partial_;
  TQue<TPosition::VECIN, 1> x_in_, dy_in_, dsum_in_, statistics_in_;
  TQue<TPosition::VECOUT, 1> p_;
  TBuf<TPosition::VECCALC> a_, x_strip_, sums_, shift_, row_sums_, factors_, weights_;
  ColumnRow<T> gamma_row_;
};

// The second half, after a barrier over all cores: columns are dealt out in groups of one repeat, and the sums of all
// cores are added up in their order.
class ParameterSums {
 public:
  __aicore__ inline ParameterSums(TPipe& pipe, GM_ADDR workspace, GM_ADDR dgamma, GM_ADDR dbeta,
                                  const LayerNormTiling& t)
      : t_(t) {
    partial_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(workspace), uint64_t(t.blocks) * 2 * t.pitch);
    result_[0].SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dgamma), t.width);
    result_[1].SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dbeta), t.width);
    pipe.InitBuffer(in_, 1, t.blocks * kStripLanes * sizeof(float));
    pipe.InitBuffer(out_, 1, kStripLanes * sizeof(float));
  }

  __aicore__ inline void Run() {
    const uint32_t groups = CeilDiv(t_.width, kStripLanes);
    for (uint32_t i = static_cast<uint32_t>(GetBlockIdx()); i < 2 * groups; i += t_.blocks) {
      Group(i / groups, i % groups);
    }
  }

 private:
  __aicore__ inline void Group(uint32_t which, uint32_t group) {
    const uint32_t col = group * kStripLanes, cols = Min(kStripLanes, t_.width - col),
                   padded = RoundUp(cols, kStripBlock);
    LocalTensor<float> in = in_.AllocTensor<float>();
    DataCopyPad(in, partial_[which * t_.pitch + col],
                DataCopyExtParams(static_cast<uint16_t>(t_.blocks), padded * sizeof(float),
                                  (2 * t_.pitch - padded) * sizeof(float), 0, 0),
                DataCopyPadExtParams<float>());
    in_.EnQue(in);
    in = in_.DeQue<float>();
    LocalTensor<float> out = out_.AllocTensor<float>();
    Duplicate(out, 0.0f, static_cast<int32_t>(kStripLanes));
    PipeBarrier<PIPE_V>();
    AddRows(out, in, t_.blocks, padded, padded);
    in_.FreeTensor(in);
    out_.EnQue(out);
    out = out_.DeQue<float>();
    StoreNumbers(result_[which][col], out, cols);
    out_.FreeTensor(out);
  }

  const LayerNormTiling& t_;
  GlobalTensor<float> partial_, result_[2];
  TQue<TPosition::VECIN, 1> in_;
  TQue<TPosition::VECOUT, 1> out_;
};

template <typename T, bool kAdd>
__aicore__ inline void RunLayerNormGrad(GM_ADDR dsum, GM_ADDR dy, GM_ADDR x, GM_ADDR gamma, GM_ADDR mean, GM_ADDR rstd,
                                        GM_ADDR dx, GM_ADDR dgamma, GM_ADDR dbeta, GM_ADDR workspace,
                                        const LayerNormTiling& t) {
  TPipe pipe;
  LayerNormGrad<T, kAdd>(pipe, dsum, dy, x, gamma, mean, rstd, dx, workspace, t).Rows();
  pipe.Reset();
  SyncAll();
  ParameterSums(pipe, workspace, dgamma, dbeta, t).Run();
}

}  // namespace vit

// Gradient of a layer norm, alone or of the fused sum before it: the body of two operators. With xhat = (x - mean) * rstd,
// g = dy * gamma and means over the columns of a row,
//
//   dx = rstd * (g - mean(g) - xhat * mean(g * xhat))   [+ dsum]        dgamma += dy * xhat        dbeta += dy
//
// It is evaluated on c = x - mean and d = dy * rstd, so that xhat is never formed: dgamma += d * c, and with h = d * gamma
//
//   dx = h - mean(h) - c * (rstd^2 * mean(h * c))
//
//   MTE2   x, dy [, dsum] of the next tile, mean, rstd
//   V      c | dy -> dbeta | d | d * c -> dgamma | h | row sums of h and h * c | dx
//   MTE3   dx of the tile before
//
// dgamma and dbeta are sums over rows: every core adds its own rows up in UB and writes two rows of sums once. After a
// barrier over all cores the columns are dealt to them, and each adds the cores' sums of its columns in order: the result
// does not depend on which core was first, and per row no traffic is caused but that of x, dy and dx.
#pragma once

#include "kernel_operator.h"

#include "common/column_sums.h"
#include "layer_norm/op_kernel/layer_norm.h"

namespace vit {

template <typename T, bool kAdd>
class LayerNormGrad {
  static constexpr bool kFloat = sizeof(T) == sizeof(float);

 public:
  __aicore__ inline LayerNormGrad(TPipe& pipe, GM_ADDR dsum, GM_ADDR dy, GM_ADDR x, GM_ADDR gamma, GM_ADDR mean, GM_ADDR rstd,
                                  GM_ADDR dx, GM_ADDR dgamma, GM_ADDR dbeta, GM_ADDR workspace, const LayerNormTiling& t)
      : t_(t), gamma_(gamma, t.width, kFloat || t.gamma_float != 0) {
    const uint64_t elems = t.rows * t.width;
    dy_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dy), elems);
    x_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(x), elems);
    dx_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dx), elems);
    mean_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(mean), t.rows);
    rstd_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(rstd), t.rows);
    dgamma_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dgamma), t.width);
    dbeta_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dbeta), t.width);
    partial_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(workspace), uint64_t(t.blocks) * 2 * t.pitch);
    // Two operands of an instruction should lie an odd number of 256 bytes apart: c, the sums and gamma on even ones, the
    // gradient and what it is folded in on odd ones.
    const uint32_t tile = t.tile_rows * t.pitch, numbers = RoundUp(t.tile_rows, kStripBlock);
    pipe.InitBuffer(centred_, RoundUp(tile * sizeof(float), kBankPeriod) + kBankPeriod / 2);
    pipe.InitBuffer(gradient_, RoundUp(tile * sizeof(float), kBankPeriod));
    pipe.InitBuffer(folded_, RoundUp(t.tile_rows * FoldedColumns(t.width) * sizeof(float), kBankPeriod) + kBankPeriod / 2);
    pipe.InitBuffer(sums_, 2 * t.pitch * sizeof(float));
    gamma_row_.Init(pipe, t.pitch, 1);
    pipe.InitBuffer(x_in_, 1, tile * sizeof(T));
    pipe.InitBuffer(dy_in_, 1, tile * sizeof(T));
    pipe.InitBuffer(dx_out_, 1, tile * sizeof(T));
    if (kAdd) {
      dsum_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dsum), elems);
      pipe.InitBuffer(dsum_in_, 1, tile * sizeof(T));
    }
    pipe.InitBuffer(eighths_, t.tile_rows * FoldedColumns(t.width) / kStripBlock * sizeof(float));
    pipe.InitBuffer(statistics_in_, 1, 2 * numbers * sizeof(float));
    pipe.InitBuffer(row_values_, 4 * numbers * sizeof(float));
    pipe.InitBuffer(spread_, 2 * numbers * 32);
  }

  // This core's rows: dx, and the sums for gamma and beta into its part of the workspace.
  __aicore__ inline void Rows() {
    const RowRange range(t_);
    const int32_t numbers = static_cast<int32_t>(RoundUp(t_.tile_rows, kStripBlock));
    Fetch(range, range.first);
    Duplicate(row_values_.Get<float>(), 0.0f, 4 * numbers);
    Duplicate(sums_.Get<float>(), 0.0f, static_cast<int32_t>(2 * t_.pitch));
    gamma_row_.Load(gamma_, 0, t_.width);
    for (uint64_t row = range.first; row < range.end; row += t_.tile_rows) {
      const RowStrip shape = TileAt(range, row);
      Spread(shape);
      Widen(centred_, x_in_, shape);
      Widen(gradient_, dy_in_, shape);
      PipeBarrier<PIPE_V>();
      Fetch(range, row + t_.tile_rows);
      Sums(shape);
      Finish(row, shape);
    }
    StoreSums();
  }

 private:
  __aicore__ inline RowStrip TileAt(const RowRange& range, uint64_t row) const {
    const uint64_t left = range.end - row;
    return {left < t_.tile_rows ? static_cast<uint32_t>(left) : t_.tile_rows, t_.width, t_.pitch};
  }
  __aicore__ inline uint32_t Numbers() const { return RoundUp(t_.tile_rows, kStripBlock); }
  __aicore__ inline LocalTensor<float> SpreadAt(uint32_t index) { return spread_.Get<float>()[index * Numbers() * kStripBlock]; }

  // A tile is on its way while the one ahead of it is worked on.
  __aicore__ inline void Fetch(const RowRange& range, uint64_t row) {
    if (row >= range.end) return;
    const RowStrip shape = TileAt(range, row);
    LocalTensor<float> statistics = statistics_in_.AllocTensor<float>();
    LoadRow(statistics, mean_[row], shape.rows);
    LoadRow(statistics[Numbers()], rstd_[row], shape.rows);
    statistics_in_.EnQue(statistics);
    Load(x_in_, x_, row, shape);
    Load(dy_in_, dy_, row, shape);
  }
  __aicore__ inline void Load(TQue<TPosition::VECIN, 1>& queue, const GlobalTensor<T>& src, uint64_t row,
                              const RowStrip& shape) {
    LocalTensor<T> x = queue.template AllocTensor<T>();
    LoadStripRows(x, src[row * t_.width], shape.rows, shape.cols, shape.pitch);
    queue.EnQue(x);
  }

  // Four numbers per row: mean (later mean of h), rstd, -rstd^2 / width (later its product with the sum of h c), that sum.
  __aicore__ inline LocalTensor<float> Values(uint32_t index) { return row_values_.Get<float>()[index * Numbers()]; }

  // mean and rstd of the tile's rows, spread over a block each.
  __aicore__ inline void Spread(const RowStrip& shape) {
    const int32_t rows = static_cast<int32_t>(shape.rows);
    LocalTensor<float> statistics = statistics_in_.DeQue<float>();
    Adds(Values(0), statistics, 0.0f, rows);
    Adds(Values(1), statistics[Numbers()], 0.0f, rows);
    PipeBarrier<PIPE_V>();
    statistics_in_.FreeTensor(statistics);
    Mul(Values(2), Values(1), Values(1), rows);
    SpreadValues(SpreadAt(0), Values(0), shape.rows);
    Muls(Values(2), Values(2), -t_.inverse_width, rows);
    SpreadValues(SpreadAt(1), Values(1), shape.rows);
  }

  __aicore__ inline void Widen(TBuf<TPosition::VECCALC>& strip, TQue<TPosition::VECIN, 1>& queue, const RowStrip& shape) {
    LocalTensor<T> x = queue.template DeQue<T>();
    const uint32_t elems = shape.rows * shape.pitch;
    if constexpr (kFloat) {
      Adds(strip.Get<float>(), x, 0.0f, static_cast<int32_t>(elems));
    } else {
      Cast(strip.Get<float>(), x, RoundMode::CAST_NONE, elems);
    }
    queue.FreeTensor(x);
  }

  // c and h; dgamma and dbeta; -mean(h) and -rstd^2 mean(h c), spread over a block each.
  __aicore__ inline void Sums(const RowStrip& shape) {
    const LocalTensor<float> centred = centred_.Get<float>(), gradient = gradient_.Get<float>(), sums = sums_.Get<float>();
    const FoldSpace space{folded_.Get<float>(), eighths_.Get<float>()};
    const int32_t rows = static_cast<int32_t>(shape.rows);
    AddRows(sums[t_.pitch], gradient, shape.rows, shape.WholeBlocks(), shape.pitch);
    AddPerRow(centred, SpreadAt(0), -1.0f, shape);
    MultiplyPerRow(gradient, gradient, SpreadAt(1), shape);
    AddGamma(sums, gradient, centred, shape);
    MultiplyByColumns(gradient, gradient, gamma_row_.Get(), shape);
    PipeBarrier<PIPE_V>();
    SumRowsOf(Values(0), gradient, space, shape);
    SumProductsOf(Values(3), gradient, centred, space, shape);
    Mul(Values(2), Values(2), Values(3), rows);
    SpreadValues(SpreadAt(0), Values(0), shape.rows);
    SpreadValues(SpreadAt(1), Values(2), shape.rows);
  }

  // dgamma += d * c, a part of the columns at a time.
  __aicore__ inline void AddGamma(const LocalTensor<float>& sums, const LocalTensor<float>& gradient,
                                  const LocalTensor<float>& centred, const RowStrip& shape) {
    const LocalTensor<float> product = folded_.Get<float>();
    const uint32_t part = FoldedColumns(t_.width), all = shape.WholeBlocks();
    const uint8_t blocks = static_cast<uint8_t>(part / kStripBlock);
    for (uint32_t first = 0; first < all; first += part) {
      const uint32_t cols = Min(part, all - first);
      for (uint32_t col = 0; col < cols; col += kStripLanes) {
        Mul(product[col], gradient[first + col], centred[first + col], LanesLeft(cols - col),
            static_cast<uint8_t>(shape.rows), BinaryRepeatParams(1, 1, 1, blocks, shape.Blocks(), shape.Blocks()));
      }
      PipeBarrier<PIPE_V>();
      AddRows(sums[first], product, shape.rows, cols, part);
    }
  }

  // dx = h - mean(h) - c * (rstd^2 mean(h c)) [+ dsum], in place of h.
  __aicore__ inline void Finish(uint64_t row, const RowStrip& shape) {
    const LocalTensor<float> centred = centred_.Get<float>(), gradient = gradient_.Get<float>();
    const int32_t elems = static_cast<int32_t>(shape.rows * shape.pitch);
    if constexpr (kAdd) Load(dsum_in_, dsum_, row, shape);
    for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
      MulAddDst(gradient[col], centred[col], SpreadAt(1), LanesLeft(shape.cols - col), static_cast<uint8_t>(shape.rows),
                BinaryRepeatParams(1, 1, 0, shape.Blocks(), shape.Blocks(), 1));
    }
    PipeBarrier<PIPE_V>();
    AddPerRow(gradient, SpreadAt(0), -t_.inverse_width, shape);
    if constexpr (kAdd) {
      Widen(centred_, dsum_in_, shape);
      PipeBarrier<PIPE_V>();
      Add(gradient, gradient, centred, elems);
      PipeBarrier<PIPE_V>();
    }
    LocalTensor<T> dx = dx_out_.template AllocTensor<T>();
    if constexpr (kFloat) {
      Adds(dx, gradient, 0.0f, elems);
    } else {
      Cast(dx, gradient, RoundMode::CAST_RINT, static_cast<uint32_t>(elems));
    }
    dx_out_.EnQue(dx);
    dx = dx_out_.template DeQue<T>();
    StoreStripRows(dx_[row * t_.width], dx, shape.rows, shape.cols);
    dx_out_.FreeTensor(dx);
  }

  __aicore__ inline void StoreSums() {
    const int32_t event = static_cast<int32_t>(GetTPipePtr()->FetchEventID(HardEvent::V_MTE3));
    SetFlag<HardEvent::V_MTE3>(event);
    WaitFlag<HardEvent::V_MTE3>(event);
    DataCopy(partial_[static_cast<uint64_t>(GetBlockIdx()) * 2 * t_.pitch], sums_.Get<float>(), 2 * t_.pitch);
  }

  const LayerNormTiling& t_;
  const ColumnVector<T> gamma_;
  GlobalTensor<T> dsum_, dy_, x_, dx_;
  GlobalTensor<float> mean_, rstd_, dgamma_, dbeta_, partial_;
  TQue<TPosition::VECIN, 1> x_in_, dy_in_, dsum_in_, statistics_in_;
  TQue<TPosition::VECOUT, 1> dx_out_;
  TBuf<TPosition::VECCALC> centred_, gradient_, folded_, eighths_, row_values_, spread_, sums_;
  ColumnRow<T> gamma_row_;
};

// The second half, after a barrier over all cores: columns are dealt out in groups of one repeat, and the sums of all
// cores are added up in their order.
class ParameterSums {
 public:
  __aicore__ inline ParameterSums(TPipe& pipe, GM_ADDR workspace, GM_ADDR dgamma, GM_ADDR dbeta, const LayerNormTiling& t)
      : t_(t) {
    partial_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(workspace), uint64_t(t.blocks) * 2 * t.pitch);
    result_[0].SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dgamma), t.width);
    result_[1].SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dbeta), t.width);
    pipe.InitBuffer(in_, 1, t.blocks * kStripLanes * sizeof(float));
    pipe.InitBuffer(out_, 1, kStripLanes * sizeof(float));
  }

  __aicore__ inline void Run() {
    const uint32_t groups = CeilDiv(t_.width, kStripLanes);
    for (uint32_t i = static_cast<uint32_t>(GetBlockIdx()); i < 2 * groups; i += t_.blocks) Group(i / groups, i % groups);
  }

 private:
  __aicore__ inline void Group(uint32_t which, uint32_t group) {
    const uint32_t col = group * kStripLanes, cols = Min(kStripLanes, t_.width - col), padded = RoundUp(cols, kStripBlock);
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
    StoreStripRows(result_[which][col], out, 1, cols);
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
  LayerNormGrad<T, kAdd>(pipe, dsum, dy, x, gamma, mean, rstd, dx, dgamma, dbeta, workspace, t).Rows();
  pipe.Reset();
  SyncAll();
  ParameterSums(pipe, workspace, dgamma, dbeta, t).Run();
}

}  // namespace vit

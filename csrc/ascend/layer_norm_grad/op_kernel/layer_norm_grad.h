// Gradient of a layer norm, alone or of the fused sum before it: the body of two operators. With xhat = (x - mean) * rstd
// and g = dy * gamma, per row and over the columns,
//
//   dx = rstd * (g - mean(g) - xhat * mean(g * xhat))   [+ dsum]        dgamma += dy * xhat        dbeta += dy
//
//   MTE2   x, dy [, dsum] of the next tile, mean, rstd
//   V      xhat | dy * xhat -> dgamma, row sums | g -> row sums | dx
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
    const uint32_t tile = t.tile_rows * t.pitch, numbers = RoundUp(t.tile_rows, kStripBlock);
    pipe.InitBuffer(xhat_, tile * sizeof(float));
    pipe.InitBuffer(gradient_, tile * sizeof(float));
    pipe.InitBuffer(product_, tile * sizeof(float));
    pipe.InitBuffer(x_in_, 1, tile * sizeof(T));
    pipe.InitBuffer(dy_in_, 1, tile * sizeof(T));
    pipe.InitBuffer(dx_out_, 1, tile * sizeof(T));
    if (kAdd) {
      dsum_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dsum), elems);
      pipe.InitBuffer(dsum_in_, 1, tile * sizeof(T));
    }
    pipe.InitBuffer(folded_, t.tile_rows * FoldedColumns(t.width) * sizeof(float));
    pipe.InitBuffer(eighths_, t.tile_rows * FoldedColumns(t.width) / kStripBlock * sizeof(float));
    pipe.InitBuffer(statistics_in_, 1, 2 * numbers * sizeof(float));
    pipe.InitBuffer(row_values_, 2 * numbers * sizeof(float));
    pipe.InitBuffer(spread_, 4 * numbers * 32);
    pipe.InitBuffer(sums_, 2 * t.pitch * sizeof(float));
    gamma_row_.Init(pipe, t.pitch, 1);
  }

  // This core's rows: dx, and the sums for gamma and beta into its part of the workspace.
  __aicore__ inline void Rows() {
    const RowRange range(t_);
    const int32_t numbers = static_cast<int32_t>(RoundUp(t_.tile_rows, kStripBlock));
    Fetch(range, range.first);
    Duplicate(row_values_.Get<float>(), 0.0f, 2 * numbers);
    Duplicate(sums_.Get<float>(), 0.0f, static_cast<int32_t>(2 * t_.pitch));
    gamma_row_.Load(gamma_, 0, t_.width);
    for (uint64_t row = range.first; row < range.end; row += t_.tile_rows) {
      const RowStrip shape = TileAt(range, row);
      Spread(shape);
      Widen(xhat_, x_in_, shape);
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

  // mean and rstd of the tile's rows, spread over a block each (0 and 1).
  __aicore__ inline void Spread(const RowStrip& shape) {
    const int32_t rows = static_cast<int32_t>(shape.rows);
    const LocalTensor<float> values = row_values_.Get<float>();
    LocalTensor<float> statistics = statistics_in_.DeQue<float>();
    Adds(values, statistics, 0.0f, rows);
    Adds(values[Numbers()], statistics[Numbers()], 0.0f, rows);
    PipeBarrier<PIPE_V>();
    statistics_in_.FreeTensor(statistics);
    SpreadValues(SpreadAt(0), values, shape.rows);
    SpreadValues(SpreadAt(1), values[Numbers()], shape.rows);
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

  // xhat; dgamma and dbeta; the row means of g and g * xhat, spread over a block each (2 and 3); gradient becomes g.
  __aicore__ inline void Sums(const RowStrip& shape) {
    const LocalTensor<float> xhat = xhat_.Get<float>(), gradient = gradient_.Get<float>(), product = product_.Get<float>();
    const LocalTensor<float> values = row_values_.Get<float>(), sums = sums_.Get<float>();
    const FoldSpace space{folded_.Get<float>(), eighths_.Get<float>()};
    AddPerRow(xhat, SpreadAt(0), -1.0f, shape);
    AddRows(sums[t_.pitch], gradient, shape.rows, shape.WholeBlocks(), shape.pitch);
    MultiplyPerRow(xhat, xhat, SpreadAt(1), shape);
    for (uint32_t col = 0; col < shape.cols; col += kStripLanes) {
      Mul(product[col], gradient[col], xhat[col], LanesLeft(shape.cols - col), static_cast<uint8_t>(shape.rows),
          BinaryRepeatParams(1, 1, 1, shape.Blocks(), shape.Blocks(), shape.Blocks()));
    }
    PipeBarrier<PIPE_V>();
    AddRows(sums, product, shape.rows, shape.cols, shape.pitch);
    MultiplyByColumns(gradient, gradient, gamma_row_.Get(), shape);
    PipeBarrier<PIPE_V>();
    SumRowsOf(values, gradient, space, shape);
    SumProductsOf(values[Numbers()], gradient, xhat, space, shape);
    Muls(values, values, t_.inverse_width, static_cast<int32_t>(2 * Numbers()));
    PipeBarrier<PIPE_V>();
    SpreadValues(SpreadAt(2), values, shape.rows);
    SpreadValues(SpreadAt(3), values[Numbers()], shape.rows);
  }

  // dx = rstd * (g - mean(g) - xhat * mean(g xhat)) [+ dsum].
  __aicore__ inline void Finish(uint64_t row, const RowStrip& shape) {
    const LocalTensor<float> xhat = xhat_.Get<float>(), gradient = gradient_.Get<float>(), product = product_.Get<float>();
    if constexpr (kAdd) Load(dsum_in_, dsum_, row, shape);
    MultiplyPerRow(xhat, xhat, SpreadAt(3), shape);
    AddPerRow(gradient, SpreadAt(2), -1.0f, shape);
    const int32_t elems = static_cast<int32_t>(shape.rows * shape.pitch);
    Sub(product, gradient, xhat, elems);
    PipeBarrier<PIPE_V>();
    MultiplyPerRow(product, product, SpreadAt(1), shape);
    if constexpr (kAdd) {
      Widen(gradient_, dsum_in_, shape);
      PipeBarrier<PIPE_V>();
      Add(product, product, gradient, elems);
      PipeBarrier<PIPE_V>();
    }
    LocalTensor<T> dx = dx_out_.template AllocTensor<T>();
    if constexpr (kFloat) {
      Adds(dx, product, 0.0f, elems);
    } else {
      Cast(dx, product, RoundMode::CAST_RINT, static_cast<uint32_t>(elems));
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
  TBuf<TPosition::VECCALC> xhat_, gradient_, product_, folded_, eighths_, row_values_, spread_, sums_;
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

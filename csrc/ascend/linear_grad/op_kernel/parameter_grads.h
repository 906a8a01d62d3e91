// dw, db and dscale from the summands of G and the column sums of dy, once all cores have written theirs:
//
//   db_j = scale_j s_j     dw_j = scale_j G_j     dscale_j = w_j . G_j + b_j s_j
//
// Each vector core takes some rows, eight at a time, and adds up in the order of the cores: the same bits every time.
#pragma once

#include "common/column_sums.h"
#include "scaled_weight.h"

namespace vit {

template <typename T>
class ParameterGrads {
 public:
  __aicore__ inline ParameterGrads(TPipe& pipe, GM_ADDR w, GM_ADDR b, GM_ADDR scale, GM_ADDR dw, GM_ADDR db,
                                   GM_ADDR dscale, GM_ADDR workspace, const LinearGradTiling& t)
      : t_(t),
        workspace_(workspace, t),
        groups_(t),
        next_(groups_.begin),
        bias_(b, t.weight.rows, Has(kLinearBiasFloat)),
        scale_(scale, t.weight.rows, Has(kLinearScaleFloat)) {
    w_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(w), uint64_t(t.weight.rows) * t.weight.cols);
    dw_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dw), uint64_t(t.weight.rows) * t.weight.cols);
    db_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(db), t.weight.rows);
    dscale_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dscale), t.weight.rows);
    // A queue's buffers each hold an event, of which there are few.
    pipe.InitBuffer(floats_, 2, kGroupRows * kGroupCols * sizeof(float));
    pipe.InitBuffer(sums_, kGroupRows * sizeof(float));
    pipe.InitBuffer(vector_out_, 2, kGroupRows * sizeof(float));
    if (t.direct == 0) pipe.InitBuffer(dw_out_, 2, kGroupRows * kGroupCols * sizeof(float));
    if (!Has(kLinearScale)) return;
    row_.Init(pipe, kGroupRows, 1);
    pipe.InitBuffer(narrow_, 1, kGroupRows * kGroupCols * sizeof(T));
    pipe.InitBuffer(wide_, kGroupRows * kGroupCols * sizeof(float));
    pipe.InitBuffer(dots_, kGroupRows * kRepeatFloats * sizeof(float));
    pipe.InitBuffer(spread_, kGroupRows * kFloatBlock * sizeof(float));
    pipe.InitBuffer(bias_part_, kGroupRows * sizeof(float));
  }

  // So much of this core's work that `done` of `total` parts of it are finished.
  __aicore__ inline void Advance(uint32_t done, uint32_t total) {
    const uint32_t until = groups_.begin + static_cast<uint32_t>(uint64_t(groups_.end - groups_.begin) * done / total);
    for (; next_ < until; ++next_) Group(next_ * kGroupRows);
  }

 private:
  __aicore__ inline bool Has(uint32_t what) const { return (t_.epilogue & what) != 0; }

  __aicore__ inline void Group(uint32_t row) {
    const uint32_t rows = Min(kGroupRows, t_.weight.rows - row);
    AddUpSums(row, rows);
    if (Has(kLinearScale)) LoadVectors(row, rows);
    if (t_.direct == 0) {
      for (uint32_t col = 0; col < t_.weight.cols; col += kGroupCols) {
        WeightRows(row, rows, col, Min(kGroupCols, t_.weight.cols - col));
      }
    }
    StoreScaleGrad(row, rows);
    StoreBiasGrad(row, rows);
  }

  __aicore__ inline void AddUpSums(uint32_t row, uint32_t rows) {
    const uint32_t cores = 2 * t_.cores;
    LocalTensor<float> partial = floats_.AllocTensor<float>();
    DataCopyPad(
        partial, workspace_.Sums(0)[row],
        DataCopyExtParams(cores, rows * sizeof(float), (RoundUp(t_.weight.rows, kWorkspacePitch) - rows) * sizeof(float), 0, 0),
        DataCopyPadExtParams<float>());
    floats_.EnQue(partial);
    partial = floats_.DeQue<float>();
    Duplicate(sums_.Get<float>(), 0.0f, static_cast<int32_t>(kGroupRows));
    PipeBarrier<PIPE_V>();
    AddRows(sums_.Get<float>(), partial, cores, kGroupRows, kGroupRows);
    floats_.FreeTensor(partial);
    PipeBarrier<PIPE_V>();
  }

  // b_j s_j, and scale_j as it is and in a block per row; before that is used WeightRows has put a barrier.
  __aicore__ inline void LoadVectors(uint32_t row, uint32_t rows) {
    if (Has(kLinearBias)) {
      row_.Load(bias_, row, rows);
      Mul(bias_part_.Get<float>(), row_.Get(), sums_.Get<float>(), static_cast<int32_t>(kGroupRows));
    } else {
      Duplicate(bias_part_.Get<float>(), 0.0f, static_cast<int32_t>(kGroupRows));
    }
    Duplicate(dots_.Get<float>(), 0.0f, static_cast<int32_t>(kGroupRows * kRepeatFloats));
    row_.Load(scale_, row, rows);  // and a barrier
    Brcb(spread_.Get<float>(), row_.Get(), 1, BrcbRepeatParams(1, 8));
  }

  // One block of columns of G: into dots, times scale, out.
  __aicore__ inline void WeightRows(uint32_t row, uint32_t rows, uint32_t col, uint32_t cols) {
    const uint32_t in = t_.weight.cols, pitch = RoundUp(cols, kFloatBlock);
    LocalTensor<float> g = dw_out_.AllocTensor<float>();
    for (uint32_t part = 0; part < t_.weight.depth_parts; ++part) {
      LocalTensor<float> summand = floats_.AllocTensor<float>();
      DataCopyPad(summand, workspace_.Summand(part, row)[col],
                  DataCopyExtParams(rows, cols * sizeof(float), (RoundUp(in, kWorkspacePitch) - cols) * sizeof(float), 0, 0),
                  DataCopyPadExtParams<float>());
      floats_.EnQue(summand);
      summand = floats_.DeQue<float>();
      if (part == 0) {
        Adds(g, summand, 0.0f, static_cast<int32_t>(rows * pitch));
      } else {
        Add(g, g, summand, static_cast<int32_t>(rows * pitch));
      }
      floats_.FreeTensor(summand);
      PipeBarrier<PIPE_V>();
    }
    if (Has(kLinearScale)) {
      AddDots(g, row, rows, col, cols);
      MultiplyRows(g, spread_.Get<float>(), rows, pitch);
    }
    dw_out_.EnQue(g);
    g = dw_out_.DeQue<float>();
    DataCopyPad(dw_[uint64_t(row) * in + col], g,
                DataCopyExtParams(rows, cols * sizeof(float), 0, (in - cols) * sizeof(float), 0));
    dw_out_.FreeTensor(g);
  }

  // dots[r][lane] += w[r][c] G[r][c] over the columns c of that lane.
  __aicore__ inline void AddDots(const LocalTensor<float>& g, uint32_t row, uint32_t rows, uint32_t col,
                                 uint32_t cols) {
    const uint32_t in = t_.weight.cols, narrow_pitch = RoundUp(cols, kFractal), pitch = RoundUp(cols, kFloatBlock);
    const LocalTensor<float> wide = wide_.Get<float>(), dots = dots_.Get<float>();
    LocalTensor<T> w = narrow_.template AllocTensor<T>();
    DataCopyPad(w, w_[uint64_t(row) * in + col],
                DataCopyExtParams(rows, cols * sizeof(T), (in - cols) * sizeof(T), 0, 0), DataCopyPadExtParams<T>());
    narrow_.EnQue(w);
    w = narrow_.template DeQue<T>();
    Cast(wide, w, RoundMode::CAST_NONE, rows * narrow_pitch);
    narrow_.FreeTensor(w);
    PipeBarrier<PIPE_V>();
    const uint32_t wide_blocks = narrow_pitch / kFloatBlock, blocks = pitch / kFloatBlock;
    constexpr uint32_t kLaneBlocks = kRepeatFloats / kFloatBlock;
    for (uint32_t c = 0; c < cols; c += kRepeatFloats) {
      MulAddDst(dots, wide[c], g[c], static_cast<uint64_t>(Min(kRepeatFloats, cols - c)), rows,
                BinaryRepeatParams(1, 1, 1, kLaneBlocks, wide_blocks, blocks));
      PipeBarrier<PIPE_V>();
    }
  }

  // Without a scale dscale has one element, zero.
  __aicore__ inline void StoreScaleGrad(uint32_t row, uint32_t rows) {
    if (!Has(kLinearScale) && row != 0) return;
    LocalTensor<float> grad = vector_out_.AllocTensor<float>();
    if (Has(kLinearScale)) {
      WholeReduceSum(grad, dots_.Get<float>(), static_cast<int32_t>(kRepeatFloats), kGroupRows, 1, 1, 8);
      PipeBarrier<PIPE_V>();
      Add(grad, grad, bias_part_.Get<float>(), static_cast<int32_t>(kGroupRows));
    } else {
      Duplicate(grad, 0.0f, static_cast<int32_t>(kGroupRows));
    }
    StoreVector(dscale_[row], grad, Has(kLinearScale) ? rows : 1);
  }

  __aicore__ inline void StoreBiasGrad(uint32_t row, uint32_t rows) {
    LocalTensor<float> grad = vector_out_.AllocTensor<float>();
    if (Has(kLinearScale)) {
      Mul(grad, sums_.Get<float>(), row_.Get(), static_cast<int32_t>(kGroupRows));
    } else {
      Adds(grad, sums_.Get<float>(), 0.0f, static_cast<int32_t>(kGroupRows));
    }
    StoreVector(db_[row], grad, rows);
  }

  __aicore__ inline void StoreVector(const GlobalTensor<float>& dst, LocalTensor<float>& grad, uint32_t rows) {
    vector_out_.EnQue(grad);
    grad = vector_out_.DeQue<float>();
    DataCopyPad(dst, grad, DataCopyExtParams(1, rows * sizeof(float), 0, 0, 0));
    vector_out_.FreeTensor(grad);
  }

  const LinearGradTiling& t_;
  const LinearGradMemory<T> workspace_;
  const RowGroups groups_;
  uint32_t next_;
  const ColumnVector<T> bias_, scale_;
  ColumnRow<T> row_;
  GlobalTensor<T> w_;
  GlobalTensor<float> dw_, db_, dscale_;
  TQue<TPosition::VECIN, 1> floats_, narrow_;
  TQue<TPosition::VECOUT, 1> vector_out_, dw_out_;
  TBuf<TPosition::VECCALC> sums_, wide_, dots_, spread_, bias_part_;
};

}  // namespace vit

// db1 and db2 on the vector cores while the cubes compute the weight gradients: dy is summed over this core's rows;
// then, when all have done so, the cores' sums (of dpre from the first phase, of dy) are added up in the order of the
// cores, each vector core taking some columns.
#pragma once

#include "common/column_sums.h"
#include "grad_workspace.h"

namespace vit {

template <typename T>
class BiasGrads {
  static constexpr uint32_t kRows = 64, kCols = 256;  // of a strip of dy
  static constexpr uint32_t kUnit = 16;               // columns added up at once

 public:
  __aicore__ inline BiasGrads(TPipe& pipe, GM_ADDR dy, GM_ADDR db1, GM_ADDR db2, GM_ADDR workspace,
                              const GeluMlpGradTiling& t)
      : t_(t), workspace_(workspace, t), rows_(t.rows, BlockIndex()), cores_(2 * t.rows.cores),
        core_(static_cast<uint32_t>(GetBlockIdx())) {
    dy_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dy), uint64_t(t.rows.rows) * t.columns);
    db1_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(db1), t.rows.first);
    db2_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(db2), t.columns);
    pipe.InitBuffer(in_, 2, kRows * kCols * sizeof(T));
    pipe.InitBuffer(wide_, kRows * kCols * sizeof(float));
    pipe.InitBuffer(partial_, 2, 2 * t.rows.cores * kUnit * sizeof(float));
    pipe.InitBuffer(out_, 2, kCols * sizeof(float));
  }

  __aicore__ inline void Run() {
    if (core_ < cores_) {
      for (uint32_t col = 0; col < t_.columns; col += kCols) SumDy(col, Min(kCols, t_.columns - col));
    }
    SyncAll();
    // Columns of dpre, then of dy.
    const uint32_t units1 = CeilDiv(t_.rows.first, kUnit), units = units1 + CeilDiv(t_.columns, kUnit);
    for (uint32_t unit = core_; unit < units; unit += 2 * static_cast<uint32_t>(GetBlockNum())) {
      const uint32_t col = (unit < units1 ? unit : unit - units1) * kUnit;
      if (unit < units1) {
        AddUp(db1_[col], col, Min(kUnit, t_.rows.first - col));
      } else {
        AddUp(db2_[col], t_.rows.first + col, Min(kUnit, t_.columns - col));
      }
    }
  }

 private:
  __aicore__ inline LocalTensor<float> Zeros(uint32_t cols) {
    LocalTensor<float> sums = out_.AllocTensor<float>();
    Duplicate(sums, 0.0f, static_cast<int32_t>(cols));
    PipeBarrier<PIPE_V>();
    return sums;
  }
  __aicore__ inline void Store(const GlobalTensor<float>& dst, LocalTensor<float>& sums, uint32_t cols) {
    out_.EnQue(sums);
    sums = out_.DeQue<float>();
    DataCopy(dst, sums, cols);
    out_.FreeTensor(sums);
  }

  __aicore__ inline void SumDy(uint32_t col, uint32_t cols) {
    const uint32_t count = rows_.End() - rows_.Begin(), middle = CeilDiv(count, 2);
    const uint32_t begin = rows_.Begin() + (GetSubBlockIdx() == 0 ? 0 : middle);
    const uint32_t end = GetSubBlockIdx() == 0 ? begin + middle : rows_.End();
    const LocalTensor<float> wide = wide_.Get<float>();
    LocalTensor<float> sums = Zeros(cols);
    for (uint32_t row = begin; row < end; row += kRows) {
      const uint32_t rows = Min(kRows, end - row);
      LocalTensor<T> dy = in_.template AllocTensor<T>();
      DataCopyPad(dy, dy_[uint64_t(row) * t_.columns + col],
                  DataCopyExtParams(rows, cols * sizeof(T), (t_.columns - cols) * sizeof(T), 0, 0),
                  DataCopyPadExtParams<T>());
      in_.EnQue(dy);
      dy = in_.template DeQue<T>();
      Cast(wide, dy, RoundMode::CAST_NONE, rows * cols);
      in_.FreeTensor(dy);
      PipeBarrier<PIPE_V>();
      AddRows(sums, wide, rows, cols, cols);
    }
    Store(workspace_.Sums(core_)[t_.rows.first + col], sums, cols);
  }

  __aicore__ inline void AddUp(const GlobalTensor<float>& dst, uint32_t col, uint32_t cols) {
    LocalTensor<float> partial = partial_.AllocTensor<float>();
    DataCopyPad(partial, workspace_.Sums(0)[col],
                DataCopyExtParams(cores_, cols * sizeof(float), (workspace_.SumPitch() - cols) * sizeof(float), 0, 0),
                DataCopyPadExtParams<float>());
    partial_.EnQue(partial);
    LocalTensor<float> sums = Zeros(cols);
    partial = partial_.DeQue<float>();
    AddRows(sums, partial, cores_, cols, cols);
    partial_.FreeTensor(partial);
    Store(dst, sums, cols);
  }

  const GeluMlpGradTiling& t_;
  const MlpGradWorkspace<T> workspace_;
  const MlpSequence rows_;
  uint32_t cores_, core_;  // vector cores with rows; this one
  GlobalTensor<T> dy_;
  GlobalTensor<float> db1_, db2_;
  TQue<TPosition::VECIN, 1> in_, partial_;
  TQue<TPosition::VECOUT, 1> out_;
  TBuf<TPosition::VECCALC> wide_;
};

}  // namespace vit

// scale w on the vector cores, into the workspace, for the cubes to multiply dy with. LayerScale starts at 1e-5 or so
// and weights are small too: in half their product would have a bit or two left. So scale is taken times a power of
// two, such that its largest value comes to lie in [0.5, 1), and the tiles of dx are divided by it again in fp32.
#pragma once

#include "common/column_vector.h"
#include "linear_grad_memory.h"

namespace vit {

constexpr uint32_t kGroupRows = 8;    // rows of w or G that are worked on at once: one block of scalars
constexpr uint32_t kGroupCols = 512;  // and columns

// The groups of rows of w that a vector core deals with.
struct RowGroups {
  uint32_t begin, end;
  __aicore__ inline explicit RowGroups(const LinearGradTiling& t) {
    const uint64_t groups = CeilDiv(t.weight.rows, kGroupRows), core = static_cast<uint32_t>(GetBlockIdx());
    begin = static_cast<uint32_t>(groups * core / (2 * t.cores));
    end = static_cast<uint32_t>(groups * (core + 1) / (2 * t.cores));
  }
};

// rows[r][c] *= factor[r] for a group of rows `pitch` floats apart; `spread` has room for a block per row.
__aicore__ inline void MultiplyRows(const LocalTensor<float>& strip, const LocalTensor<float>& spread, uint32_t rows,
                                    uint32_t pitch) {
  const uint32_t blocks = pitch / kFloatBlock;
  for (uint32_t col = 0; col < pitch; col += kRepeatFloats) {
    Mul(strip[col], strip[col], spread, Min(kRepeatFloats, pitch - col), rows,
        BinaryRepeatParams(1, 1, 0, blocks, blocks, 1));
  }
  PipeBarrier<PIPE_V>();
}

template <typename T>
class ScaledWeight {
  static constexpr uint32_t kScaleCols = 1024;  // of scale, looked through at once

 public:
  __aicore__ inline ScaledWeight(TPipe& pipe, GM_ADDR w, GM_ADDR scale, GM_ADDR workspace, const LinearGradTiling& t)
      : t_(t),
        scaled_(LinearGradMemory<T>(workspace, t).ScaledWeight()),
        scale_(scale, t.weight.rows, (t.epilogue & kLinearScaleFloat) != 0) {
    w_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(w), uint64_t(t.weight.rows) * t.weight.cols);
    scale_row_.Init(pipe, kScaleCols);
    pipe.InitBuffer(in_, 2, kGroupRows * kGroupCols * sizeof(T));
    pipe.InitBuffer(out_, 2, kGroupRows * kGroupCols * sizeof(T));
    pipe.InitBuffer(wide_, kGroupRows * kGroupCols * sizeof(float));
    pipe.InitBuffer(spread_, kGroupRows * kFloatBlock * sizeof(float));
  }

  // Returns what dx has to be multiplied by.
  __aicore__ inline float Run() {
    float up = 1.0f, down = 1.0f;
    const float largest = LargestScale();
    for (uint32_t i = 0; i < kExponents && largest * up < 0.5f; ++i) up *= 2.0f, down *= 0.5f;
    for (uint32_t i = 0; i < kExponents && largest * up >= 1.0f; ++i) up *= 0.5f, down *= 2.0f;
    const RowGroups groups(t_);
    for (uint32_t group = groups.begin; group < groups.end; ++group) Scale(group * kGroupRows, up);
    return down;
  }

 private:
  static constexpr uint32_t kExponents = 126;  // both factors stay normal numbers

  __aicore__ inline float LargestScale() {
    const int32_t reduced = static_cast<int32_t>(GetTPipePtr()->FetchEventID(HardEvent::V_S));
    const int32_t taken = static_cast<int32_t>(GetTPipePtr()->FetchEventID(HardEvent::S_V));
    const LocalTensor<float> row = scale_row_.Get(), result = spread_.Get<float>();
    float largest = 0.0f;
    for (uint32_t col = 0; col < t_.weight.rows; col += kScaleCols) {
      const int32_t cols = static_cast<int32_t>(Min(kScaleCols, t_.weight.rows - col));
      scale_row_.Load(scale_, col, cols);
      Abs(row, row, cols);
      PipeBarrier<PIPE_V>();
      ReduceMax(result, row, wide_.Get<float>(), cols);
      SetFlag<HardEvent::V_S>(reduced);
      WaitFlag<HardEvent::V_S>(reduced);
      const float value = result.GetValue(0);
      SetFlag<HardEvent::S_V>(taken);
      WaitFlag<HardEvent::S_V>(taken);
      if (value > largest) largest = value;
    }
    return largest;
  }

  __aicore__ inline void Scale(uint32_t row, float up) {
    const uint32_t rows = Min(kGroupRows, t_.weight.rows - row), in = t_.weight.cols;
    const LocalTensor<float> factors = scale_row_.Get(), wide = wide_.Get<float>();
    scale_row_.Load(scale_, row, rows);
    Muls(factors, factors, up, static_cast<int32_t>(kGroupRows));
    PipeBarrier<PIPE_V>();
    Brcb(spread_.Get<float>(), factors, 1, BrcbRepeatParams(1, 8));
    for (uint32_t col = 0; col < in; col += kGroupCols) {
      const uint32_t cols = Min(kGroupCols, in - col), pitch = RoundUp(cols, kFractal);
      const uint64_t offset = uint64_t(row) * in + col;
      LocalTensor<T> w = in_.template AllocTensor<T>();
      DataCopyPad(w, w_[offset], DataCopyExtParams(rows, cols * sizeof(T), (in - cols) * sizeof(T), 0, 0),
                  DataCopyPadExtParams<T>());
      in_.EnQue(w);
      w = in_.template DeQue<T>();
      Cast(wide, w, RoundMode::CAST_NONE, rows * pitch);
      in_.FreeTensor(w);
      PipeBarrier<PIPE_V>();  // also for spread
      MultiplyRows(wide, spread_.Get<float>(), rows, pitch);
      LocalTensor<T> out = out_.template AllocTensor<T>();
      Cast(out, wide, RoundMode::CAST_RINT, rows * pitch);
      out_.EnQue(out);
      out = out_.template DeQue<T>();
      DataCopyPad(scaled_[offset], out, DataCopyExtParams(rows, cols * sizeof(T), 0, (in - cols) * sizeof(T), 0));
      out_.FreeTensor(out);
    }
  }

  const LinearGradTiling& t_;
  GlobalTensor<T> w_, scaled_;
  const ColumnVector<T> scale_;
  ColumnRow<T> scale_row_;
  TQue<TPosition::VECIN, 1> in_;
  TQue<TPosition::VECOUT, 1> out_;
  TBuf<TPosition::VECCALC> wide_, spread_;
};

}  // namespace vit

// The vector half of the attention backward: P and dS of a step. Each of the two vector cores takes half of its rows,
// in strips that fit UB.
//
//   MTE2   row max, row sum      dO, O rows            S strip, dP strip
//   V      -max - ln sum         -scale rowsum(dO O)
//              \______________________|_____________ P = exp(scale S - max - ln sum)
//                                     \_____________ dS = P (scale dP - scale rowsum(dO O))
//   MTE3                                             P, dS -> ring (NZ, 16 bit)
//
// Rows beyond the last query get P = 0 and dS = 0: their maximum is set so high that exp underflows.
#pragma once

#include "grad_steps.h"
#include "common/softmax.h"

namespace vit {

template <typename T, uint32_t D>
class AttentionGradVector {
  static constexpr uint32_t kRowBlocks = D * sizeof(T) / 32;  // of a row of dO or O
  static constexpr float kNoRow = 1e30f;

 public:
  __aicore__ inline AttentionGradVector(TPipe& pipe, GM_ADDR dout, GM_ADDR out, GM_ADDR softmax_max, GM_ADDR softmax_sum,
                                        GM_ADDR workspace, const AttentionGradTiling& t)
      : t_(t), steps_(t, BlockIndex()), workspace_(workspace, t) {
    const uint64_t rows = uint64_t(t.batch) * t.heads * t.tokens;
    dout_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dout), rows * D);
    out_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(out), rows * D);
    softmax_max_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(softmax_max), rows);
    softmax_sum_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(softmax_sum), rows);

    pipe.InitBuffer(scores_, 1, t.strip * t.key_block * sizeof(float));
    pipe.InitBuffer(prob_grads_, 1, t.strip * t.key_block * sizeof(float));
    pipe.InitBuffer(probs_, 1, t.strip * t.key_block * sizeof(T));
    pipe.InitBuffer(score_grads_, 1, t.strip * t.key_block * sizeof(T));
    pipe.InitBuffer(rows_, 1, 2 * t.strip * D * sizeof(T));
    pipe.InitBuffer(statistics_, 1, 2 * t.strip * sizeof(float));
    pipe.InitBuffer(shift_, t.strip * sizeof(float));
    pipe.InitBuffer(delta_, t.strip * sizeof(float));
    pipe.InitBuffer(shift_spread_, t.strip * kBlockFloats * sizeof(float));
    pipe.InitBuffer(delta_spread_, t.strip * kBlockFloats * sizeof(float));
    pipe.InitBuffer(wide_rows_, 2 * t.strip * D * sizeof(float));
    pipe.InitBuffer(scale_, kLanes * sizeof(float));
  }

  __aicore__ inline void Run() {
    Duplicate(scale_.Get<float>(), t_.scale, static_cast<int32_t>(kLanes));
    if (steps_.Count() > 0) LoadRowInputs(steps_.At(0), StripOf(steps_.At(0), 0));
    for (uint32_t i = 0; i < steps_.Count(); ++i) {
      const GradStep s = steps_.At(i);
      const uint32_t middle = s.queries_padded / 2;
      for (uint32_t row = 0; row < middle; row += t_.strip) {
        Differentiate(s, StripOf(s, row));
      }
    }
  }

 private:
  struct Strip {
    StripShape shape;
    uint32_t first, valid;  // first row in the step, rows that exist
    uint32_t row;           // first row in this core's half of the step
    bool closes;            // the half
  };

  // From `row` on in this core's half of the step.
  __aicore__ inline Strip StripOf(const GradStep& s, uint32_t row) const {
    const uint32_t middle = s.queries_padded / 2, rows = Min(t_.strip, middle - row);
    const uint32_t first = middle * static_cast<uint32_t>(GetSubBlockIdx()) + row;
    const uint32_t valid = Min(rows, s.queries - Min(s.queries, first));
    return {{rows, s.keys_padded / kGroupColumns}, first, valid, row, row + rows == middle};
  }

  // What depends on the rows of the strip alone is done before the wait for S. The next strip's inputs for that are
  // fetched behind S and dP of this one.
  __aicore__ inline void Differentiate(const GradStep& s, const Strip& strip) {
    const bool opens = strip.row == 0;
    if (!opens) LoadStrip(scores_, workspace_.Scores(s), s, strip);
    RowTerms(strip);
    if (opens) {
      CrossCoreWaitFlag(kScoresReady);
      LoadStrip(scores_, workspace_.Scores(s), s, strip);
    }
    const int32_t elems = static_cast<int32_t>(strip.shape.Elems());
    LocalTensor<float> scores = scores_.DeQue<float>();
    ScaleAndShift(scores, scale_.Get<float>(), shift_spread_.Get<float>(), strip.shape);
    Exp(scores, scores, elems);
    PipeBarrier<PIPE_V>();
    LocalTensor<T> probs = probs_.template AllocTensor<T>();
    Cast(probs, scores, RoundMode::CAST_RINT, strip.shape.Elems());
    probs_.EnQue(probs);
    StoreStrip(workspace_.Probs(s), probs_, s, strip);
    if (strip.closes) CrossCoreSetFlag<2, PIPE_MTE3>(kProbsReady);

    if (opens) CrossCoreWaitFlag(kProbGradsReady);
    LoadStrip(prob_grads_, workspace_.ProbGrads(s), s, strip);
    LoadNextRowInputs(s, strip);
    LocalTensor<float> prob_grads = prob_grads_.DeQue<float>();
    ScaleAndShift(prob_grads, scale_.Get<float>(), delta_spread_.Get<float>(), strip.shape);
    Mul(prob_grads, prob_grads, scores, elems);
    PipeBarrier<PIPE_V>();
    scores_.FreeTensor(scores);
    LocalTensor<T> score_grads = score_grads_.template AllocTensor<T>();
    Cast(score_grads, prob_grads, RoundMode::CAST_RINT, strip.shape.Elems());
    score_grads_.EnQue(score_grads);
    prob_grads_.FreeTensor(prob_grads);
    StoreStrip(workspace_.ScoreGrads(s), score_grads_, s, strip);
    if (strip.closes) CrossCoreSetFlag<2, PIPE_MTE3>(kScoreGradsReady);
  }

  // ---- GM -> UB

  // What RowTerms needs.
  __aicore__ inline void LoadRowInputs(const GradStep& s, const Strip& strip) {
    LoadStatistics(s, strip);
    LoadOutputRows(s, strip);
  }

  // For the strip after this one.
  __aicore__ inline void LoadNextRowInputs(const GradStep& s, const Strip& strip) {
    if (!strip.closes) {
      LoadRowInputs(s, StripOf(s, strip.row + t_.strip));
    } else if (s.index + 1 < steps_.Count()) {
      const GradStep next = steps_.At(s.index + 1);
      LoadRowInputs(next, StripOf(next, 0));
    }
  }

  __aicore__ inline void LoadStrip(TQue<TPosition::VECIN, 1>& queue, const GlobalTensor<float>& src, const GradStep& s,
                                   const Strip& strip) {
    constexpr uint32_t kBlocks = kGroupColumns * sizeof(float) / 32;
    LocalTensor<float> dst = queue.AllocTensor<float>();
    DataCopy(dst, src[strip.first * kGroupColumns],
             DataCopyParams(strip.shape.groups, strip.shape.rows * kBlocks,
                            (s.queries_padded - strip.shape.rows) * kBlocks, 0));
    queue.EnQue(dst);
  }

  // dO and, behind it, O.
  __aicore__ inline void LoadOutputRows(const GradStep& s, const Strip& strip) {
    LocalTensor<T> rows = rows_.template AllocTensor<T>();
    if (strip.valid > 0) {
      const uint64_t token = uint64_t(s.batch) * t_.tokens + s.query + strip.first;
      const uint64_t source = (token * t_.heads + s.head) * D;
      const DataCopyExtParams p(strip.valid, D * sizeof(T), (t_.heads - 1) * D * sizeof(T), 0, 0);
      DataCopyPad(rows, dout_[source], p, DataCopyPadExtParams<T>());
      DataCopyPad(rows[t_.strip * D], out_[source], p, DataCopyPadExtParams<T>());
    }
    rows_.EnQue(rows);
  }

  // Row maxima and, behind them, row sums.
  __aicore__ inline void LoadStatistics(const GradStep& s, const Strip& strip) {
    LocalTensor<float> statistics = statistics_.AllocTensor<float>();
    if (strip.valid > 0) {
      const uint64_t source = (uint64_t(s.batch) * t_.heads + s.head) * t_.tokens + s.query + strip.first;
      const uint8_t pad = static_cast<uint8_t>(RoundUp(strip.valid, kBlockFloats) - strip.valid);
      const DataCopyExtParams p(1, strip.valid * sizeof(float), 0, 0, 0);
      DataCopyPad(statistics, softmax_max_[source], p, DataCopyPadExtParams<float>(true, 0, pad, kNoRow));
      DataCopyPad(statistics[t_.strip], softmax_sum_[source], p, DataCopyPadExtParams<float>(true, 0, pad, 1.0f));
    }
    statistics_.EnQue(statistics);
  }

  // ---- what belongs to a row

  // shift = -max - ln sum and delta = -scale rowsum(dO O), spread over a block per row.
  __aicore__ inline void RowTerms(const Strip& strip) {
    const uint32_t rows = strip.shape.rows;
    const LocalTensor<float> wide_dout = wide_rows_.Get<float>(), wide_out = wide_dout[t_.strip * D];
    const LocalTensor<float> shift = shift_.Get<float>(), delta = delta_.Get<float>();
    LocalTensor<float> max = statistics_.DeQue<float>();
    LocalTensor<T> dout = rows_.template DeQue<T>();
    FillMissingRows(strip, max, dout);
    const LocalTensor<float> sum = max[t_.strip];
    Ln(sum, sum, static_cast<int32_t>(rows));
    Muls(max, max, -1.0f, static_cast<int32_t>(rows));
    Cast(wide_dout, dout, RoundMode::CAST_NONE, rows * D);
    Cast(wide_out, dout[t_.strip * D], RoundMode::CAST_NONE, rows * D);
    PipeBarrier<PIPE_V>();
    rows_.FreeTensor(dout);
    Sub(shift, max, sum, static_cast<int32_t>(rows));
    Mul(wide_dout, wide_dout, wide_out, static_cast<int32_t>(rows * D));
    PipeBarrier<PIPE_V>();
    statistics_.FreeTensor(max);
    SumRows(delta, wide_dout, rows);
    Muls(delta, delta, -t_.scale, static_cast<int32_t>(rows));
    SpreadRows(shift_spread_.Get<float>(), shift, rows);  // its barrier lets delta settle, too
    SpreadRows(delta_spread_.Get<float>(), delta, rows);
  }

  // Rows that were not loaded: a maximum that makes P zero, and zeros for dO and O.
  __aicore__ inline void FillMissingRows(const Strip& strip, const LocalTensor<float>& max, const LocalTensor<T>& dout) {
    const uint32_t rows = strip.shape.rows, loaded = RoundUp(strip.valid, kBlockFloats);
    if (strip.valid == rows) return;
    if (loaded < rows) {
      Duplicate(max[loaded], kNoRow, static_cast<int32_t>(rows - loaded));
      Duplicate(max[t_.strip + loaded], 1.0f, static_cast<int32_t>(rows - loaded));
    }
    const int32_t words = static_cast<int32_t>((rows - strip.valid) * D * sizeof(T) / sizeof(float));
    Duplicate(dout[strip.valid * D].template ReinterpretCast<float>(), 0.0f, words);
    Duplicate(dout[(t_.strip + strip.valid) * D].template ReinterpretCast<float>(), 0.0f, words);
    PipeBarrier<PIPE_V>();
  }

  // sums[row] = the sum of `rows` rows of D floats; what exceeds 64 columns is first added onto the others.
  __aicore__ inline void SumRows(const LocalTensor<float>& sums, const LocalTensor<float>& values, uint32_t rows) {
    constexpr uint32_t kPitch = D / kBlockFloats;
    if (D > kLanes) {
      Add(values, values, values[kLanes], D - kLanes, rows, BinaryRepeatParams(1, 1, 1, kPitch, kPitch, kPitch));
      PipeBarrier<PIPE_V>();
    }
    WholeReduceSum(sums, values, static_cast<int32_t>(Min(D, kLanes)), rows, 1, 1, kPitch);
    PipeBarrier<PIPE_V>();
  }

  // ---- UB -> GM

  __aicore__ inline void StoreStrip(const GlobalTensor<T>& dst, TQue<TPosition::VECOUT, 1>& queue, const GradStep& s,
                                    const Strip& strip) {
    constexpr uint32_t kBlocks = kGroupColumns * sizeof(T) / 32;
    LocalTensor<T> src = queue.DeQue<T>();
    DataCopy(dst[strip.first * kGroupColumns], src,
             DataCopyParams(strip.shape.groups, strip.shape.rows * kBlocks, 0,
                            (s.queries_padded - strip.shape.rows) * kBlocks));
    queue.FreeTensor(src);
  }

  const AttentionGradTiling& t_;
  const GradStepSequence steps_;
  const GradWorkspace<T> workspace_;
  GlobalTensor<T> dout_, out_;
  GlobalTensor<float> softmax_max_, softmax_sum_;
  TQue<TPosition::VECIN, 1> scores_, prob_grads_, rows_, statistics_;
  TQue<TPosition::VECOUT, 1> probs_, score_grads_;
  TBuf<TPosition::VECCALC> shift_, delta_, shift_spread_, delta_spread_, wide_rows_, scale_;
};

}  // namespace vit

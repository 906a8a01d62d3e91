// The vector half of the attention forward: softmax of one step, and the division that finishes an earlier one. Each of
// the two vector cores takes half of the rows of every step, so both always have a part in the handshake.
//
//   MTE2   S strip, left | right                                  O strip and its row sums
//   V      row max -> exp(scale S - scale max) -> 16 bit          O (1 / sum) -> 16 bit
//   MTE3   P -> ring, row max -> GM                               O -> GM, row sum -> GM
//
// P stays unnormalised and its row sums come back from the cube (P times ones), rounded as P itself is: the vector core
// never reduces a row of P, and multiplies by 1 / sum on head_dim columns instead of on all keys. Rows longer than a
// chunk are merged online: the maximum may grow from chunk to chunk, and outputs and sums gathered so far shrink by
// exp(old maximum - new maximum).
//
// The columns of an S strip come in two parts: the left one of the next step is on its way while exp and cast still work
// on the right one of this step.
#pragma once

#include "steps.h"
#include "common/softmax.h"

namespace vit {

template <typename T, uint32_t D>
class AttentionVector {
  static constexpr uint32_t kWidth = D + kSumColumns;  // of a row of partial output
  static constexpr uint32_t kWidthBlocks = kWidth / kBlockFloats;

 public:
  __aicore__ inline AttentionVector(TPipe& pipe, GM_ADDR out, GM_ADDR softmax_max, GM_ADDR softmax_sum,
                                    GM_ADDR workspace, const AttentionTiling& t)
      : t_(t), steps_(t, BlockIndex()), ring_(workspace, t, BlockIndex()) {
    const uint64_t rows = uint64_t(t.batch) * t.heads * t.tokens;
    out_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(out), rows * D);
    softmax_max_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(softmax_max), rows);
    softmax_sum_.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(softmax_sum), rows);

    const uint32_t strip = t.query_block / 2;
    pipe.InitBuffer(scores_, 2, strip * CeilDiv(t.chunk, 2 * kGroupColumns) * kGroupColumns * sizeof(float));
    pipe.InitBuffer(probs_, 1, strip * t.chunk * sizeof(T));
    pipe.InitBuffer(partial_, 1, strip * kWidth * sizeof(float));
    pipe.InitBuffer(result_, 1, strip * D * sizeof(T));
    pipe.InitBuffer(max_out_, 1, strip * sizeof(float));
    pipe.InitBuffer(sum_out_, 1, strip * sizeof(float));
    pipe.InitBuffer(row_max_, strip * sizeof(float));
    pipe.InitBuffer(shift_, strip * sizeof(float));
    pipe.InitBuffer(spread_, strip * kBlockFloats * sizeof(float));
    pipe.InitBuffer(scale_, kLanes * sizeof(float));
    pipe.InitBuffer(ones_, kLanes * sizeof(float));
    if (t.chunks > 1) {
      pipe.InitBuffer(chunk_max_, strip * sizeof(float));
      pipe.InitBuffer(shrink_, kRing * strip * kBlockFloats * sizeof(float));
      pipe.InitBuffer(gathered_, strip * kWidth * sizeof(float));
    }
  }

  __aicore__ inline void Run() {
    Duplicate(scale_.Get<float>(), t_.scale, static_cast<int32_t>(kLanes));
    Duplicate(ones_.Get<float>(), 1.0f, static_cast<int32_t>(kLanes));
    const uint32_t count = steps_.Count();
    for (uint32_t i = 0; i < count + kMergeLag; ++i) {
      if (i < count) Softmax(steps_.At(i));
      if (i >= kMergeLag) Merge(steps_.At(i - kMergeLag));
    }
  }

 private:
  // The rows of a step that this core works on, and how many of them exist.
  struct Strip {
    StripShape shape;
    uint32_t first, valid;
  };
  __aicore__ inline Strip StripOf(const Step& s) const {
    const uint32_t rows = s.rows_padded / 2;
    const uint32_t first = rows * static_cast<uint32_t>(GetSubBlockIdx());
    return {{rows, s.cols_padded / kGroupColumns}, first, Min(rows, s.rows - Min(s.rows, first))};
  }
  __aicore__ inline bool IsLastChunk(const Step& s) const { return s.chunk + 1 == t_.chunks; }

  // ---- softmax

  __aicore__ inline void Softmax(const Step& s) {
    const Strip strip = StripOf(s);
    CrossCoreWaitFlag(kScoresReady);
    const StripShape left = {strip.shape.rows, CeilDiv(strip.shape.groups, 2)};
    const StripShape right = {strip.shape.rows, strip.shape.groups - left.groups};
    LoadScores(s, strip, 0, left.groups);
    LoadScores(s, strip, left.groups, right.groups);
    LocalTensor<float> left_scores = scores_.DeQue<float>();
    LocalTensor<float> right_scores = scores_.DeQue<float>();
    LocalTensor<T> probs = probs_.template AllocTensor<T>();
    // P is written last: until then its buffer is scratch for the row maxima.
    const LocalTensor<float> scratch = probs.template ReinterpretCast<float>();
    if (s.chunk == 0) {
      RowMax(row_max_.Get<float>(), left_scores, right_scores, scratch, spread_.Get<float>(), strip.shape);
    } else {
      RaiseMax(s, strip, left_scores, right_scores, scratch);
    }
    Muls(shift_.Get<float>(), row_max_.Get<float>(), -t_.scale, static_cast<int32_t>(strip.shape.rows));
    if (IsLastChunk(s)) StoreMax(s, strip);
    PipeBarrier<PIPE_V>();
    SpreadRows(spread_.Get<float>(), shift_.Get<float>(), strip.shape.rows);
    Exponentiate(probs, left_scores, left);
    Exponentiate(probs[left.Elems()], right_scores, right);
    probs_.EnQue(probs);
    StoreProbs(s, strip);
    CrossCoreSetFlag<2, PIPE_MTE3>(kProbsReady);
  }

  // probs = exp(scale * scores - scale * maximum), and the scores are done with.
  __aicore__ inline void Exponentiate(const LocalTensor<T>& probs, LocalTensor<float>& scores,
                                      const StripShape& shape) {
    if (shape.groups > 0) {
      ScaleAndShift(scores, scale_.Get<float>(), spread_.Get<float>(), shape);
      Exp(scores, scores, static_cast<int32_t>(shape.Elems()));
      PipeBarrier<PIPE_V>();
      Cast(probs, scores, RoundMode::CAST_RINT, shape.Elems());
    }
    scores_.FreeTensor(scores);
  }

  // `groups` groups of 16 columns from the `first`-th on; a strip of one group has nothing on its right.
  __aicore__ inline void LoadScores(const Step& s, const Strip& strip, uint32_t first, uint32_t groups) {
    LocalTensor<float> scores = scores_.AllocTensor<float>();
    constexpr uint32_t kRowBlocks = kGroupColumns * sizeof(float) / 32;
    if (groups > 0) {
      DataCopy(scores, ring_.Scores(s)[(first * s.rows_padded + strip.first) * kGroupColumns],
               DataCopyParams(groups, strip.shape.rows * kRowBlocks,
                              (s.rows_padded - strip.shape.rows) * kRowBlocks, 0));
    }
    scores_.EnQue(scores);
  }

  // The maximum over this chunk joins the running one; what was gathered under the old one shrinks in Merge.
  __aicore__ inline void RaiseMax(const Step& s, const Strip& strip, const LocalTensor<float>& left,
                                  const LocalTensor<float>& right, const LocalTensor<float>& scratch) {
    const int32_t rows = static_cast<int32_t>(strip.shape.rows);
    const LocalTensor<float> row_max = row_max_.Get<float>(), chunk_max = chunk_max_.Get<float>();
    const LocalTensor<float> fall = shift_.Get<float>();
    RowMax(chunk_max, left, right, scratch, spread_.Get<float>(), strip.shape);
    Max(chunk_max, chunk_max, row_max, rows);
    PipeBarrier<PIPE_V>();
    Sub(fall, row_max, chunk_max, rows);
    PipeBarrier<PIPE_V>();
    Adds(row_max, chunk_max, 0.0f, rows);
    Muls(fall, fall, t_.scale, rows);
    PipeBarrier<PIPE_V>();
    Exp(fall, fall, rows);
    PipeBarrier<PIPE_V>();
    SpreadRows(Shrink(s), fall, strip.shape.rows);
  }

  __aicore__ inline void StoreProbs(const Step& s, const Strip& strip) {
    LocalTensor<T> probs = probs_.template DeQue<T>();
    constexpr uint32_t kRowBlocks = kGroupColumns * sizeof(T) / 32;
    DataCopy(ring_.Probs(s)[strip.first * kGroupColumns], probs,
             DataCopyParams(strip.shape.groups, strip.shape.rows * kRowBlocks, 0,
                            (s.rows_padded - strip.shape.rows) * kRowBlocks));
    probs_.FreeTensor(probs);
  }

  __aicore__ inline void StoreMax(const Step& s, const Strip& strip) {
    LocalTensor<float> max = max_out_.AllocTensor<float>();
    Muls(max, row_max_.Get<float>(), t_.scale, static_cast<int32_t>(strip.shape.rows));
    max_out_.EnQue(max);
    StoreRows(softmax_max_, max_out_, s, strip);
  }

  // One float per row.
  __aicore__ inline void StoreRows(const GlobalTensor<float>& dst, TQue<TPosition::VECOUT, 1>& queue, const Step& s,
                                   const Strip& strip) {
    LocalTensor<float> rows = queue.DeQue<float>();
    if (strip.valid > 0) {
      DataCopyPad(dst[(uint64_t(s.batch) * t_.heads + s.head) * t_.tokens + s.row + strip.first], rows,
                  DataCopyExtParams(1, strip.valid * sizeof(float), 0, 0, 0));
    }
    queue.FreeTensor(rows);
  }

  // ---- output

  __aicore__ inline void Merge(const Step& s) {
    const Strip strip = StripOf(s);
    CrossCoreWaitFlag(kPartialReady);
    LoadPartial(s, strip);
    LocalTensor<float> partial = partial_.DeQue<float>();
    if (t_.chunks == 1) {
      Finish(s, strip, partial);
    } else {
      Gather(s, strip, partial);
      if (IsLastChunk(s)) Finish(s, strip, gathered_.Get<float>());
    }
    partial_.FreeTensor(partial);
  }

  __aicore__ inline void LoadPartial(const Step& s, const Strip& strip) {
    LocalTensor<float> partial = partial_.AllocTensor<float>();
    DataCopy(partial, ring_.Partial(s)[strip.first * kWidth], strip.shape.rows * kWidth);
    partial_.EnQue(partial);
  }

  // gathered = gathered * shrink[row] + partial, output columns and sums alike.
  __aicore__ inline void Gather(const Step& s, const Strip& strip, const LocalTensor<float>& partial) {
    const LocalTensor<float> gathered = gathered_.Get<float>();
    if (s.chunk == 0) {
      Adds(gathered, partial, 0.0f, static_cast<int32_t>(strip.shape.rows * kWidth));
    } else {
      for (uint32_t col = 0; col < kWidth; col += kLanes) {
        FusedMulAdd(gathered[col], Shrink(s), partial[col], Min(kLanes, kWidth - col), strip.shape.rows,
                    BinaryRepeatParams(1, 0, 1, kWidthBlocks, 1, kWidthBlocks));
      }
    }
    PipeBarrier<PIPE_V>();
  }

  __aicore__ inline void Finish(const Step& s, const Strip& strip, const LocalTensor<float>& output) {
    LocalTensor<float> sum = sum_out_.AllocTensor<float>();
    BlockReduceMax(sum, output[D], strip.shape.rows / kBlockFloats, kLanes, 1, kWidthBlocks, kWidth);
    sum_out_.EnQue(sum);
    StoreRows(softmax_sum_, sum_out_, s, strip);

    const LocalTensor<float> inverse = spread_.Get<float>();  // 1 / sum, a block per row
    Div(inverse, ones_.Get<float>(), output[D], kLanes, strip.shape.rows / kBlockFloats,
        BinaryRepeatParams(1, 1, kWidthBlocks, 8, 0, kWidth));
    PipeBarrier<PIPE_V>();
    LocalTensor<T> result = result_.template AllocTensor<T>();
    for (uint32_t col = 0; col < D; col += kLanes) {
      Mul(output[col], output[col], inverse, Min(kLanes, D - col), strip.shape.rows,
          BinaryRepeatParams(1, 1, 0, kWidthBlocks, kWidthBlocks, 1));
    }
    PipeBarrier<PIPE_V>();
    for (uint32_t col = 0; col < D; col += kLanes) {
      Cast(result[col], output[col], RoundMode::CAST_RINT, Min(kLanes, D - col), strip.shape.rows,
           UnaryRepeatParams(1, 1, D * sizeof(T) / 32, kWidthBlocks));
    }
    result_.EnQue(result);
    StoreResult(s, strip);
  }

  __aicore__ inline void StoreResult(const Step& s, const Strip& strip) {
    LocalTensor<T> result = result_.template DeQue<T>();
    if (strip.valid > 0) {
      const uint64_t token = uint64_t(s.batch) * t_.tokens + s.row + strip.first;
      DataCopyPad(out_[(token * t_.heads + s.head) * D], result,
                  DataCopyExtParams(strip.valid, D * sizeof(T), 0, (t_.heads - 1) * D * sizeof(T), 0));
    }
    result_.FreeTensor(result);
  }

  __aicore__ inline LocalTensor<float> Shrink(const Step& s) {
    return shrink_.Get<float>()[s.slot * (t_.query_block / 2) * kBlockFloats];
  }

  const AttentionTiling& t_;
  const StepSequence steps_;
  const Ring<T> ring_;
  GlobalTensor<T> out_;
  GlobalTensor<float> softmax_max_, softmax_sum_;
  TQue<TPosition::VECIN, 2> scores_;
  TQue<TPosition::VECIN, 1> partial_;
  TQue<TPosition::VECOUT, 1> probs_, result_, max_out_, sum_out_;
  TBuf<TPosition::VECCALC> row_max_, shift_, spread_, scale_, ones_;
  TBuf<TPosition::VECCALC> chunk_max_, shrink_, gathered_;  // online merge only
};

}  // namespace vit

// The cube half of the attention backward: five products per step.
//
//   products:   S = Q K^T,  dP = dO V^T              -> ring (NZ, fp32)
//   gradients:  dV += P^T dO,  dK += dS^T Q          -> dqkv (16 bit), once the key block has seen all queries
//               dQ += dS K                           -> dqkv (16 bit), or workspace (fp32 atomic add) when blocked
//
// Products of step i run before the gradients of step i - 1, so the vector cores always have a step to work on.
#pragma once

#include "grad_steps.h"

namespace vit {

// How Fixpipe narrows to T.
template <typename T>
constexpr QuantMode_t kNarrow = F322F16;
template <>
constexpr QuantMode_t kNarrow<bfloat16_t> = F322BF16;

template <typename T, uint32_t D, GradPath path>
class AttentionGradCube {
  static constexpr bool kBlocked = path == GradPath::kBlocked;
  static constexpr uint32_t kTile = D <= kNarrowHead ? kTileRows : kWideTileRows;  // columns and depth of a product in L0
  static constexpr uint32_t kRowTile = kBlocked ? 64 : kTile;                      // rows of a product that leaves L0C at once
  static constexpr uint32_t kHalfA = 32 * 1024, kHalfB = 32 * 1024;
  // L0C: two results in turn, and when blocked dV and dK behind them.
  static constexpr uint32_t kResult = kBlocked ? 32 * 1024 : 64 * 1024;
  static constexpr uint32_t kKeyRows = kBlocked ? Min(kGradKeyElems / D / kFractal * kFractal, kGradKeyBlock) : kTile;
  static_assert(kTile * kTile * 2 <= kHalfA && kTile * kTile * 2 <= kHalfB && kRowTile * kTile * 4 <= kResult &&
                    kRowTile * D * 4 <= kResult && kKeyRows * D * 4 <= kResult && kKeyRows <= kTile,
                "a tile has to fit half of its memory");
  // Ids of MTE1_MTE2: the operand sets are 0, 1, 2. Ids of MTE2_MTE1: what S needs of a step and what dP needs have two
  // each, for steps in turn, since a third step's operands wait for the gradients of the first.
  static constexpr int32_t kProbs = 3, kScoreGrads = 4;
  __aicore__ static inline int32_t ScoreOperands(uint32_t index) { return index % 2; }
  __aicore__ static inline int32_t ProbGradOperands(uint32_t index) { return index % 2 == 0 ? 2 : 5; }
  // Ids of M_FIX and FIX_M, and index of the buffer in L0C: results are 0 and 1.
  static constexpr uint32_t kValueGrad = 2, kKeyGrad = 3;
  enum Part : uint32_t { kQ = 0, kK = 1, kV = 2 };

 public:
  __aicore__ inline AttentionGradCube(TPipe& pipe, GM_ADDR dout, GM_ADDR qkv, GM_ADDR dqkv, GM_ADDR workspace,
                                      const AttentionGradTiling& t)
      : t_(t), steps_(t, BlockIndex()), workspace_(workspace, t), pitch_(3 * t.heads * D) {
    const uint64_t rows = uint64_t(t.batch) * t.tokens;
    dout_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dout), rows * t.heads * D);
    qkv_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(qkv), rows * pitch_);
    dqkv_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dqkv), rows * pitch_);
    pipe.InitBuffer(query_, 2 * t.sets * t.query_block * D * sizeof(T));
    pipe.InitBuffer(key_, 2 * t.sets * t.key_block * D * sizeof(T));
    pipe.InitBuffer(probs_, t.prob_buffers * t.query_block * t.key_block * sizeof(T));
    pipe.InitBuffer(l0a_, 2 * kHalfA);
    pipe.InitBuffer(l0b_, 2 * kHalfB);
    pipe.InitBuffer(l0c_, (kBlocked ? 4 : 2) * kResult);
  }

  __aicore__ inline void Run() {
    const uint32_t count = steps_.Count();
    Begin();
    FetchScoreOperands(0);
    FetchProbGradOperands(0);
    for (uint32_t i = 0; i < count + kGradLag; ++i) {
      // A third set is free before the gradients of step i - 1 are done with theirs. Their P and dS go before what is
      // needed last.
      const bool early = t_.sets > 2;
      if (early) FetchScoreOperands(i + 1);
      if (i < count) Products(steps_.At(i));
      if (i >= kGradLag) {
        Gradients(steps_.At(i - kGradLag), early);
      } else if (early) {
        FetchProbGradOperands(i + 1);
      }
      if (!early) {
        FetchScoreOperands(i + 1);
        FetchProbGradOperands(i + 1);
      }
    }
    End();
  }

 private:
  __aicore__ inline void Begin() {
    for (int32_t i = 0; i < int32_t(t_.sets); ++i) SetFlag<HardEvent::MTE1_MTE2>(i);
    SetFlag<HardEvent::MTE1_MTE2>(kProbs);
    if (t_.prob_buffers == 2) SetFlag<HardEvent::MTE1_MTE2>(kScoreGrads);
    for (int32_t i = 0; i < 2; ++i) SetFlag<HardEvent::M_MTE1>(kOperandsFree + i);
    for (int32_t i = 0; i < (kBlocked ? 4 : 2); ++i) SetFlag<HardEvent::FIX_M>(i);
  }
  __aicore__ inline void End() {
    for (int32_t i = 0; i < int32_t(t_.sets); ++i) WaitFlag<HardEvent::MTE1_MTE2>(i);
    WaitFlag<HardEvent::MTE1_MTE2>(kProbs);
    if (t_.prob_buffers == 2) WaitFlag<HardEvent::MTE1_MTE2>(kScoreGrads);
    for (int32_t i = 0; i < 2; ++i) WaitFlag<HardEvent::M_MTE1>(kOperandsFree + i);
    for (int32_t i = 0; i < (kBlocked ? 4 : 2); ++i) WaitFlag<HardEvent::FIX_M>(i);
  }

  // ---- GM -> L1

  __aicore__ inline uint64_t Token(const GradStep& s, uint32_t row) const { return uint64_t(s.batch) * t_.tokens + row; }
  __aicore__ inline uint64_t QkvOffset(const GradStep& s, Part part, uint32_t row) const {
    return Token(s, row) * pitch_ + (part * t_.heads + s.head) * D;
  }

  // Q of a step, and K with the first step of a key block: their set was last used further back than that of Q and dO,
  // so one flag guards both, and V and dO, too.
  __aicore__ inline void FetchScoreOperands(uint32_t index) {
    if (index >= steps_.Count()) return;
    const GradStep s = steps_.At(index);
    WaitFlag<HardEvent::MTE1_MTE2>(index % t_.sets);
    if (s.first) LoadRows(Keys(s).data, qkv_[QkvOffset(s, kK, s.key)], s.keys, D, pitch_);
    LoadRows(Queries(s).data, qkv_[QkvOffset(s, kQ, s.query)], s.queries, D, pitch_);
    SetFlag<HardEvent::MTE2_MTE1>(ScoreOperands(index));
  }
  // dO of a step, and V with the first step of a key block.
  __aicore__ inline void FetchProbGradOperands(uint32_t index) {
    if (index >= steps_.Count()) return;
    const GradStep s = steps_.At(index);
    if (s.first) LoadRows(Values(s).data, qkv_[QkvOffset(s, kV, s.key)], s.keys, D, pitch_);
    LoadRows(OutGrads(s).data, dout_[(Token(s, s.query) * t_.heads + s.head) * D], s.queries, D, t_.heads * D);
    SetFlag<HardEvent::MTE2_MTE1>(ProbGradOperands(index));
  }

  __aicore__ inline L1Matrix<T> Queries(const GradStep& s) {
    return {query_.template Get<T>()[s.index % t_.sets * 2 * t_.query_block * D], s.queries_padded};
  }
  __aicore__ inline L1Matrix<T> OutGrads(const GradStep& s) {
    return {query_.template Get<T>()[(s.index % t_.sets * 2 + 1) * t_.query_block * D], s.queries_padded};
  }
  __aicore__ inline L1Matrix<T> Keys(const GradStep& s) {
    return {key_.template Get<T>()[s.unit % t_.sets * 2 * t_.key_block * D], s.keys_padded};
  }
  __aicore__ inline L1Matrix<T> Values(const GradStep& s) {
    return {key_.template Get<T>()[(s.unit % t_.sets * 2 + 1) * t_.key_block * D], s.keys_padded};
  }

  // P or dS of a step, which the ring already holds as NZ. The caller releases the buffer by its event id.
  __aicore__ inline L1Matrix<T> FetchFromRing(const GlobalTensor<T>& src, const GradStep& s, int32_t event) {
    const LocalTensor<T> dst = probs_.template Get<T>()[(event - kProbs) * t_.query_block * t_.key_block];
    WaitFlag<HardEvent::MTE1_MTE2>(event);
    DataCopy(dst, src, s.queries_padded * s.keys_padded);
    SetFlag<HardEvent::MTE2_MTE1>(event);
    WaitFlag<HardEvent::MTE2_MTE1>(event);
    return {dst, s.queries_padded};
  }

  // ---- S and dP

  __aicore__ inline void Products(const GradStep& s) {
    WaitFlag<HardEvent::MTE2_MTE1>(ScoreOperands(s.index));
    MultiplyRows(Queries(s), Keys(s), workspace_.Scores(s));
    CrossCoreSetFlag<2, PIPE_FIX>(kScoresReady);
    WaitFlag<HardEvent::MTE2_MTE1>(ProbGradOperands(s.index));
    MultiplyRows(OutGrads(s), Values(s), workspace_.ProbGrads(s));
    CrossCoreSetFlag<2, PIPE_FIX>(kProbGradsReady);
  }

  // dst = left right^T over head_dim, NZ.
  __aicore__ inline void MultiplyRows(const L1Matrix<T>& left, const L1Matrix<T>& right,
                                      const GlobalTensor<float>& dst) {
    for (uint32_t m0 = 0; m0 < left.pitch; m0 += kRowTile) {
      for (uint32_t n0 = 0; n0 < right.pitch; n0 += kTile) {
        const uint32_t m = Min(kRowTile, left.pitch - m0), n = Min(kTile, right.pitch - n0);
        const uint32_t in = operands_.Next(), out = results_.Next();
        WaitFlag<HardEvent::M_MTE1>(kOperandsFree + in);
        LoadLeft(Left(in), left, m0, 0, m, D);
        LoadRightTransposed(Right(in), right, n0, 0, D, n);
        WaitFlag<HardEvent::FIX_M>(out);
        MultiplyLoaded(in, Result(out), m, n, D, true);
        SetFlag<HardEvent::M_FIX>(out);
        WaitFlag<HardEvent::M_FIX>(out);
        FixpipeParamsV220 p(n, m, m, left.pitch * kFractal * sizeof(float) / 32, false);
        Fixpipe<float, float, CFG_NZ>(dst[n0 * left.pitch + m0 * kFractal], Result(out), p);
        SetFlag<HardEvent::FIX_M>(out);
      }
    }
  }

  // The operands were loaded into half `in` of L0A and L0B.
  __aicore__ inline void MultiplyLoaded(uint32_t in, const LocalTensor<float>& c, uint32_t m, uint32_t n, uint32_t k,
                                        bool first) {
    SetFlag<HardEvent::MTE1_M>(in);
    WaitFlag<HardEvent::MTE1_M>(in);
    Multiply(c, Left(in), Right(in), m, n, k, first);
    SetFlag<HardEvent::M_MTE1>(kOperandsFree + in);
  }

  // ---- dV, dQ, dK

  // With `fetch` the operands that the step after next needs last go behind P and dS.
  __aicore__ inline void Gradients(const GradStep& s, bool fetch) {
    CrossCoreWaitFlag(kProbsReady);
    const L1Matrix<T> probs = FetchFromRing(workspace_.Probs(s), s, kProbs);
    KeySide(s, probs, OutGrads(s), kV, kValueGrad);
    SetFlag<HardEvent::MTE1_MTE2>(kProbs);
    CrossCoreWaitFlag(kScoreGradsReady);
    const int32_t event = t_.prob_buffers == 2 ? kScoreGrads : kProbs;
    const L1Matrix<T> score_grads = FetchFromRing(workspace_.ScoreGrads(s), s, event);
    if (fetch) FetchProbGradOperands(s.index + kGradLag + 1);
    QuerySide(s, score_grads);
    KeySide(s, score_grads, Queries(s), kK, kKeyGrad);
    SetFlag<HardEvent::MTE1_MTE2>(event);
    SetFlag<HardEvent::MTE1_MTE2>(s.index % t_.sets);
  }

  // dV += P^T dO or dK += dS^T Q: rows are keys, the summation runs over the queries of the step.
  __aicore__ inline void KeySide(const GradStep& s, const L1Matrix<T>& left, const L1Matrix<T>& right, Part part,
                                 uint32_t accumulator) {
    for (uint32_t m0 = 0; m0 < s.keys_padded; m0 += kKeyRows) {
      const uint32_t m = Min(kKeyRows, s.keys_padded - m0), out = kBlocked ? accumulator : results_.Next();
      if (s.first) WaitFlag<HardEvent::FIX_M>(out);
      for (uint32_t k0 = 0; k0 < s.queries; k0 += kTile) {
        const uint32_t k = Min(kTile, s.queries - k0), in = operands_.Next();  // exact: padded queries stay out
        WaitFlag<HardEvent::M_MTE1>(kOperandsFree + in);
        LoadLeftTransposed(Left(in), left, k0, m0, m, RoundUp(k, kFractal));
        LoadRight(Right(in), right, k0, 0, RoundUp(k, kFractal), D);
        MultiplyLoaded(in, Result(out), m, D, k, s.first && k0 == 0);
      }
      if (s.last) StoreGrad(s, part, s.key + m0, Min(m, s.keys - m0), m, out);
    }
  }

  // dQ = dS K: rows are queries, the summation runs over the keys of the step.
  __aicore__ inline void QuerySide(const GradStep& s, const L1Matrix<T>& score_grads) {
    for (uint32_t m0 = 0; m0 < s.queries; m0 += kRowTile) {
      const uint32_t m = Min(kRowTile, s.queries_padded - m0), out = results_.Next();
      WaitFlag<HardEvent::FIX_M>(out);
      for (uint32_t k0 = 0; k0 < s.keys; k0 += kTile) {
        const uint32_t k = Min(kTile, s.keys - k0), in = operands_.Next();
        WaitFlag<HardEvent::M_MTE1>(kOperandsFree + in);
        LoadLeft(Left(in), score_grads, m0, k0, m, RoundUp(k, kFractal));
        LoadRight(Right(in), Keys(s), k0, 0, RoundUp(k, kFractal), D);
        MultiplyLoaded(in, Result(out), m, D, k, k0 == 0);
      }
      const uint32_t rows = Min(m, s.queries - m0);
      if (kBlocked) {
        AddQueryGrad(s, m0, rows, m, out);
      } else {
        StoreGrad(s, kQ, s.query + m0, rows, m, out);
      }
    }
  }

  // A finished gradient: rows `row`.. of one part of dqkv, narrowed to T.
  __aicore__ inline void StoreGrad(const GradStep& s, Part part, uint32_t row, uint32_t rows, uint32_t padded,
                                   uint32_t out) {
    SetFlag<HardEvent::M_FIX>(out);
    WaitFlag<HardEvent::M_FIX>(out);
    FixpipeParamsV220 p(D, rows, padded, pitch_, false);
    p.quantPre = kNarrow<T>;
    Fixpipe<T, float, CFG_ROW_MAJOR>(dqkv_[QkvOffset(s, part, row)], Result(out), p);
    SetFlag<HardEvent::FIX_M>(out);
  }

  // A contribution to dQ: added in the workspace. The contributions to a row come from different key blocks; when one
  // core owns all of them (deterministic) they arrive in the order of its steps.
  __aicore__ inline void AddQueryGrad(const GradStep& s, uint32_t m0, uint32_t rows, uint32_t padded, uint32_t out) {
    const uint64_t row = (uint64_t(s.batch) * t_.heads + s.head) * t_.tokens + s.query + m0;
    SetFlag<HardEvent::M_FIX>(out);
    WaitFlag<HardEvent::M_FIX>(out);
    SetAtomicAdd<float>();
    Fixpipe<float, float, CFG_ROW_MAJOR>(workspace_.QueryGrads(row), Result(out),
                                         FixpipeParamsV220(D, rows, padded, D, false));
    SetAtomicNone();
    SetFlag<HardEvent::FIX_M>(out);
  }

  __aicore__ inline LocalTensor<T> Left(uint32_t side) { return l0a_.template Get<T>()[side * (kHalfA / sizeof(T))]; }
  __aicore__ inline LocalTensor<T> Right(uint32_t side) { return l0b_.template Get<T>()[side * (kHalfB / sizeof(T))]; }
  __aicore__ inline LocalTensor<float> Result(uint32_t index) {
    return l0c_.template Get<float>()[index * (kResult / sizeof(float))];
  }

  const AttentionGradTiling& t_;
  const GradStepSequence steps_;
  const GradWorkspace<T> workspace_;
  const uint32_t pitch_;  // elements between two tokens of qkv
  GlobalTensor<T> dout_, qkv_, dqkv_;
  TBuf<TPosition::A1> query_, key_, probs_;
  TBuf<TPosition::A2> l0a_;
  TBuf<TPosition::B2> l0b_;
  TBuf<TPosition::CO1> l0c_;
  PingPong operands_, results_;
};

}  // namespace vit

// The cube half of the attention forward: S = Q K^T of one step, P V of an earlier one.
//
//   MTE2   Q, K, V: one load per unit, the next unit's on its way     P of a step, in row tiles
//            |                                                          |
//   MTE1   Q, K tiles -> L0A, L0B                                     P, V tiles -> L0A, L0B
//   M      S tile (L0C ping | pong)                                   O += P V,  row sums += P 1
//   FIX    S -> ring (NZ, fp32)                                       O | sums -> ring (row-major, fp32)
#pragma once

#include "steps.h"

namespace vit {

// 1 as bits: a bfloat16 constant cannot be converted on the device.
template <typename T>
constexpr uint16_t kOneBits = 0x3c00;
template <>
constexpr uint16_t kOneBits<bfloat16_t> = 0x3f80;

template <typename T, uint32_t D>
class AttentionCube {
  static constexpr uint32_t kTile = D <= kNarrowHead ? kTileRows : kWideTileRows;
  // L0B: two halves and, behind them, a constant operand of ones.
  static constexpr uint32_t kHalfA = 32 * 1024, kHalfB = 28 * 1024, kHalfC = 64 * 1024;
  static constexpr uint32_t kOnes = 2 * kHalfB;
  static_assert(kTile * kTile * 2 <= kHalfA && kTile * D * 2 <= kHalfB && kTile * (D + kFractal) * 4 <= kHalfC &&
                    kTile * kTile * 4 <= kHalfC && kOnes + kTile * kFractal * 2 <= 64 * 1024,
                "a tile has to fit half of its memory");
  // Event ids of MTE2_MTE1 and MTE1_MTE2; each names two buffers. The flags of K guard Q too.
  static constexpr int32_t kKey = 0, kValue = 2, kProbs = 4;

 public:
  __aicore__ inline AttentionCube(TPipe& pipe, GM_ADDR qkv, GM_ADDR workspace, const AttentionTiling& t)
      : t_(t), steps_(t, BlockIndex()), ring_(workspace, t, BlockIndex()), pitch_(3 * t.heads * D) {
    qkv_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(qkv), uint64_t(t.batch) * t.tokens * pitch_);
    const uint32_t width = t.head_group * D;
    query_elems_ = t.query_block * width;
    tile_elems_ = t.key_tile * width;
    prob_elems_ = Min(t.query_block, kTile) * t.key_tile;
    pipe.InitBuffer(query_, 2 * query_elems_ * sizeof(T));
    pipe.InitBuffer(key_, 2 * tile_elems_ * sizeof(T));
    pipe.InitBuffer(value_, 2 * tile_elems_ * sizeof(T));
    pipe.InitBuffer(probs_, 2 * prob_elems_ * sizeof(T));
    pipe.InitBuffer(l0a_, 2 * kHalfA);
    pipe.InitBuffer(l0b_, kOnes + kTile * kFractal * sizeof(T));
    pipe.InitBuffer(l0c_, 2 * kHalfC);
  }

  __aicore__ inline void Run() {
    const uint32_t count = steps_.Count();
    if (count == 0) return;
    Begin();
    FetchKeys(0);
    FetchValues(0);
    for (uint32_t i = 0; i < count + kValueLag; ++i) {
      // P goes ahead of the operands of steps to come. K moves on with the first head of a unit, V with the last: loads
      // of equal size between one P and the next.
      if (i < count) Scores(steps_.At(i));
      if (i >= kValueLag) Output(steps_.At(i - kValueLag));
      if (i < count && steps_.At(i).member == 0) FetchKeys(LastTile(steps_.At(i)).index + 1);
      if (i >= kValueLag && IsLastMember(steps_.At(i - kValueLag))) {
        FetchValues(LastTile(steps_.At(i - kValueLag)).index + 1);
      }
    }
    End();
  }

 private:
  // Every buffer starts free; at the end every flag is taken back.
  __aicore__ inline void Begin() {
    for (int32_t i = 0; i < 2; ++i) {
      SetFlag<HardEvent::MTE1_MTE2>(kKey + i);
      SetFlag<HardEvent::MTE1_MTE2>(kValue + i);
      SetFlag<HardEvent::MTE1_MTE2>(kProbs + i);
      SetFlag<HardEvent::M_MTE1>(kOperandsFree + i);
      SetFlag<HardEvent::FIX_M>(i);
    }
    InitConstValue(l0b_.template Get<uint16_t>()[kOnes / sizeof(uint16_t)],
                   InitConstValueParams<uint16_t>(1, kTile / kFractal, 0, kOneBits<T>));
  }
  __aicore__ inline void End() {
    for (int32_t i = 0; i < 2; ++i) {
      WaitFlag<HardEvent::MTE1_MTE2>(kKey + i);
      WaitFlag<HardEvent::MTE1_MTE2>(kValue + i);
      WaitFlag<HardEvent::MTE1_MTE2>(kProbs + i);
      WaitFlag<HardEvent::M_MTE1>(kOperandsFree + i);
      WaitFlag<HardEvent::FIX_M>(i);
    }
  }

  // ---- GM -> L1

  // Rows of the head group's columns of Q (part 0), K (1) or V (2).
  __aicore__ inline GlobalTensor<T> Source(const Step& s, uint32_t part, uint32_t row) const {
    return qkv_[(uint64_t(s.batch) * t_.tokens + row) * pitch_ + (part * t_.heads + s.head) * D];
  }

  // K and V arrive in a sequence of tiles: one per unit when a whole row of S fits (all heads of the unit share it),
  // else `key_tiles` per chunk.
  struct KeyTile {
    uint32_t index, unit, row, rows;
  };
  __aicore__ inline uint32_t TilesPerUnit() const { return t_.chunks * t_.key_tiles; }
  __aicore__ inline KeyTile TileAt(uint32_t index) const {
    const uint32_t inner = index % TilesPerUnit();
    const uint32_t col = inner / t_.key_tiles * t_.chunk;
    const uint32_t offset = inner % t_.key_tiles * t_.key_tile;
    const uint32_t end = Min(Min(offset + t_.key_tile, t_.chunk) + col, t_.tokens);
    return {index, index / TilesPerUnit(), col + offset, end - Min(end, col + offset)};
  }
  __aicore__ inline KeyTile TileOf(const Step& s, uint32_t tile) const {
    return TileAt(s.unit * TilesPerUnit() + s.chunk * t_.key_tiles + tile);
  }

  __aicore__ inline KeyTile LastTile(const Step& s) const { return TileOf(s, t_.key_tiles - 1); }
  __aicore__ inline bool IsLastMember(const Step& s) const { return s.member == t_.head_group - 1; }

  __aicore__ inline void FetchKeys(uint32_t index) {
    if (index >= steps_.Units() * TilesPerUnit()) return;
    const KeyTile tile = TileAt(index);
    const Step s = steps_.UnitAt(tile.unit);
    const uint32_t buffer = index % 2;
    WaitFlag<HardEvent::MTE1_MTE2>(kKey + buffer);
    const uint32_t width = t_.head_group * D;
    if (index % TilesPerUnit() == 0) LoadRows(Query(s).data, Source(s, 0, s.row), s.rows, width, pitch_);
    LoadRows(Keys(tile).data, Source(s, 1, tile.row), tile.rows, width, pitch_);
    SetFlag<HardEvent::MTE2_MTE1>(kKey + buffer);
  }
  __aicore__ inline void FetchValues(uint32_t index) {
    if (index >= steps_.Units() * TilesPerUnit()) return;
    const KeyTile tile = TileAt(index);
    const uint32_t buffer = index % 2;
    WaitFlag<HardEvent::MTE1_MTE2>(kValue + buffer);
    LoadRows(Values(tile).data, Source(steps_.UnitAt(tile.unit), 2, tile.row), tile.rows, t_.head_group * D, pitch_);
    SetFlag<HardEvent::MTE2_MTE1>(kValue + buffer);
  }
  __aicore__ inline void FetchProbs(const L1Matrix<T>& dst, const Step& s, uint32_t row, uint32_t col,
                                    uint32_t cols) {
    DataCopy(dst.data, ring_.Probs(s)[col * s.rows_padded + row * kFractal],
             DataCopyParams(cols / kFractal, dst.pitch, s.rows_padded - dst.pitch, 0));
  }

  __aicore__ inline L1Matrix<T> Query(const Step& s) {
    return {query_.template Get<T>()[s.unit % 2 * query_elems_], s.rows_padded};
  }
  __aicore__ inline L1Matrix<T> Keys(const KeyTile& tile) {
    return {key_.template Get<T>()[tile.index % 2 * tile_elems_], RoundUp(tile.rows, kFractal)};
  }
  __aicore__ inline L1Matrix<T> Values(const KeyTile& tile) {
    return {value_.template Get<T>()[tile.index % 2 * tile_elems_], RoundUp(tile.rows, kFractal)};
  }

  // ---- S = Q K^T

  __aicore__ inline void Scores(const Step& s) {
    const bool first_member = s.member == 0, last_member = IsLastMember(s);
    for (uint32_t i = 0; i < t_.key_tiles; ++i) {
      const KeyTile tile = TileOf(s, i);  // empty when the last chunk is short
      if (first_member) {
        WaitFlag<HardEvent::MTE2_MTE1>(kKey + tile.index % 2);
        if (i + 1 < t_.key_tiles) FetchKeys(tile.index + 1);
      }
      const L1Matrix<T> query = Query(s), keys = Keys(tile);
      for (uint32_t m0 = 0; m0 < s.rows_padded; m0 += kTile) {
        for (uint32_t n0 = 0; n0 < keys.pitch; n0 += kTile) {
          const uint32_t m = Min(kTile, s.rows_padded - m0), n = Min(kTile, keys.pitch - n0);
          ScoreTile(s, query, keys, m0, n0, m, n, tile.row - s.col + n0);
        }
      }
      if (last_member) SetFlag<HardEvent::MTE1_MTE2>(kKey + tile.index % 2);
    }
    CrossCoreSetFlag<2, PIPE_FIX>(kScoresReady);
  }

  __aicore__ inline void ScoreTile(const Step& s, const L1Matrix<T>& query, const L1Matrix<T>& keys, uint32_t m0,
                                   uint32_t n0, uint32_t m, uint32_t n, uint32_t col) {
    const uint32_t in = operands_.Next(), out = results_.Next();
    WaitFlag<HardEvent::M_MTE1>(kOperandsFree + in);
    LoadLeft(Left(in), query, m0, s.member * D, m, D);
    LoadRightTransposed(Right(in), keys, n0, s.member * D, D, n);
    SetFlag<HardEvent::MTE1_M>(in);
    WaitFlag<HardEvent::MTE1_M>(in);
    WaitFlag<HardEvent::FIX_M>(out);
    Multiply(Result(out), Left(in), Right(in), m, n, D, true);
    SetFlag<HardEvent::M_MTE1>(kOperandsFree + in);
    SetFlag<HardEvent::M_FIX>(out);
    WaitFlag<HardEvent::M_FIX>(out);
    FixpipeParamsV220 p(n, m, m, s.rows_padded * kFractal * sizeof(float) / 32, false);
    Fixpipe<float, float, CFG_NZ>(ring_.Scores(s)[col * s.rows_padded + m0 * kFractal], Result(out), p);
    SetFlag<HardEvent::FIX_M>(out);
  }

  // ---- O = P V, row sums = P 1

  __aicore__ inline void Output(const Step& s) {
    CrossCoreWaitFlag(kProbsReady);
    const bool first_member = s.member == 0, last_member = IsLastMember(s);
    uint32_t out = 0;
    for (uint32_t i = 0; i < t_.key_tiles; ++i) {
      const KeyTile tile = TileOf(s, i);  // empty when the last chunk is short
      if (first_member) {
        WaitFlag<HardEvent::MTE2_MTE1>(kValue + tile.index % 2);
        if (i + 1 < t_.key_tiles) FetchValues(tile.index + 1);
      }
      const bool first = i == 0, last = tile.row + tile.rows == s.col + s.cols;
      // With more than one tile there is one row tile only, which keeps accumulating in its half of L0C.
      for (uint32_t m0 = 0; m0 < s.rows_padded && tile.rows > 0; m0 += kTile) {
        const uint32_t m = Min(kTile, s.rows_padded - m0);
        if (first) {
          out = results_.Next();
          WaitFlag<HardEvent::FIX_M>(out);
        }
        AddProducts(s, tile, m0, m, out, first);
        if (last) StorePartial(s, m0, m, out);
      }
      if (last_member) SetFlag<HardEvent::MTE1_MTE2>(kValue + tile.index % 2);
    }
    CrossCoreSetFlag<2, PIPE_FIX>(kPartialReady);
  }

  __aicore__ inline void AddProducts(const Step& s, const KeyTile& tile, uint32_t m0, uint32_t m, uint32_t out,
                                     bool first) {
    const L1Matrix<T> values = Values(tile);
    const uint32_t buffer = prob_tiles_.Next();
    const L1Matrix<T> probs = {probs_.template Get<T>()[buffer * prob_elems_], m};
    WaitFlag<HardEvent::MTE1_MTE2>(kProbs + buffer);
    FetchProbs(probs, s, m0, tile.row - s.col, values.pitch);
    SetFlag<HardEvent::MTE2_MTE1>(kProbs + buffer);
    WaitFlag<HardEvent::MTE2_MTE1>(kProbs + buffer);
    for (uint32_t k0 = 0; k0 < tile.rows; k0 += kTile) {
      const uint32_t k = Min(kTile, tile.rows - k0);  // exact: the cube leaves padded columns of P out
      const uint32_t in = operands_.Next();
      WaitFlag<HardEvent::M_MTE1>(kOperandsFree + in);
      LoadLeft(Left(in), probs, 0, k0, m, RoundUp(k, kFractal));
      LoadRight(Right(in), values, k0, s.member * D, RoundUp(k, kFractal), D);
      SetFlag<HardEvent::MTE1_M>(in);
      WaitFlag<HardEvent::MTE1_M>(in);
      Multiply(Result(out), Left(in), Right(in), m, D, k, first && k0 == 0);
      Multiply(Result(out)[D * m], Left(in), l0b_.template Get<T>()[kOnes / sizeof(T)], m, kFractal, k,
               first && k0 == 0);
      SetFlag<HardEvent::M_MTE1>(kOperandsFree + in);
    }
    SetFlag<HardEvent::MTE1_MTE2>(kProbs + buffer);
  }

  __aicore__ inline void StorePartial(const Step& s, uint32_t m0, uint32_t m, uint32_t out) {
    constexpr uint32_t kWidth = D + kSumColumns;
    SetFlag<HardEvent::M_FIX>(out);
    WaitFlag<HardEvent::M_FIX>(out);
    FixpipeParamsV220 p(kWidth, m, m, kWidth, false);
    Fixpipe<float, float, CFG_ROW_MAJOR>(ring_.Partial(s)[m0 * kWidth], Result(out), p);
    SetFlag<HardEvent::FIX_M>(out);
  }

  __aicore__ inline LocalTensor<T> Left(uint32_t side) { return l0a_.template Get<T>()[side * (kHalfA / sizeof(T))]; }
  __aicore__ inline LocalTensor<T> Right(uint32_t side) { return l0b_.template Get<T>()[side * (kHalfB / sizeof(T))]; }
  __aicore__ inline LocalTensor<float> Result(uint32_t side) {
    return l0c_.template Get<float>()[side * (kHalfC / sizeof(float))];
  }

  const AttentionTiling& t_;
  const StepSequence steps_;
  const Ring<T> ring_;
  const uint32_t pitch_;  // elements between two tokens of qkv
  GlobalTensor<T> qkv_;
  uint32_t query_elems_, tile_elems_, prob_elems_;
  TBuf<TPosition::A1> query_, key_, value_, probs_;
  TBuf<TPosition::A2> l0a_;
  TBuf<TPosition::B2> l0b_;
  TBuf<TPosition::CO1> l0c_;
  PingPong operands_, results_, prob_tiles_;
};

}  // namespace vit

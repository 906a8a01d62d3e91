// A stream of matrix products on one cube core: C[m, n] = A[m, k] B[k, n] with m <= 128, n <= 256 and any k, one after
// the other without a pause between them.
//
// A product takes both halves of L0C, 128 columns each. Both halves use a stage (a left panel m x depth and a right
// panel depth x n in L1) while it is there, so the cube asks for less of L2 than two separate 128 x 128 products would:
// (128 + 256) * 2 bytes per 8 cycles, 96 B per cycle, against 128 B of the 110 that a core gets. They take two stages at a
// time, so that a half has left L0C by the time the other is finished and the next product can begin without a pause:
//
//   MTE2   stages of A and B, b_slots under way, across the borders of products
//   MTE1   L0A, L0B ping | pong
//   M      stages i, i+1: half 0, half 0, half 1, half 1     next product: half 0, half 0, half 1, half 1
//   FIX                                   half 0             half 1
//
// The left panels of a product may stay in L1 for the next one (keep_a): a block of rows against many columns then reads
// them once. Or the right ones may (keep_b): a panel of columns against many rows. Those that may stay live in a ring of
// their own that is at least as long as that of the others, with which every stage comes: so the flag of the others
// guards both.
#pragma once

#include "common/l0_load.h"
#include "common/panel_data.h"

namespace vit {

// How the operands lie in memory: A as [m, k] or [k, m], B as [n, k] or [k, n].
enum class PanelLayout : uint32_t { kNT, kNN, kTN };

// How Fixpipe narrows to T.
template <typename T>
constexpr QuantMode_t kNarrow = F322F16;
template <>
constexpr QuantMode_t kNarrow<bfloat16_t> = F322BF16;

template <typename T>
struct PanelProduct {
  GlobalTensor<T> a, b;
  uint32_t a_pitch, b_pitch;  // elements between two stored rows
  uint32_t m, n, k;
  uint32_t k_first;           // where the summation starts, a multiple of the depth; it wraps around
  bool keep_a;                // A is that of the product before, and all its panels are in L1
  bool keep_b = false;        // the same of B
};

// Program is
//   uint32_t Count();  PanelProduct<T> At(i);
//   bool Fetch(i, k_end): called before the columns of A of product i up to k_end are read, and one depth back; false when
//     they depend on a product that is not stored yet, otherwise true once they may be read;
//   void Store(i, side, c, m, n): stores the columns from side * kHalfCols on of product i; c in L0C has its rows and
//     columns padded to 16, with copies of real ones or zeros.
template <typename T, PanelLayout layout, class Program>
class PanelCube {
  static constexpr uint32_t kBufferA = 32 * 1024, kBufferB = 32 * 1024, kBufferC = 64 * 1024;
  static_assert(kPanelRows * kPanelDepth * 2 <= kBufferA && kPanelDepth * kHalfCols * 2 <= kBufferB &&
                    kPanelRows * kHalfCols * 4 <= kBufferC,
                "a tile has to fit half of its memory");

 public:
  __aicore__ inline PanelCube(TPipe& pipe, const PanelTiling& t, Program& program) : t_(t), program_(program) {
    pipe.InitBuffer(left_, t.a_slots * t.a_rows * t.depth * sizeof(T));
    pipe.InitBuffer(right_, t.b_slots * kPanelCols * t.depth * sizeof(T));
    pipe.InitBuffer(l0a_, 2 * kBufferA);
    pipe.InitBuffer(l0b_, 2 * kBufferB);
    pipe.InitBuffer(l0c_, 2 * kBufferC);
  }

  __aicore__ inline void Run() {
    if (program_.Count() == 0) return;
    Begin();
    Cursor fetched = First(), done = First();
    while (done.product < program_.Count()) {
      while (fetched.product < program_.Count() && fetched.stage < done.stage + Stages() && Fetch(fetched)) {
        Advance(fetched);
      }
      Cursor second = done;
      Advance(second);
      const bool pair = t_.depth == kPanelDepth && second.chunk != 0;  // of the same product; deep stages need no company
      Compute(done, second, pair);
      if (pair) Advance(second);
      done = second;
    }
    End();
  }

 private:
  // A place in the sequence of stages.
  struct Cursor {
    PanelProduct<T> p;
    uint32_t product, chunk;  // chunk of its summation
    uint32_t stage;           // of all
    uint32_t kept, kept_end;  // where its panels begin in the ring of those that may stay, where those of the next will
  };

  // The shorter of the two rings is that of the stages under way, the panels of the longer one may stay.
  __aicore__ inline bool KeepsRight() const { return t_.a_slots < t_.b_slots; }
  __aicore__ inline uint32_t Stages() const { return Min(t_.a_slots, t_.b_slots); }
  __aicore__ inline uint32_t SlotOf(const Cursor& c, uint32_t slots, bool kept) const {
    return (kept ? c.kept + c.chunk : c.stage) % slots;
  }
  __aicore__ inline uint32_t Chunks(const PanelProduct<T>& p) const { return CeilDiv(p.k, t_.depth); }
  // Where in the summation the cursor stands, and how much of it the stage covers.
  __aicore__ inline uint32_t PlaceOf(const Cursor& c) const {
    return (c.chunk + c.p.k_first / t_.depth) % Chunks(c.p) * t_.depth;
  }
  __aicore__ inline uint32_t DepthOf(const Cursor& c) const { return Min(t_.depth, c.p.k - PlaceOf(c)); }

  __aicore__ inline Cursor First() {
    Cursor c;
    c.p = program_.At(0);
    c.product = c.chunk = c.stage = c.kept = 0;
    c.kept_end = Chunks(c.p);
    return c;
  }
  __aicore__ inline void Advance(Cursor& c) {
    ++c.stage;
    if (++c.chunk < Chunks(c.p)) return;
    c.chunk = 0;
    if (++c.product == program_.Count()) return;
    c.p = program_.At(c.product);
    if (c.p.keep_a || c.p.keep_b) return;
    c.kept = c.kept_end;
    c.kept_end += Chunks(c.p);
  }

  // Every buffer starts free; at the end every flag is taken back.
  __aicore__ inline void Begin() {
    for (int32_t i = 0; i < int32_t(Stages()); ++i) SetFlag<HardEvent::MTE1_MTE2>(i);
    for (int32_t i = 0; i < 2; ++i) {
      SetFlag<HardEvent::M_MTE1>(kOperandsFree + i);
      SetFlag<HardEvent::FIX_M>(i);
    }
  }
  __aicore__ inline void End() {
    for (int32_t i = 0; i < int32_t(Stages()); ++i) WaitFlag<HardEvent::MTE1_MTE2>(i);
    for (int32_t i = 0; i < 2; ++i) {
      WaitFlag<HardEvent::M_MTE1>(kOperandsFree + i);
      WaitFlag<HardEvent::FIX_M>(i);
    }
  }

  // ---- GM -> L1

  __aicore__ inline bool Fetch(const Cursor& c) {
    const PanelProduct<T>& p = c.p;
    const uint32_t k0 = PlaceOf(c), k = DepthOf(c);
    if (!p.keep_a && !program_.Fetch(c.product, k0 + k)) return false;
    const int32_t slot = static_cast<int32_t>(c.stage % Stages());
    WaitFlag<HardEvent::MTE1_MTE2>(slot);
    if (!p.keep_a) {
      if (layout == PanelLayout::kTN) {
        LoadRows(Left(c).data, p.a[uint64_t(k0) * p.a_pitch], k, p.m, p.a_pitch);
      } else {
        LoadRows(Left(c).data, p.a[k0], p.m, k, p.a_pitch);
      }
    }
    if (!p.keep_b) {
      if (layout == PanelLayout::kNT) {
        LoadRows(Right(c).data, p.b[k0], p.n, k, p.b_pitch);
      } else {
        LoadRows(Right(c).data, p.b[uint64_t(k0) * p.b_pitch], k, p.n, p.b_pitch);
      }
    }
    SetFlag<HardEvent::MTE2_MTE1>(slot);
    return true;
  }

  __aicore__ inline L1Matrix<T> Left(const Cursor& c) {
    return {left_.template Get<T>()[SlotOf(c, t_.a_slots, !KeepsRight()) * t_.a_rows * t_.depth],
            RoundUp(layout == PanelLayout::kTN ? DepthOf(c) : c.p.m, kFractal)};
  }
  __aicore__ inline L1Matrix<T> Right(const Cursor& c) {
    return {right_.template Get<T>()[SlotOf(c, t_.b_slots, KeepsRight()) * kPanelCols * t_.depth],
            RoundUp(layout == PanelLayout::kNT ? c.p.n : DepthOf(c), kFractal)};
  }

  // ---- L1 -> L0 -> L0C

  // One stage or two, half by half.
  __aicore__ inline void Compute(const Cursor& first, const Cursor& second, bool pair) {
    const uint32_t halves = CeilDiv(first.p.n, kHalfCols);
    for (uint32_t side = 0; side < halves; ++side) {
      MultiplyHalf(first, side, halves);
      if (pair) MultiplyHalf(second, side, halves);
      if (IsLast(pair ? second : first)) SetFlag<HardEvent::M_FIX>(static_cast<int32_t>(side));
    }
    if (!IsLast(pair ? second : first)) return;
    for (uint32_t side = 0; side < halves; ++side) {
      WaitFlag<HardEvent::M_FIX>(static_cast<int32_t>(side));
      program_.Store(first.product, side, Result(side), first.p.m, ColsOf(first, side));
      SetFlag<HardEvent::FIX_M>(static_cast<int32_t>(side));
    }
  }

  __aicore__ inline bool IsLast(const Cursor& c) const { return c.chunk + 1 == Chunks(c.p); }
  __aicore__ inline uint32_t ColsOf(const Cursor& c, uint32_t side) const {
    return Min(kHalfCols, c.p.n - side * kHalfCols);
  }

  __aicore__ inline void MultiplyHalf(const Cursor& c, uint32_t side, uint32_t halves) {
    const int32_t slot = static_cast<int32_t>(c.stage % Stages());
    const uint32_t m = RoundUp(c.p.m, kFractal), n = RoundUp(ColsOf(c, side), kFractal), depth = DepthOf(c);
    if (side == 0) WaitFlag<HardEvent::MTE2_MTE1>(slot);
    if (c.chunk == 0) WaitFlag<HardEvent::FIX_M>(static_cast<int32_t>(side));
    for (uint32_t k0 = 0; k0 < depth; k0 += kPanelDepth) {
      const uint32_t k = Min(kPanelDepth, depth - k0), k_padded = RoundUp(k, kFractal);
      const uint32_t in = operands_.Next();
      const LocalTensor<T> a = l0a_.template Get<T>()[in * (kBufferA / sizeof(T))];
      const LocalTensor<T> b = l0b_.template Get<T>()[in * (kBufferB / sizeof(T))];
      WaitFlag<HardEvent::M_MTE1>(kOperandsFree + in);
      if (layout == PanelLayout::kTN) {
        LoadLeftTransposed(a, Left(c), k0, 0, m, k_padded);
      } else {
        LoadLeft(a, Left(c), 0, k0, m, k_padded);
      }
      if (layout == PanelLayout::kNT) {
        LoadRightTransposed(b, Right(c), side * kHalfCols, k0, k_padded, n);
      } else {
        LoadRight(b, Right(c), k0, side * kHalfCols, k_padded, n);
      }
      SetFlag<HardEvent::MTE1_M>(in);
      WaitFlag<HardEvent::MTE1_M>(in);
      Multiply(Result(side), a, b, m, n, k, c.chunk == 0 && k0 == 0);
      SetFlag<HardEvent::M_MTE1>(kOperandsFree + in);
    }
    if (side + 1 == halves) SetFlag<HardEvent::MTE1_MTE2>(slot);
  }

  __aicore__ inline LocalTensor<float> Result(uint32_t side) {
    return l0c_.template Get<float>()[side * (kBufferC / sizeof(float))];
  }

  const PanelTiling& t_;
  Program& program_;
  TBuf<TPosition::A1> left_, right_;
  TBuf<TPosition::A2> l0a_;
  TBuf<TPosition::B2> l0b_;
  TBuf<TPosition::CO1> l0c_;
  PingPong operands_;
};

}  // namespace vit

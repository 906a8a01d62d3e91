// How `run` of a repeat-structured instruction visits its lanes: in contiguous stretches, as long as possible. Holds
// only what it needs, so that it fits into a Task.
#pragma once

#include "twin/vector_core.h"

namespace twin {

class Walk {
 public:
  Walk(const VecShape& shape, const VecArg* args, size_t n) : shape_(shape), n_(uint8_t(n)) {
    merged_ = FullMask(shape);
    for (size_t i = 0; i < n; ++i) {
      arg_[i] = {args[i].ref.addr, uint16_t(args[i].blk), uint16_t(args[i].rep), args[i].bytes};
      merged_ = merged_ && args[i].blk == 1 && (shape.repeats == 1 || args[i].rep * kBlockBytes == shape.lanes * args[i].bytes);
    }
  }

  // f(pointers, count) with one pointer per operand.
  template <size_t N, typename F>
  void ForRuns(F&& f) const {
    uint8_t* p[N];
    for (size_t i = 0; i < N; ++i) p[i] = Raw(Mem::UB, arg_[i].addr);
    if (merged_) {
      f(p, (shape_.repeats - 1) * shape_.lanes + shape_.tail);
      return;
    }
    VecArg args[N];
    for (size_t i = 0; i < N; ++i) {
      args[i].bytes = arg_[i].bytes;
      args[i].blk = arg_[i].blk;
    }
    for (uint32_t r = 0, whole = shape_.tail == shape_.lanes ? shape_.repeats : shape_.repeats - 1; r < shape_.repeats;) {
      const bool last = r == whole;
      const LaneRuns runs = RunsOf(shape_, last ? shape_.tail : shape_.lanes, args, N);
      SmallVector<Piece<N>, 4> pieces;
      for (const LaneRun& run : runs) {
        Piece<N> piece{run.count, {}};
        for (size_t i = 0; i < N; ++i) piece.offset[i] = uint32_t(LaneOffset(arg_[i].bytes, arg_[i].blk, 0, 0, run.lane));
        pieces.push_back(piece);
      }
      for (const uint32_t end = last ? r + 1 : whole; r < end; ++r) {
        for (const Piece<N>& piece : pieces) {
          uint8_t* q[N];
          for (size_t i = 0; i < N; ++i) q[i] = p[i] + size_t(r) * arg_[i].rep * kBlockBytes + piece.offset[i];
          f(q, piece.count);
        }
      }
    }
  }

 private:
  // A run of lanes, and where it begins in a repeat of each operand.
  template <size_t N>
  struct Piece {
    uint32_t count, offset[N];
  };
  static bool FullMask(const VecShape& s) {
    return s.lanes < 64 ? s.low == (1ull << s.lanes) - 1 : ~s.low == 0 && (s.lanes == 64 || ~s.high == 0);
  }
  struct Compact {
    uint32_t addr;
    uint16_t blk, rep;
    uint8_t bytes;
  };
  VecShape shape_;
  Compact arg_[3] = {};
  uint8_t n_;
  bool merged_;
};

}  // namespace twin

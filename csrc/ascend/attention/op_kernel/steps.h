// What both halves of the attention kernels agree on: the sequence of steps of a core, the workspace ring, the flags.
#pragma once

#include "kernel_operator.h"

#include "attention/tiling_data.h"
#include "common/block_index.h"
#include "common/l0_load.h"

namespace vit {

enum CrossCoreFlag : uint16_t {
  kScoresReady = 0,   // cube -> vector: S of a step is in the ring
  kProbsReady = 1,    // vector -> cube: P of a step is in the ring, and everything before it has been read
  kPartialReady = 2,  // cube -> vector: P V and the row sums of a step are in the ring
};

struct Step {
  uint32_t batch, head;
  uint32_t member;            // of the head in its group
  uint32_t row, rows;         // first row of Q and how many
  uint32_t rows_padded;       // to 16
  uint32_t col, cols;         // first column (key) and how many
  uint32_t cols_padded;
  uint32_t chunk;
  uint32_t unit;              // on this core
  uint32_t slot;              // of the ring
};

// The steps of one AI Core in order: its units one after another, within a unit head by head, within a head chunk by
// chunk. All three cores of a block walk the same sequence.
class StepSequence {
 public:
  __aicore__ inline StepSequence(const AttentionTiling& t, uint32_t block)
      : t_(t), first_(uint64_t(t.units) * block / t.blocks),
        units_(uint32_t(uint64_t(t.units) * (block + 1) / t.blocks) - first_) {}

  __aicore__ inline uint32_t Units() const { return units_; }
  __aicore__ inline uint32_t Count() const { return units_ * t_.head_group * t_.chunks; }

  __aicore__ inline Step At(uint32_t index) const {
    Step s;
    s.slot = index % kRing;
    s.chunk = index % t_.chunks;
    s.member = index / t_.chunks % t_.head_group;
    s.unit = index / (t_.chunks * t_.head_group);
    SetUnit(s);
    SetColumns(s);
    return s;
  }

  // The first step of a unit.
  __aicore__ inline Step UnitAt(uint32_t unit) const { return At(unit * t_.head_group * t_.chunks); }

 private:
  __aicore__ inline void SetUnit(Step& s) const {
    const uint32_t unit = first_ + s.unit;
    const uint32_t groups = t_.heads / t_.head_group;
    s.row = unit % t_.query_blocks * t_.query_block;
    s.rows = Min(t_.query_block, t_.tokens - s.row);
    s.rows_padded = RoundUp(s.rows, kFractal);
    s.head = unit / t_.query_blocks % groups * t_.head_group + s.member;
    s.batch = unit / t_.query_blocks / groups;
  }
  __aicore__ inline void SetColumns(Step& s) const {
    s.col = s.chunk * t_.chunk;
    s.cols = Min(t_.chunk, t_.tokens - s.col);
    s.cols_padded = RoundUp(s.cols, kFractal);
  }

  const AttentionTiling& t_;
  uint32_t first_, units_;
};

// The workspace of one AI Core: kRing slots, each with S (NZ, fp32), P (NZ, 16 bit) and the partial output (row-major,
// fp32, head_dim columns and the row sum in kSumColumns more).
template <typename T>
class Ring {
 public:
  __aicore__ inline Ring(GM_ADDR workspace, const AttentionTiling& t, uint32_t block)
      : t_(t), slot_bytes_(t.score_bytes + t.prob_bytes + t.partial_bytes),
        base_(workspace + block * kRing * slot_bytes_) {}

  __aicore__ inline GlobalTensor<float> Scores(const Step& s) const { return View<float>(s, 0, t_.score_bytes); }
  __aicore__ inline GlobalTensor<T> Probs(const Step& s) const { return View<T>(s, t_.score_bytes, t_.prob_bytes); }
  __aicore__ inline GlobalTensor<float> Partial(const Step& s) const {
    return View<float>(s, t_.score_bytes + t_.prob_bytes, t_.partial_bytes);
  }

 private:
  template <typename U>
  __aicore__ inline GlobalTensor<U> View(const Step& s, uint64_t offset, uint64_t bytes) const {
    GlobalTensor<U> g;
    g.SetGlobalBuffer(reinterpret_cast<__gm__ U*>(base_ + s.slot * slot_bytes_ + offset), bytes / sizeof(U));
    return g;
  }

  const AttentionTiling& t_;
  uint64_t slot_bytes_;
  GM_ADDR base_;
};

}  // namespace vit

// What both halves of the attention gradient kernel agree on: the sequence of steps of a core, the workspace, the flags.
#pragma once

#include "kernel_operator.h"

#include "attention_grad/tiling_data.h"
#include "common/block_index.h"
#include "common/l0_load.h"

namespace vit {

enum GradFlag : uint16_t {
  kScoresReady = 0,      // cube -> vector: S of a step is in the ring, and older P and dS have been read
  kProbGradsReady = 1,   // cube -> vector: so is its dP
  kProbsReady = 2,       // vector -> cube: P of a step is in the ring
  kScoreGradsReady = 3,  // vector -> cube: so is its dS, and its S and dP have been read
};

struct GradStep {
  uint32_t batch, head;
  uint32_t query, queries, queries_padded;  // first row of Q, how many, and that rounded up to 16
  uint32_t key, keys, keys_padded;
  uint32_t index;                           // of the step on this core
  uint32_t unit;                            // of the key block on this core
  bool first, last;                         // of the steps of its key block
};

// The steps of one AI Core: head by head, within a head key block by key block, within a key block the query blocks.
class GradStepSequence {
 public:
  __aicore__ inline GradStepSequence(const AttentionGradTiling& t, uint32_t block) : t_(t) {
    const uint32_t heads = t.batch * t.heads;
    first_ = t.deterministic ? Share(heads, block) * t.key_blocks : Share(heads * t.key_blocks, block);
    const uint32_t end =
        t.deterministic ? Share(heads, block + 1) * t.key_blocks : Share(heads * t.key_blocks, block + 1);
    count_ = (end - first_) * t.query_blocks;
  }

  __aicore__ inline uint32_t Count() const { return count_; }

  __aicore__ inline GradStep At(uint32_t index) const {
    GradStep s;
    const uint32_t block = index % t_.query_blocks;
    s.index = index;
    s.unit = index / t_.query_blocks;
    s.first = block == 0;
    s.last = block + 1 == t_.query_blocks;
    s.query = block * t_.query_block;
    s.queries = Min(t_.query_block, t_.tokens - s.query);
    s.queries_padded = RoundUp(s.queries, kFractal);
    const uint32_t unit = first_ + s.unit;
    s.key = unit % t_.key_blocks * t_.key_block;
    s.keys = Min(t_.key_block, t_.tokens - s.key);
    s.keys_padded = RoundUp(s.keys, kFractal);
    s.head = unit / t_.key_blocks % t_.heads;
    s.batch = unit / t_.key_blocks / t_.heads;
    return s;
  }

 private:
  __aicore__ inline uint32_t Share(uint32_t total, uint32_t block) const {
    return static_cast<uint32_t>(uint64_t(total) * block / t_.blocks);
  }

  const AttentionGradTiling& t_;
  uint32_t first_, count_;
};

// The workspace: per AI Core kGradRing slots of S, dP (NZ, fp32), P and dS (NZ, 16 bit); behind them dQ in fp32.
template <typename T>
class GradWorkspace {
 public:
  __aicore__ inline GradWorkspace(GM_ADDR workspace, const AttentionGradTiling& t)
      : t_(t), slot_bytes_(2 * (t.score_bytes + t.prob_bytes)),
        ring_(workspace + BlockIndex() * kGradRing * slot_bytes_), dq_(workspace + t.dq_offset) {}

  __aicore__ inline GlobalTensor<float> Scores(const GradStep& s) const { return Slot<float>(s, 0); }
  __aicore__ inline GlobalTensor<float> ProbGrads(const GradStep& s) const { return Slot<float>(s, t_.score_bytes); }
  __aicore__ inline GlobalTensor<T> Probs(const GradStep& s) const { return Slot<T>(s, 2 * t_.score_bytes); }
  __aicore__ inline GlobalTensor<T> ScoreGrads(const GradStep& s) const {
    return Slot<T>(s, 2 * t_.score_bytes + t_.prob_bytes);
  }
  // (batch, heads, tokens, head_dim) fp32, from row `row` of (batch, heads, tokens) on.
  __aicore__ inline GlobalTensor<float> QueryGrads(uint64_t row) const {
    GlobalTensor<float> g;
    g.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(dq_) + row * t_.head_dim);
    return g;
  }

 private:
  template <typename U>
  __aicore__ inline GlobalTensor<U> Slot(const GradStep& s, uint64_t offset) const {
    GlobalTensor<U> g;
    g.SetGlobalBuffer(reinterpret_cast<__gm__ U*>(ring_ + s.index % kGradRing * slot_bytes_ + offset),
                      uint64_t(t_.query_block) * t_.key_block);
    return g;
  }

  const AttentionGradTiling& t_;
  uint64_t slot_bytes_;
  GM_ADDR ring_;
  GM_ADDR dq_;
};

}  // namespace vit

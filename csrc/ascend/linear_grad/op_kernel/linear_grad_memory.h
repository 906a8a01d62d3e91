// What both halves of the linear gradient kernel agree on: the workspace and the flags.
#pragma once

#include "common/product_grid.h"
#include "common/tile_ring.h"
#include "linear_grad/tiling_data.h"

namespace vit {

enum LinearGradFlag : uint16_t {
  kTileReady = 0,     // cube -> vector: a tile of dx is in the ring
  kTileRead = 1,      // vector -> cube: it has been read
  kWeightScaled = 2,  // vector -> cube: scale w is in the workspace, from all cores
  kSummandReady = 3,  // cube -> vector: this core's part of G is in the workspace
};

template <typename T>
class LinearGradMemory {
 public:
  __aicore__ inline LinearGradMemory(GM_ADDR workspace, const LinearGradTiling& t) : t_(t), base_(workspace) {}

  // From row `row` on of one of the summands of G, (out, in).
  __aicore__ inline GlobalTensor<float> Summand(uint32_t part, uint32_t row) const {
    const uint64_t pitch = RoundUp(t_.weight.cols, kWorkspacePitch);
    return View<float>((uint64_t(part) * t_.weight.rows + row) * pitch * sizeof(float));
  }
  // The column sums of dy over the rows of one vector core.
  __aicore__ inline GlobalTensor<float> Sums(uint32_t core) const {
    return View<float>(t_.sums_offset + uint64_t(core) * RoundUp(t_.weight.rows, kWorkspacePitch) * sizeof(float));
  }
  // scale w, (out, in), times a power of two (scaled_weight.h).
  __aicore__ inline GlobalTensor<T> ScaledWeight() const { return View<T>(t_.weight_offset); }
  __aicore__ inline GM_ADDR Ring() const {
    return base_ + t_.ring_offset + uint64_t(BlockIndex()) * kRingSlots * kRingTileElems * sizeof(float);
  }

 private:
  template <typename U>
  __aicore__ inline GlobalTensor<U> View(uint64_t offset) const {
    GlobalTensor<U> g;
    g.SetGlobalBuffer(reinterpret_cast<__gm__ U*>(base_ + offset));
    return g;
  }

  const LinearGradTiling& t_;
  GM_ADDR base_;
};

}  // namespace vit

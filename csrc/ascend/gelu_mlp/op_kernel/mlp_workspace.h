// The workspace of one AI Core in the GELU-MLP forward: the hidden activations of two blocks of rows and the two rings
// of tiles. All of it is a few megabytes per core and stays in L2.
#pragma once

#include "mlp_steps.h"

namespace vit {

template <typename T>
class MlpWorkspace {
 public:
  __aicore__ inline MlpWorkspace(GM_ADDR workspace, const GeluMlpTiling& t)
      : t_(t), base_(workspace + BlockIndex() * (2 * t.hidden_bytes + kRingBytes)) {}

  // gelu(x w1^T + b1) of a block, row-major. Every second block lies in the same place.
  __aicore__ inline GlobalTensor<T> Hidden(uint32_t block) const {
    GlobalTensor<T> g;
    g.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(base_ + block % 2 * t_.hidden_bytes), t_.hidden_bytes / sizeof(T));
    return g;
  }
  __aicore__ inline GM_ADDR HiddenRing() const { return base_ + 2 * t_.hidden_bytes; }
  __aicore__ inline GM_ADDR OutRing() const { return HiddenRing() + kHiddenRing * kTileBytes; }

 private:
  static constexpr uint64_t kTileBytes = kRingTileElems * sizeof(float),
                            kRingBytes = (kHiddenRing + kOutRing) * kTileBytes;

  const GeluMlpTiling& t_;
  GM_ADDR base_;
};

}  // namespace vit

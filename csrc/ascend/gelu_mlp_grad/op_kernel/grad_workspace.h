// The workspace of the GELU-MLP gradient: per AI Core a ring of fp32 tiles; shared by all, dpre and gelu(h) of all
// rows, the vector cores' sums over their rows, and the parts of weight gradients whose rows are split.
#pragma once

#include "gelu_mlp/op_kernel/mlp_steps.h"
#include "gelu_mlp_grad/tiling_data.h"

namespace vit {

template <typename T>
class MlpGradWorkspace {
 public:
  __aicore__ inline MlpGradWorkspace(GM_ADDR workspace, const GeluMlpGradTiling& t) : t_(t), base_(workspace) {}

  __aicore__ inline GM_ADDR Ring() const { return base_ + BlockIndex() * kHiddenRing * kRingTileElems * sizeof(float); }
  __aicore__ inline GlobalTensor<T> Dpre(uint64_t row, uint32_t col) const { return Rows(t_.dpre_offset, row, col); }
  __aicore__ inline GlobalTensor<T> Gelu(uint64_t row, uint32_t col) const { return Rows(t_.gelu_offset, row, col); }

  // Sums of vector core `core`: of dpre, then of dy. Those of the next core follow `SumPitch` floats on.
  __aicore__ inline uint32_t SumPitch() const { return t_.rows.first + t_.columns; }
  __aicore__ inline GlobalTensor<float> Sums(uint32_t core) const {
    return Floats(t_.sums_offset + uint64_t(core) * SumPitch() * sizeof(float));
  }

  // The parts of dw1 or dw2, one matrix behind the other.
  __aicore__ inline GlobalTensor<float> Parts(bool second) const {
    const uint64_t first = uint64_t(t_.parts) * t_.rows.first * t_.rows.second;
    return Floats(t_.parts_offset + (second ? first * sizeof(float) : 0));
  }

 private:
  __aicore__ inline GlobalTensor<float> Floats(uint64_t offset) const {
    GlobalTensor<float> g;
    g.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(base_ + offset));
    return g;
  }
  __aicore__ inline GlobalTensor<T> Rows(uint64_t offset, uint64_t row, uint32_t col) const {
    GlobalTensor<T> g;
    g.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(base_ + offset) + row * t_.rows.first + col);
    return g;
  }

  const GeluMlpGradTiling& t_;
  GM_ADDR base_;
};

}  // namespace vit

// What kernel_operator.h brings along of the advanced API under names that the kernels have too, or call in the basic form.
// No kernel uses these: they are here so that a clash of names, or a call that fits both, fails on any machine.
#pragma once

#include "vector.h"

// kernel_tiling.h puts the tiling structures of the advanced API into the global namespace.
namespace AscendC {
namespace tiling {
struct LayerNormTiling;
struct LayerNormGradTiling;
struct LayerNormSeparateTiling;
}  // namespace tiling
}  // namespace AscendC
using AscendC::tiling::LayerNormGradTiling;
using AscendC::tiling::LayerNormSeparateTiling;
using AscendC::tiling::LayerNormTiling;

namespace AscendC {

template <typename T, bool highPrecision = false, bool highPerformance = false>
__aicore__ void Gelu(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LocalTensor<uint8_t>& tmp,
                     const uint32_t dataSize);
template <typename T, bool highPrecision = false, bool highPerformance = false>
__aicore__ void Gelu(const LocalTensor<T>& dst, const LocalTensor<T>& src, const uint32_t dataSize);

template <typename T, bool isReuseSource = false>
__aicore__ void LayerNorm(const LocalTensor<T>& output, const LocalTensor<T>& mean, const LocalTensor<T>& variance,
                          const LocalTensor<T>& x, const LocalTensor<T>& gamma, const LocalTensor<T>& beta,
                          const LocalTensor<uint8_t>& tmp, const T epsilon, LayerNormTiling& tiling);
template <typename T, bool isReuseSource = false>
__aicore__ void LayerNorm(const LocalTensor<T>& output, const LocalTensor<T>& mean, const LocalTensor<T>& variance,
                          const LocalTensor<T>& x, const LocalTensor<T>& gamma, const LocalTensor<T>& beta,
                          const T epsilon, LayerNormTiling& tiling);

struct LayerNormGradShapeInfo;
template <typename T, bool isReuseSource = false>
__aicore__ void LayerNormGrad(const LocalTensor<T>& dx, const LocalTensor<T>& forGamma, const LocalTensor<T>& dy,
                              const LocalTensor<T>& x, const LocalTensor<T>& variance, const LocalTensor<T>& mean,
                              const LocalTensor<T>& gamma, T epsilon, LayerNormGradTiling& tiling,
                              const LayerNormGradShapeInfo& shapeInfo);

template <typename T, uint8_t taylorExpandLevel, bool isReuseSource = false>
__aicore__ void Exp(const LocalTensor<T>& dst, const LocalTensor<T>& src, const uint32_t calCount);
template <typename T, uint8_t taylorExpandLevel, bool isReuseSource = false>
__aicore__ void Exp(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LocalTensor<uint8_t>& tmp,
                    const uint32_t calCount);
template <typename T, typename U, bool isReuseSource = false>
__aicore__ void Axpy(const LocalTensor<T>& dst, const LocalTensor<U>& src, const U scalarValue,
                     const LocalTensor<uint8_t>& tmp, const uint32_t calCount);

#define VIT_PARITY_PATTERN(name)                                                                                \
  template <class T, class pattern, bool isReuseSource = false>                                                 \
  __aicore__ void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LocalTensor<uint8_t>& tmp,   \
                       const uint32_t srcShape[], bool srcInnerPad);                                            \
  template <class T, class pattern, bool isReuseSource = false>                                                 \
  __aicore__ void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const uint32_t srcShape[],         \
                       bool srcInnerPad);
VIT_PARITY_PATTERN(ReduceSum)
VIT_PARITY_PATTERN(ReduceMax)
VIT_PARITY_PATTERN(ReduceMin)
#undef VIT_PARITY_PATTERN

}  // namespace AscendC

// Functions the toolkit composes out of many vector instructions: Erf and Tanh (reference 3.13). One instruction here,
// with the cost of what it stands for; the caller provides the temporary space, and nothing may overlap.
#pragma once

#include <type_traits>

#include "twin/vector_core.h"

namespace twin {

enum class MathFn : uint8_t { kErf, kTanh };
void IssueMath(MathFn fn, const VecArg& dst, const VecArg& src, const TensorRef& tmp, uint32_t count, Loc loc);

}  // namespace twin

namespace AscendC {

template <typename T, bool isReuseSource = false>
void Erf(const LocalTensor<T>& dstTensor, const LocalTensor<T>& srcTensor, const LocalTensor<uint8_t>& sharedTmpBuffer,
         const uint32_t calCount, twin::Loc loc = twin::Loc::Current()) {
  static_assert(std::is_same<T, half>::value || std::is_same<T, float>::value, "Erf exists for half and float");
  twin::IssueMath(twin::MathFn::kErf, twin::Arg(dstTensor, "dst", true), twin::Arg(srcTensor, "src"),
                  sharedTmpBuffer.Ref(), calCount, loc);
}
template <typename T, bool isReuseSource = false>
void Tanh(const LocalTensor<T>& dstTensor, const LocalTensor<T>& srcTensor, const LocalTensor<uint8_t>& sharedTmpBuffer,
          const uint32_t calCount, twin::Loc loc = twin::Loc::Current()) {
  static_assert(std::is_same<T, half>::value || std::is_same<T, float>::value, "Tanh exists for half and float");
  twin::IssueMath(twin::MathFn::kTanh, twin::Arg(dstTensor, "dst", true), twin::Arg(srcTensor, "src"),
                  sharedTmpBuffer.Ref(), calCount, loc);
}

}  // namespace AscendC

// Reductions. The old names (WholeReduceSum, ...) are the only ones that both toolkit generations have.
#pragma once

#include "vector.h"

namespace AscendC {

#define VIT_PARITY_REDUCE_TYPES(name) \
  static_assert(parity::kOneOf<T, half, float>, #name " exists for half and float only on 2201")

template <typename T, bool isSetMask = true>
__aicore__ void WholeReduceSum(const LocalTensor<T>&, const LocalTensor<T>&, const uint64_t[], const int32_t,
                               const int32_t, const int32_t, const int32_t) {
  VIT_PARITY_REDUCE_TYPES(WholeReduceSum);
}
template <typename T, bool isSetMask = true>
__aicore__ void WholeReduceSum(const LocalTensor<T>&, const LocalTensor<T>&, const int32_t /*mask*/,
                               const int32_t /*repeatTime*/, const int32_t /*dstRepStride*/,
                               const int32_t /*srcBlkStride*/, const int32_t /*srcRepStride*/) {
  VIT_PARITY_REDUCE_TYPES(WholeReduceSum);
}

#define VIT_PARITY_WHOLE(name)                                                                                  \
  template <typename T, bool isSetMask = true>                                                                  \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const uint64_t[], const int32_t,           \
                       const int32_t, const int32_t, const int32_t,                                             \
                       ReduceOrder = ReduceOrder::ORDER_VALUE_INDEX) {                                          \
    VIT_PARITY_REDUCE_TYPES(name);                                                                              \
  }                                                                                                             \
  template <typename T, bool isSetMask = true>                                                                  \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const int32_t, const int32_t,              \
                       const int32_t, const int32_t, const int32_t,                                             \
                       ReduceOrder = ReduceOrder::ORDER_VALUE_INDEX) {                                          \
    VIT_PARITY_REDUCE_TYPES(name);                                                                              \
  }
VIT_PARITY_WHOLE(WholeReduceMax)
VIT_PARITY_WHOLE(WholeReduceMin)
#undef VIT_PARITY_WHOLE

// repeatTime comes before mask here (pitfall 9).
#define VIT_PARITY_BLOCK(name)                                                                                  \
  template <typename T, bool isSetMask = true>                                                                  \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const int32_t, const uint64_t[],           \
                       const int32_t, const int32_t, const int32_t) {                                           \
    VIT_PARITY_REDUCE_TYPES(name);                                                                              \
  }                                                                                                             \
  template <typename T, bool isSetMask = true>                                                                  \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const int32_t, const int32_t,              \
                       const int32_t, const int32_t, const int32_t) {                                           \
    VIT_PARITY_REDUCE_TYPES(name);                                                                              \
  }
VIT_PARITY_BLOCK(BlockReduceSum)
VIT_PARITY_BLOCK(BlockReduceMax)
VIT_PARITY_BLOCK(BlockReduceMin)
VIT_PARITY_BLOCK(PairReduceSum)
#undef VIT_PARITY_BLOCK

template <typename T, bool isSetMask = true>
__aicore__ void RepeatReduceSum(const LocalTensor<T>&, const LocalTensor<T>&, const int32_t, const int32_t,
                                const int32_t, const int32_t, const int32_t, const int32_t) {
  VIT_PARITY_REDUCE_TYPES(RepeatReduceSum);
}

template <typename T, bool isSetMask = true>
__aicore__ void ReduceSum(const LocalTensor<T>&, const LocalTensor<T>&, const LocalTensor<T>&, const int32_t) {
  VIT_PARITY_REDUCE_TYPES(ReduceSum);
}
template <typename T, bool isSetMask = true>
__aicore__ void ReduceSum(const LocalTensor<T>&, const LocalTensor<T>&, const LocalTensor<T>&, const int32_t,
                          const int32_t, const int32_t) {
  VIT_PARITY_REDUCE_TYPES(ReduceSum);
}

#define VIT_PARITY_EXTREME(name)                                                                                \
  template <typename T>                                                                                         \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const LocalTensor<T>&, const int32_t,      \
                       bool = false) {                                                                          \
    VIT_PARITY_REDUCE_TYPES(name);                                                                              \
  }                                                                                                             \
  template <typename T>                                                                                         \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const LocalTensor<T>&, const int32_t,      \
                       const int32_t, const int32_t, bool = false) {                                            \
    VIT_PARITY_REDUCE_TYPES(name);                                                                              \
  }
VIT_PARITY_EXTREME(ReduceMax)
VIT_PARITY_EXTREME(ReduceMin)
#undef VIT_PARITY_EXTREME
#undef VIT_PARITY_REDUCE_TYPES

}  // namespace AscendC

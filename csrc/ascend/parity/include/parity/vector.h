// Element-wise vector instructions, casts, fills, gathers, compare/select and transposes. Bodies hold only the type
// rules of architecture 2201, so a call with an unsupported type fails where it is written.
#pragma once

#include "tensor.h"

namespace AscendC {

struct UnaryRepeatParams {
  __aicore__ UnaryRepeatParams() {}
  __aicore__ UnaryRepeatParams(const uint16_t dstBlkStrideIn, const uint16_t srcBlkStrideIn,
                               const uint8_t dstRepStrideIn, const uint8_t srcRepStrideIn)
      : dstBlkStride(dstBlkStrideIn), srcBlkStride(srcBlkStrideIn), dstRepStride(dstRepStrideIn),
        srcRepStride(srcRepStrideIn) {}
  uint16_t dstBlkStride = 1;
  uint16_t srcBlkStride = 1;
  uint8_t dstRepStride = 8;
  uint8_t srcRepStride = 8;
};

struct BinaryRepeatParams {
  __aicore__ BinaryRepeatParams() {}
  __aicore__ BinaryRepeatParams(const uint8_t dstBlkStrideIn, const uint8_t src0BlkStrideIn,
                                const uint8_t src1BlkStrideIn, const uint8_t dstRepStrideIn,
                                const uint8_t src0RepStrideIn, const uint8_t src1RepStrideIn)
      : dstBlkStride(dstBlkStrideIn), src0BlkStride(src0BlkStrideIn), src1BlkStride(src1BlkStrideIn),
        dstRepStride(dstRepStrideIn), src0RepStride(src0RepStrideIn), src1RepStride(src1RepStrideIn) {}
  uint8_t dstBlkStride = 1;
  uint8_t src0BlkStride = 1;
  uint8_t src1BlkStride = 1;
  uint8_t dstRepStride = 8;
  uint8_t src0RepStride = 8;
  uint8_t src1RepStride = 8;
};

struct BrcbRepeatParams {
  __aicore__ BrcbRepeatParams() {}
  __aicore__ BrcbRepeatParams(const uint16_t dstBlkStrideIn, const uint16_t dstRepStrideIn)
      : dstBlkStride(dstBlkStrideIn), dstRepStride(dstRepStrideIn) {}
  uint16_t dstBlkStride = 1;
  uint16_t dstRepStride = 8;
};

struct CopyRepeatParams {
  __aicore__ CopyRepeatParams() {}
  __aicore__ CopyRepeatParams(const uint16_t dstStrideIn, const uint16_t srcStrideIn, const uint16_t dstRepeatSizeIn,
                              const uint16_t srcRepeatSizeIn)
      : dstStride(dstStrideIn), srcStride(srcStrideIn), dstRepeatSize(dstRepeatSizeIn),
        srcRepeatSize(srcRepeatSizeIn) {}
  uint16_t dstStride = 0;
  uint16_t srcStride = 0;
  uint16_t dstRepeatSize = 8;
  uint16_t srcRepeatSize = 8;
};

struct GatherRepeatParams {
  __aicore__ GatherRepeatParams() {}
  __aicore__ GatherRepeatParams(const uint8_t dstBlkStrideIn, const uint8_t dstRepStrideIn)
      : dstBlkStride(dstBlkStrideIn), dstRepStride(dstRepStrideIn) {}
  uint8_t dstBlkStride = 1;
  uint8_t dstRepStride = 8;
};

struct GatherMaskParams {
  __aicore__ GatherMaskParams() {}
  __aicore__ GatherMaskParams(const uint8_t src0BlockStrideIn, const uint16_t repeatTimesIn,
                              const uint16_t src0RepeatStrideIn, const uint8_t src1RepeatStrideIn)
      : src0BlockStride(src0BlockStrideIn), repeatTimes(repeatTimesIn), src0RepeatStride(src0RepeatStrideIn),
        src1RepeatStride(src1RepeatStrideIn) {}
  uint8_t src0BlockStride = 1;
  uint16_t repeatTimes = 0;
  uint16_t src0RepeatStride = 0;
  uint8_t src1RepeatStride = 0;
};

struct TransDataTo5HDParams {
  __aicore__ TransDataTo5HDParams() {}
  __aicore__ TransDataTo5HDParams(const bool dstHighHalfIn, const bool srcHighHalfIn, const uint8_t repeatTimesIn,
                                  const uint16_t dstRepStrideIn, const uint16_t srcRepStrideIn)
      : dstHighHalf(dstHighHalfIn), srcHighHalf(srcHighHalfIn), repeatTimes(repeatTimesIn),
        dstRepStride(dstRepStrideIn), srcRepStride(srcRepStrideIn) {}
  bool dstHighHalf = false;
  bool srcHighHalf = false;
  uint8_t repeatTimes = 1;
  uint16_t dstRepStride = 0;
  uint16_t srcRepStride = 0;
};

constexpr uint64_t MASK_PLACEHOLDER = 0;

// ---------------------------------------------------------------- element-wise
#define VIT_PARITY_BINARY(name, ...)                                                                            \
  template <typename T, bool isSetMask = true>                                                                  \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const LocalTensor<T>&, uint64_t[],         \
                       const uint8_t, const BinaryRepeatParams&) {                                              \
    static_assert(parity::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");               \
  }                                                                                                             \
  template <typename T, bool isSetMask = true>                                                                  \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const LocalTensor<T>&, uint64_t,           \
                       const uint8_t, const BinaryRepeatParams&) {                                              \
    static_assert(parity::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");               \
  }

#define VIT_PARITY_BINARY_COUNT(name, ...)                                                                      \
  template <typename T>                                                                                         \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const LocalTensor<T>&, const int32_t&) {   \
    static_assert(parity::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");               \
  }

#define VIT_PARITY_UNARY(name, ...)                                                                             \
  template <typename T, bool isSetMask = true>                                                                  \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, uint64_t[], const uint8_t,                 \
                       const UnaryRepeatParams&) {                                                              \
    static_assert(parity::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");               \
  }                                                                                                             \
  template <typename T, bool isSetMask = true>                                                                  \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, uint64_t, const uint8_t,                   \
                       const UnaryRepeatParams&) {                                                              \
    static_assert(parity::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");               \
  }                                                                                                             \
  template <typename T>                                                                                         \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const int32_t&) {                          \
    static_assert(parity::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");               \
  }

#define VIT_PARITY_SCALAR(name, ...)                                                                            \
  template <typename T, bool isSetMask = true>                                                                  \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const T&, uint64_t[], const uint8_t,       \
                       const UnaryRepeatParams&) {                                                              \
    static_assert(parity::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");               \
  }                                                                                                             \
  template <typename T, bool isSetMask = true>                                                                  \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const T&, uint64_t, const uint8_t,         \
                       const UnaryRepeatParams&) {                                                              \
    static_assert(parity::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");               \
  }                                                                                                             \
  template <typename T, bool isSetMask = true>                                                                  \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<T>&, const T&, const int32_t&) {                \
    static_assert(parity::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");               \
  }

#define VIT_PARITY_BINARY_BOTH(name, ...)   \
  VIT_PARITY_BINARY(name, __VA_ARGS__)      \
  VIT_PARITY_BINARY_COUNT(name, __VA_ARGS__)

VIT_PARITY_BINARY_BOTH(Add, int16_t, half, int32_t, float)
VIT_PARITY_BINARY_BOTH(Sub, int16_t, half, int32_t, float)
VIT_PARITY_BINARY_BOTH(Mul, int16_t, half, int32_t, float)
VIT_PARITY_BINARY_BOTH(Max, int16_t, half, int32_t, float)
VIT_PARITY_BINARY_BOTH(Min, int16_t, half, int32_t, float)
VIT_PARITY_BINARY_BOTH(Div, half, float)
VIT_PARITY_BINARY_BOTH(AddRelu, int16_t, half, float)
VIT_PARITY_BINARY_BOTH(SubRelu, int16_t, half, float)
VIT_PARITY_BINARY_BOTH(FusedMulAdd, half, float)
VIT_PARITY_BINARY_BOTH(FusedMulAddRelu, half, float)
VIT_PARITY_BINARY(And, int16_t, uint16_t)
VIT_PARITY_BINARY(Or, int16_t, uint16_t)
VIT_PARITY_BINARY_COUNT(And, int16_t, uint16_t, int32_t, uint32_t)
VIT_PARITY_BINARY_COUNT(Or, int16_t, uint16_t, int32_t, uint32_t)
VIT_PARITY_UNARY(Not, int16_t, uint16_t)
VIT_PARITY_UNARY(Exp, half, float)
VIT_PARITY_UNARY(Ln, half, float)
VIT_PARITY_UNARY(Sqrt, half, float)
VIT_PARITY_UNARY(Rsqrt, half, float)
VIT_PARITY_UNARY(Reciprocal, half, float)
VIT_PARITY_UNARY(Abs, half, float)
VIT_PARITY_UNARY(Relu, half, float, int32_t)
VIT_PARITY_SCALAR(Adds, int16_t, half, int32_t, float)
VIT_PARITY_SCALAR(Muls, int16_t, half, int32_t, float)
VIT_PARITY_SCALAR(Maxs, int16_t, half, int32_t, float)
VIT_PARITY_SCALAR(Mins, int16_t, half, int32_t, float)
VIT_PARITY_SCALAR(LeakyRelu, half, float)
VIT_PARITY_SCALAR(ShiftLeft, int16_t, uint16_t, int32_t, uint32_t)

#undef VIT_PARITY_BINARY
#undef VIT_PARITY_BINARY_COUNT
#undef VIT_PARITY_BINARY_BOTH
#undef VIT_PARITY_UNARY
#undef VIT_PARITY_SCALAR

template <typename T, bool isSetMask = true>
__aicore__ void ShiftRight(const LocalTensor<T>& dst, const LocalTensor<T>& src, const T& scalarValue, uint64_t mask,
                           const uint8_t repeatTime, const UnaryRepeatParams& repeatParams, bool roundEn = false);
template <typename T, bool isSetMask = true>
__aicore__ void ShiftRight(const LocalTensor<T>& dst, const LocalTensor<T>& src, const T& scalarValue,
                           const int32_t& count);

namespace parity {
template <typename T, typename U>
constexpr bool kAccumulates = (IsSameType<T, U>::value && kOneOf<T, half, float>) ||
                              (IsSameType<T, float>::value && IsSameType<U, half>::value);
}  // namespace parity

#define VIT_PARITY_ACCUMULATE(name, operand, repeatParams)                                                      \
  template <typename T, typename U, bool isSetMask = true>                                                      \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<U>&, operand, uint64_t[], const uint8_t,        \
                       const repeatParams&) {                                                                   \
    static_assert(parity::kAccumulates<T, U>, #name " does not exist for these types on 2201");                 \
  }                                                                                                             \
  template <typename T, typename U, bool isSetMask = true>                                                      \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<U>&, operand, uint64_t, const uint8_t,          \
                       const repeatParams&) {                                                                   \
    static_assert(parity::kAccumulates<T, U>, #name " does not exist for these types on 2201");                 \
  }                                                                                                             \
  template <typename T, typename U>                                                                             \
  __aicore__ void name(const LocalTensor<T>&, const LocalTensor<U>&, operand, const int32_t&) {                 \
    static_assert(parity::kAccumulates<T, U>, #name " does not exist for these types on 2201");                 \
  }
VIT_PARITY_ACCUMULATE(Axpy, const U&, UnaryRepeatParams)
VIT_PARITY_ACCUMULATE(MulAddDst, const LocalTensor<U>&, BinaryRepeatParams)
#undef VIT_PARITY_ACCUMULATE

// ---------------------------------------------------------------- casts
namespace parity {
template <typename A, typename B, typename T, typename U>
constexpr bool kPair = IsSameType<A, T>::value && IsSameType<B, U>::value;
// Pitfall 2: no cast between half and bf16, and no narrowing to int8 except through half.
template <typename T, typename U>
constexpr bool kCasts =
    kPair<T, U, float, half> || kPair<T, U, float, bfloat16_t> || kPair<T, U, half, float> ||
    kPair<T, U, bfloat16_t, float> || kPair<T, U, float, float> || kPair<T, U, float, int32_t> ||
    kPair<T, U, int32_t, float> || kPair<T, U, int32_t, half> || kPair<T, U, int32_t, bfloat16_t> ||
    kPair<T, U, half, int32_t> || kPair<T, U, half, int16_t> || kPair<T, U, int16_t, half> ||
    kPair<T, U, int16_t, float> || kPair<T, U, float, int16_t> || kPair<T, U, int8_t, half> ||
    kPair<T, U, uint8_t, half> || kPair<T, U, half, int8_t> || kPair<T, U, half, uint8_t> ||
    kPair<T, U, int16_t, int32_t> || kPair<T, U, int32_t, int64_t> || kPair<T, U, int64_t, int32_t> ||
    kPair<T, U, float, int64_t> || kPair<T, U, int64_t, float>;
}  // namespace parity

template <typename T, typename U, bool isSetMask = true>
__aicore__ void Cast(const LocalTensor<T>&, const LocalTensor<U>&, const RoundMode&, const uint64_t[], const uint8_t,
                     const UnaryRepeatParams&) {
  static_assert(parity::kCasts<T, U>, "Cast does not exist for these types on 2201");
}
template <typename T, typename U, bool isSetMask = true>
__aicore__ void Cast(const LocalTensor<T>&, const LocalTensor<U>&, const RoundMode&, const uint64_t, const uint8_t,
                     const UnaryRepeatParams&) {
  static_assert(parity::kCasts<T, U>, "Cast does not exist for these types on 2201");
}
template <typename T, typename U>
__aicore__ void Cast(const LocalTensor<T>&, const LocalTensor<U>&, const RoundMode&, const uint32_t) {
  static_assert(parity::kCasts<T, U>, "Cast does not exist for these types on 2201");
}
__aicore__ void SetDeqScale(half scale);

// ---------------------------------------------------------------- fills, broadcasts, gathers
namespace parity {
template <typename T>
constexpr bool kMovable = kOneOf<T, int16_t, uint16_t, half, bfloat16_t, int32_t, uint32_t, float>;
}  // namespace parity

template <typename T, bool isSetMask = true>
__aicore__ void Duplicate(const LocalTensor<T>&, const T&, uint64_t[], const uint8_t, const uint16_t, const uint8_t) {
  static_assert(parity::kMovable<T>, "Duplicate does not exist for this type on 2201");
}
template <typename T, bool isSetMask = true>
__aicore__ void Duplicate(const LocalTensor<T>&, const T&, uint64_t, const uint8_t, const uint16_t, const uint8_t) {
  static_assert(parity::kMovable<T>, "Duplicate does not exist for this type on 2201");
}
template <typename T>
__aicore__ void Duplicate(const LocalTensor<T>&, const T&, const int32_t&) {
  static_assert(parity::kMovable<T>, "Duplicate does not exist for this type on 2201");
}
template <typename T>
__aicore__ void Brcb(const LocalTensor<T>&, const LocalTensor<T>&, const uint8_t, const BrcbRepeatParams&) {
  static_assert(parity::kMovable<T>, "Brcb does not exist for this type on 2201");
}
template <typename T>
__aicore__ void CreateVecIndex(LocalTensor<T>, const T&, uint32_t) {
  static_assert(parity::kOneOf<T, int16_t, half, int32_t, float>, "CreateVecIndex does not exist for this type");
}
template <typename T>
__aicore__ void Gather(const LocalTensor<T>&, const LocalTensor<T>&, const LocalTensor<uint32_t>&, const uint32_t,
                       const uint32_t) {
  static_assert(parity::kMovable<T>, "Gather does not exist for this type on 2201");
}
template <typename T>
__aicore__ void Gather(const LocalTensor<T>&, const LocalTensor<T>&, const LocalTensor<uint32_t>&, const uint32_t,
                       const uint64_t, const uint8_t, const uint16_t) {
  static_assert(parity::kMovable<T>, "Gather does not exist for this type on 2201");
}
template <typename T>
__aicore__ void Gatherb(const LocalTensor<T>&, const LocalTensor<T>&, const LocalTensor<uint32_t>&, const uint8_t,
                        const GatherRepeatParams&) {
  static_assert(parity::kOneOf<T, uint16_t, uint32_t>, "Gatherb does not exist for this type on 2201");
}
template <typename T>
__aicore__ void GatherMask(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const uint8_t src1Pattern,
                           const bool reduceMode, const uint32_t mask, const GatherMaskParams& gatherMaskParams,
                           uint64_t& rsvdCnt);
template <typename T, typename U>
__aicore__ void GatherMask(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const LocalTensor<U>& src1Pattern,
                           const bool reduceMode, const uint32_t mask, const GatherMaskParams& gatherMaskParams,
                           uint64_t& rsvdCnt);
template <typename T, bool isSetMask = true>
__aicore__ void Copy(const LocalTensor<T>& dst, const LocalTensor<T>& src, const uint64_t mask[],
                     const uint8_t repeatTime, const CopyRepeatParams& repeatParams);
template <typename T, bool isSetMask = true>
__aicore__ void Copy(const LocalTensor<T>& dst, const LocalTensor<T>& src, const uint64_t mask,
                     const uint8_t repeatTime, const CopyRepeatParams& repeatParams);

// ---------------------------------------------------------------- compare and select
namespace parity {
// Pitfall 3: 32-bit integers compare for equality only, which the mode argument decides at run time.
template <typename T, typename U>
constexpr bool kCompares = kOneOf<T, half, float, int32_t> && kOneOf<U, uint8_t, int8_t>;
}  // namespace parity

template <typename T, typename U>
__aicore__ void Compare(const LocalTensor<U>&, const LocalTensor<T>&, const LocalTensor<T>&, CMPMODE, uint32_t) {
  static_assert(parity::kCompares<T, U>, "Compare does not exist for these types on 2201");
}
template <typename T, typename U, bool isSetMask = true>
__aicore__ void Compare(const LocalTensor<U>&, const LocalTensor<T>&, const LocalTensor<T>&, CMPMODE, const uint64_t,
                        uint8_t, const BinaryRepeatParams&) {
  static_assert(parity::kCompares<T, U>, "Compare does not exist for these types on 2201");
}
template <typename T, bool isSetMask = true>
__aicore__ void Compare(const LocalTensor<T>& src0, const LocalTensor<T>& src1, CMPMODE cmpMode, const uint64_t mask,
                        const BinaryRepeatParams& repeatParams);
template <typename T, typename U>
__aicore__ void CompareScalar(const LocalTensor<U>&, const LocalTensor<T>&, const T, CMPMODE, uint32_t) {
  static_assert(parity::kCompares<T, U>, "CompareScalar does not exist for these types on 2201");
}
template <typename T, typename U, bool isSetMask = true>
__aicore__ void CompareScalar(const LocalTensor<U>&, const LocalTensor<T>&, const T, CMPMODE, const uint64_t, uint8_t,
                              const UnaryRepeatParams&) {
  static_assert(parity::kCompares<T, U>, "CompareScalar does not exist for these types on 2201");
}

template <typename T, typename U>
__aicore__ void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0,
                       const LocalTensor<T>& src1, SELMODE selMode, uint32_t count);
template <typename T, typename U>
__aicore__ void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0, T src1,
                       SELMODE selMode, uint32_t count);
template <typename T, typename U, bool isSetMask = true>
__aicore__ void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0,
                       const LocalTensor<T>& src1, SELMODE selMode, uint64_t mask, uint8_t repeatTime,
                       const BinaryRepeatParams& repeatParams);
template <typename T, typename U, bool isSetMask = true>
__aicore__ void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0, T src1,
                       SELMODE selMode, uint64_t mask, uint8_t repeatTime, const BinaryRepeatParams& repeatParams);

// ---------------------------------------------------------------- transposes
template <typename T>
__aicore__ void Transpose(const LocalTensor<T>&, const LocalTensor<T>&) {
  static_assert(parity::kOneOf<T, int16_t, uint16_t, half>, "Transpose does not exist for this type on 2201");
}
template <typename T>
__aicore__ void TransDataTo5HD(const LocalTensor<T> (&dstList)[16], const LocalTensor<T> (&srcList)[16],
                               const TransDataTo5HDParams& nchwconvParams);
template <typename T>
__aicore__ void TransDataTo5HD(uint64_t dstList[16], uint64_t srcList[16],
                               const TransDataTo5HDParams& nchwconvParams);
template <typename T>
__aicore__ void TransDataTo5HD(const LocalTensor<uint64_t>& dst, const LocalTensor<uint64_t>& src,
                               const TransDataTo5HDParams& nchwconvParams);

// ---------------------------------------------------------------- mask register
__aicore__ void SetMaskCount();
__aicore__ void SetMaskNorm();
__aicore__ void ResetMask();
template <typename T, MaskMode mode = MaskMode::NORMAL>
__aicore__ void SetVectorMask(const uint64_t maskHigh, const uint64_t maskLow);
template <typename T, MaskMode mode = MaskMode::NORMAL>
__aicore__ void SetVectorMask(int32_t len);

// ---------------------------------------------------------------- composed functions (their own temporary space)
template <typename T, bool isReuseSource = false>
__aicore__ void Erf(const LocalTensor<T>& dstTensor, const LocalTensor<T>& srcTensor,
                    const LocalTensor<uint8_t>& sharedTmpBuffer, const uint32_t calCount);
template <typename T, bool isReuseSource = false>
__aicore__ void Tanh(const LocalTensor<T>& dstTensor, const LocalTensor<T>& srcTensor,
                     const LocalTensor<uint8_t>& sharedTmpBuffer, const uint32_t calCount);

}  // namespace AscendC

// Element-wise arithmetic: Add ... FusedMulAdd, scalars, Exp, Ln, Sqrt, shifts and bit operations (reference 3.1).
#pragma once

#include <type_traits>

#include "twin/vector_core.h"

namespace twin {

enum class VecOp : uint8_t {
  kAdd, kSub, kMul, kMax, kMin, kDiv, kAddRelu, kSubRelu, kAnd, kOr,
  kFusedMulAdd, kFusedMulAddRelu, kMulAddDst, kAxpy,
  kAdds, kMuls, kMaxs, kMins, kLeakyRelu, kShiftLeft, kShiftRight, kShiftRightRound,
  kExp, kLn, kSqrt, kRsqrt, kReciprocal, kAbs, kRelu, kNot,
};

// n_args counts dst and the tensor sources; `scalar` is the immediate operand where there is one.
void IssueElementwise(VecOp op, const VecArg* args, size_t n_args, const VecMask& mask, double scalar, Loc loc);

template <typename T, typename... Ts>
constexpr bool kOneOf = (std::is_same<T, Ts>::value || ...);
template <typename T, typename U>
constexpr bool kAccumulates = (std::is_same<T, U>::value && kOneOf<T, half, float>) ||
                              (std::is_same<T, float>::value && std::is_same<U, half>::value);

}  // namespace twin

namespace AscendC {

#define TWIN_BINARY(name, op, ...)                                                                                  \
  template <typename T, bool isSetMask = true>                                                                      \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1, uint64_t mask,       \
            twin::checked<uint8_t> repeatTime, const BinaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) { \
    static_assert(twin::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");                     \
    const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),                       \
                                 twin::Arg(src0, "src0", false, p.src0BlkStride, p.src0RepStride),                  \
                                 twin::Arg(src1, "src1", false, p.src1BlkStride, p.src1RepStride)};                 \
    twin::IssueElementwise(op, args, 3, twin::VecMask::Lanes(mask, repeatTime, isSetMask), 0, loc);                 \
  }                                                                                                                 \
  template <typename T, bool isSetMask = true>                                                                      \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1, uint64_t mask[],     \
            twin::checked<uint8_t> repeatTime, const BinaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) { \
    static_assert(twin::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");                     \
    const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),                       \
                                 twin::Arg(src0, "src0", false, p.src0BlkStride, p.src0RepStride),                  \
                                 twin::Arg(src1, "src1", false, p.src1BlkStride, p.src1RepStride)};                 \
    twin::IssueElementwise(op, args, 3, twin::VecMask::Bits(mask, repeatTime, isSetMask), 0, loc);                  \
  }

#define TWIN_BINARY_COUNT(name, op, ...)                                                                            \
  template <typename T>                                                                                             \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1,                      \
            const int32_t& count, twin::Loc loc = twin::Loc::Current()) {                                           \
    static_assert(twin::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");                     \
    const twin::VecArg args[] = {twin::Arg(dst, "dst", true), twin::Arg(src0, "src0"), twin::Arg(src1, "src1")};    \
    twin::IssueElementwise(op, args, 3, twin::VecMask::Count(count), 0, loc);                                       \
  }

#define TWIN_UNARY(name, op, ...)                                                                                   \
  template <typename T, bool isSetMask = true>                                                                      \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, uint64_t mask, twin::checked<uint8_t> repeatTime, \
            const UnaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {                                     \
    static_assert(twin::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");                     \
    const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),                       \
                                 twin::Arg(src, "src", false, p.srcBlkStride, p.srcRepStride)};                     \
    twin::IssueElementwise(op, args, 2, twin::VecMask::Lanes(mask, repeatTime, isSetMask), 0, loc);                 \
  }                                                                                                                 \
  template <typename T, bool isSetMask = true>                                                                      \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, uint64_t mask[],                                  \
            twin::checked<uint8_t> repeatTime, const UnaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {  \
    static_assert(twin::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");                     \
    const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),                       \
                                 twin::Arg(src, "src", false, p.srcBlkStride, p.srcRepStride)};                     \
    twin::IssueElementwise(op, args, 2, twin::VecMask::Bits(mask, repeatTime, isSetMask), 0, loc);                  \
  }                                                                                                                 \
  template <typename T>                                                                                             \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const int32_t& count,                             \
            twin::Loc loc = twin::Loc::Current()) {                                                                 \
    static_assert(twin::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");                     \
    const twin::VecArg args[] = {twin::Arg(dst, "dst", true), twin::Arg(src, "src")};                               \
    twin::IssueElementwise(op, args, 2, twin::VecMask::Count(count), 0, loc);                                       \
  }

#define TWIN_SCALAR(name, op, ...)                                                                                  \
  template <typename T, bool isSetMask = true>                                                                      \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const T& scalar, uint64_t mask,                   \
            twin::checked<uint8_t> repeatTime, const UnaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {  \
    static_assert(twin::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");                     \
    const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),                       \
                                 twin::Arg(src, "src", false, p.srcBlkStride, p.srcRepStride)};                     \
    twin::IssueElementwise(op, args, 2, twin::VecMask::Lanes(mask, repeatTime, isSetMask), double(scalar), loc);    \
  }                                                                                                                 \
  template <typename T, bool isSetMask = true>                                                                      \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const T& scalar, uint64_t mask[],                 \
            twin::checked<uint8_t> repeatTime, const UnaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {  \
    static_assert(twin::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");                     \
    const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),                       \
                                 twin::Arg(src, "src", false, p.srcBlkStride, p.srcRepStride)};                     \
    twin::IssueElementwise(op, args, 2, twin::VecMask::Bits(mask, repeatTime, isSetMask), double(scalar), loc);     \
  }                                                                                                                 \
  template <typename T, bool isSetMask = true>                                                                      \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const T& scalar, const int32_t& count,            \
            twin::Loc loc = twin::Loc::Current()) {                                                                 \
    static_assert(twin::kOneOf<T, __VA_ARGS__>, #name " does not exist for this type on 2201");                     \
    const twin::VecArg args[] = {twin::Arg(dst, "dst", true), twin::Arg(src, "src")};                               \
    twin::IssueElementwise(op, args, 2, twin::VecMask::Count(count), double(scalar), loc);                          \
  }

#define TWIN_BINARY_BOTH(name, op, ...)  \
  TWIN_BINARY(name, op, __VA_ARGS__)     \
  TWIN_BINARY_COUNT(name, op, __VA_ARGS__)

TWIN_BINARY_BOTH(Add, twin::VecOp::kAdd, int16_t, half, int32_t, float)
TWIN_BINARY_BOTH(Sub, twin::VecOp::kSub, int16_t, half, int32_t, float)
TWIN_BINARY_BOTH(Mul, twin::VecOp::kMul, int16_t, half, int32_t, float)
TWIN_BINARY_BOTH(Max, twin::VecOp::kMax, int16_t, half, int32_t, float)
TWIN_BINARY_BOTH(Min, twin::VecOp::kMin, int16_t, half, int32_t, float)
TWIN_BINARY_BOTH(Div, twin::VecOp::kDiv, half, float)
TWIN_BINARY_BOTH(AddRelu, twin::VecOp::kAddRelu, int16_t, half, float)
TWIN_BINARY_BOTH(SubRelu, twin::VecOp::kSubRelu, int16_t, half, float)
TWIN_BINARY_BOTH(FusedMulAdd, twin::VecOp::kFusedMulAdd, half, float)
TWIN_BINARY_BOTH(FusedMulAddRelu, twin::VecOp::kFusedMulAddRelu, half, float)
TWIN_BINARY(And, twin::VecOp::kAnd, int16_t, uint16_t)
TWIN_BINARY(Or, twin::VecOp::kOr, int16_t, uint16_t)
TWIN_BINARY_COUNT(And, twin::VecOp::kAnd, int16_t, uint16_t, int32_t, uint32_t)
TWIN_BINARY_COUNT(Or, twin::VecOp::kOr, int16_t, uint16_t, int32_t, uint32_t)
TWIN_UNARY(Not, twin::VecOp::kNot, int16_t, uint16_t)
TWIN_UNARY(Exp, twin::VecOp::kExp, half, float)
TWIN_UNARY(Ln, twin::VecOp::kLn, half, float)
TWIN_UNARY(Sqrt, twin::VecOp::kSqrt, half, float)
TWIN_UNARY(Rsqrt, twin::VecOp::kRsqrt, half, float)
TWIN_UNARY(Reciprocal, twin::VecOp::kReciprocal, half, float)
TWIN_UNARY(Abs, twin::VecOp::kAbs, half, float)
TWIN_UNARY(Relu, twin::VecOp::kRelu, half, float, int32_t)
TWIN_SCALAR(Adds, twin::VecOp::kAdds, int16_t, half, int32_t, float)
TWIN_SCALAR(Muls, twin::VecOp::kMuls, int16_t, half, int32_t, float)
TWIN_SCALAR(Maxs, twin::VecOp::kMaxs, int16_t, half, int32_t, float)
TWIN_SCALAR(Mins, twin::VecOp::kMins, int16_t, half, int32_t, float)
TWIN_SCALAR(LeakyRelu, twin::VecOp::kLeakyRelu, half, float)
TWIN_SCALAR(ShiftLeft, twin::VecOp::kShiftLeft, int16_t, uint16_t, int32_t, uint32_t)
TWIN_SCALAR(ShiftRight, twin::VecOp::kShiftRight, int16_t, uint16_t, int32_t, uint32_t)

#undef TWIN_BINARY
#undef TWIN_BINARY_COUNT
#undef TWIN_BINARY_BOTH
#undef TWIN_UNARY
#undef TWIN_SCALAR

// dst += src * scalar. With U = half and T = float a repeat has 64 lanes and nothing may overlap.
template <typename T, typename U, bool isSetMask = true>
void Axpy(const LocalTensor<T>& dst, const LocalTensor<U>& src, const U& scalar, uint64_t mask,
          twin::checked<uint8_t> repeatTime, const UnaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kAccumulates<T, U>, "Axpy does not exist for these types on 2201");
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),
                               twin::Arg(src, "src", false, p.srcBlkStride, p.srcRepStride)};
  twin::IssueElementwise(twin::VecOp::kAxpy, args, 2, twin::VecMask::Lanes(mask, repeatTime, isSetMask),
                         double(scalar), loc);
}
template <typename T, typename U, bool isSetMask = true>
void Axpy(const LocalTensor<T>& dst, const LocalTensor<U>& src, const U& scalar, uint64_t mask[],
          twin::checked<uint8_t> repeatTime, const UnaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kAccumulates<T, U>, "Axpy does not exist for these types on 2201");
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),
                               twin::Arg(src, "src", false, p.srcBlkStride, p.srcRepStride)};
  twin::IssueElementwise(twin::VecOp::kAxpy, args, 2, twin::VecMask::Bits(mask, repeatTime, isSetMask),
                         double(scalar), loc);
}
template <typename T, typename U>
void Axpy(const LocalTensor<T>& dst, const LocalTensor<U>& src, const U& scalar, const int32_t& count,
          twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kAccumulates<T, U>, "Axpy does not exist for these types on 2201");
  constexpr uint32_t rep = 8 * sizeof(U) / sizeof(T);
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true), twin::Arg(src, "src", false, 1, rep)};
  twin::IssueElementwise(twin::VecOp::kAxpy, args, 2, twin::VecMask::Count(count), double(scalar), loc);
}

// dst += src0 * src1
template <typename T, typename U, bool isSetMask = true>
void MulAddDst(const LocalTensor<T>& dst, const LocalTensor<U>& src0, const LocalTensor<U>& src1, uint64_t mask,
               twin::checked<uint8_t> repeatTime, const BinaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kAccumulates<T, U>, "MulAddDst does not exist for these types on 2201");
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),
                               twin::Arg(src0, "src0", false, p.src0BlkStride, p.src0RepStride),
                               twin::Arg(src1, "src1", false, p.src1BlkStride, p.src1RepStride)};
  twin::IssueElementwise(twin::VecOp::kMulAddDst, args, 3, twin::VecMask::Lanes(mask, repeatTime, isSetMask), 0, loc);
}
template <typename T, typename U, bool isSetMask = true>
void MulAddDst(const LocalTensor<T>& dst, const LocalTensor<U>& src0, const LocalTensor<U>& src1, uint64_t mask[],
               twin::checked<uint8_t> repeatTime, const BinaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kAccumulates<T, U>, "MulAddDst does not exist for these types on 2201");
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),
                               twin::Arg(src0, "src0", false, p.src0BlkStride, p.src0RepStride),
                               twin::Arg(src1, "src1", false, p.src1BlkStride, p.src1RepStride)};
  twin::IssueElementwise(twin::VecOp::kMulAddDst, args, 3, twin::VecMask::Bits(mask, repeatTime, isSetMask), 0, loc);
}
template <typename T, typename U>
void MulAddDst(const LocalTensor<T>& dst, const LocalTensor<U>& src0, const LocalTensor<U>& src1, const int32_t& count,
               twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kAccumulates<T, U>, "MulAddDst does not exist for these types on 2201");
  constexpr uint32_t rep = 8 * sizeof(U) / sizeof(T);
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true), twin::Arg(src0, "src0", false, 1, rep),
                               twin::Arg(src1, "src1", false, 1, rep)};
  twin::IssueElementwise(twin::VecOp::kMulAddDst, args, 3, twin::VecMask::Count(count), 0, loc);
}

template <typename T, bool isSetMask = true>
void ShiftRight(const LocalTensor<T>& dst, const LocalTensor<T>& src, const T& scalar, uint64_t mask,
                twin::checked<uint8_t> repeatTime, const UnaryRepeatParams& p, bool roundEn,
                twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kOneOf<T, int16_t, int32_t>, "ShiftRight rounds signed integers only");
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),
                               twin::Arg(src, "src", false, p.srcBlkStride, p.srcRepStride)};
  twin::IssueElementwise(roundEn ? twin::VecOp::kShiftRightRound : twin::VecOp::kShiftRight, args, 2,
                         twin::VecMask::Lanes(mask, repeatTime, isSetMask), double(scalar), loc);
}

}  // namespace AscendC

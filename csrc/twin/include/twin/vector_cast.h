// Cast: every conversion the vector unit of 2201 has for the types the twin models, and only those (reference 3.2).
#pragma once

#include "twin/vector_core.h"

namespace AscendC {

void SetDeqScale(half scale);

}  // namespace AscendC

namespace twin {

// One bit per RoundMode that is legal for the pair; 0: the conversion does not exist.
constexpr uint32_t CastModes(ElemType dst, ElemType src) {
  using E = ElemType;
  constexpr uint32_t none = 1, rounding = 0x3e /* RINT FLOOR CEIL ROUND TRUNC */, odd = 0x40;
  struct Row {
    E dst, src;
    uint32_t modes;
  };
  constexpr Row rows[] = {
      {E::kFloat, E::kHalf, none},
      {E::kFloat, E::kBf16, none},
      {E::kHalf, E::kFloat, none | rounding | odd},
      {E::kBf16, E::kFloat, rounding},
      {E::kFloat, E::kFloat, rounding},
      {E::kFloat, E::kInt32, none | rounding},
      {E::kInt32, E::kFloat, rounding},
      {E::kInt32, E::kHalf, rounding},
      {E::kInt32, E::kBf16, rounding},
      {E::kHalf, E::kInt32, none | rounding | odd},  // scaled by SetDeqScale, the mode is ignored
      {E::kInt16, E::kHalf, rounding},
      {E::kHalf, E::kInt16, none | rounding},
      {E::kInt16, E::kFloat, rounding},
      {E::kFloat, E::kInt16, none},
      {E::kInt8, E::kHalf, none | rounding},
      {E::kUint8, E::kHalf, none | rounding},
      {E::kHalf, E::kInt8, none},
      {E::kHalf, E::kUint8, none},
      {E::kInt16, E::kInt32, none},
  };
  for (const Row& row : rows) {
    if (row.dst == dst && row.src == src) return row.modes;
  }
  return 0;
}

void IssueCast(const VecArg* args, AscendC::RoundMode mode, const VecMask& mask, Loc loc);

}  // namespace twin

namespace AscendC {

template <typename T, typename U, bool isSetMask = true>
void Cast(const LocalTensor<T>& dst, const LocalTensor<U>& src, const RoundMode& roundMode, const uint64_t mask,
          twin::checked<uint8_t> repeatTime, const UnaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::CastModes(twin::ElemTypeOf<T>(), twin::ElemTypeOf<U>()) != 0,
                "Cast does not exist for these types on 2201 (half <-> bfloat16_t goes through float)");
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),
                               twin::Arg(src, "src", false, p.srcBlkStride, p.srcRepStride)};
  twin::IssueCast(args, roundMode, twin::VecMask::Lanes(mask, repeatTime, isSetMask), loc);
}
template <typename T, typename U, bool isSetMask = true>
void Cast(const LocalTensor<T>& dst, const LocalTensor<U>& src, const RoundMode& roundMode, const uint64_t mask[],
          twin::checked<uint8_t> repeatTime, const UnaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::CastModes(twin::ElemTypeOf<T>(), twin::ElemTypeOf<U>()) != 0,
                "Cast does not exist for these types on 2201 (half <-> bfloat16_t goes through float)");
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride),
                               twin::Arg(src, "src", false, p.srcBlkStride, p.srcRepStride)};
  twin::IssueCast(args, roundMode, twin::VecMask::Bits(mask, repeatTime, isSetMask), loc);
}
template <typename T, typename U>
void Cast(const LocalTensor<T>& dst, const LocalTensor<U>& src, const RoundMode& roundMode, const uint32_t count,
          twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::CastModes(twin::ElemTypeOf<T>(), twin::ElemTypeOf<U>()) != 0,
                "Cast does not exist for these types on 2201 (half <-> bfloat16_t goes through float)");
  // A repeat has as many lanes as the wider type allows; the narrower operand advances by half a repeat.
  constexpr uint32_t wide = sizeof(T) > sizeof(U) ? sizeof(T) : sizeof(U);
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true, 1, 8 * sizeof(T) / wide),
                               twin::Arg(src, "src", false, 1, 8 * sizeof(U) / wide)};
  twin::IssueCast(args, roundMode, twin::VecMask::Count(count), loc);
}

}  // namespace AscendC

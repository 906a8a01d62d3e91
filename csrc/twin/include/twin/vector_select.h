// Compare to bits, select by bits (reference 3.5). Bit i of the mask is element i, little-endian inside the bytes.
#pragma once

#include <type_traits>

#include "twin/vector_core.h"

namespace twin {

// src1 is null for the scalar form. Count form: mask is a count; repeat form: all lanes.
void IssueCompare(const TensorRef& dst, const VecArg& src0, const VecArg* src1, double scalar, AscendC::CMPMODE mode,
                  const VecMask& mask, const char* api, Loc loc);
void IssueSelect(const VecArg& dst, const TensorRef& bits, const VecArg& src0, const VecArg* src1, double scalar,
                 AscendC::SELMODE mode, const VecMask& mask, Loc loc);

template <typename T, typename U>
constexpr bool kComparable = (std::is_same<T, half>::value || std::is_same<T, float>::value ||
                              std::is_same<T, int32_t>::value) && sizeof(U) == 1;
template <typename T>
constexpr bool kSelectable = std::is_same<T, half>::value || std::is_same<T, float>::value;

}  // namespace twin

namespace AscendC {

template <typename T, typename U>
void Compare(const LocalTensor<U>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1, CMPMODE cmpMode,
             uint32_t count, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kComparable<T, U>, "Compare does not exist for these types on 2201");
  const twin::VecArg b = twin::Arg(src1, "src1");
  twin::IssueCompare(dst.Ref(), twin::Arg(src0, "src0"), &b, 0, cmpMode, twin::VecMask::Count(count), "Compare", loc);
}
template <typename T, typename U, bool isSetMask = true>
void Compare(const LocalTensor<U>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1, CMPMODE cmpMode,
             const uint64_t mask, twin::checked<uint8_t> repeatTime, const BinaryRepeatParams& p,
             twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kComparable<T, U>, "Compare does not exist for these types on 2201");
  const twin::VecArg b = twin::Arg(src1, "src1", false, p.src1BlkStride, p.src1RepStride);
  twin::IssueCompare(dst.Ref(), twin::Arg(src0, "src0", false, p.src0BlkStride, p.src0RepStride), &b, 0, cmpMode,
                     twin::VecMask::Lanes(mask, repeatTime, isSetMask), "Compare", loc);
}
template <typename T, typename U>
void CompareScalar(const LocalTensor<U>& dst, const LocalTensor<T>& src0, const T src1Scalar, CMPMODE cmpMode,
                   uint32_t count, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kComparable<T, U>, "CompareScalar does not exist for these types on 2201");
  twin::IssueCompare(dst.Ref(), twin::Arg(src0, "src0"), nullptr, double(src1Scalar), cmpMode,
                     twin::VecMask::Count(count), "CompareScalar", loc);
}
template <typename T, typename U, bool isSetMask = true>
void CompareScalar(const LocalTensor<U>& dst, const LocalTensor<T>& src0, const T src1Scalar, CMPMODE cmpMode,
                   const uint64_t mask, twin::checked<uint8_t> repeatTime, const UnaryRepeatParams& p,
                   twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kComparable<T, U>, "CompareScalar does not exist for these types on 2201");
  twin::IssueCompare(dst.Ref(), twin::Arg(src0, "src0", false, p.srcBlkStride, p.srcRepStride), nullptr,
                     double(src1Scalar), cmpMode, twin::VecMask::Lanes(mask, repeatTime, isSetMask), "CompareScalar",
                     loc);
}

// Bit 1 takes src0, bit 0 takes src1.
template <typename T, typename U>
void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0,
            const LocalTensor<T>& src1, SELMODE selMode, uint32_t count, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kSelectable<T>, "Select exists for half and float only on 2201");
  const twin::VecArg b = twin::Arg(src1, "src1");
  twin::IssueSelect(twin::Arg(dst, "dst", true), selMask.Ref(), twin::Arg(src0, "src0"), &b, 0, selMode,
                    twin::VecMask::Count(count), loc);
}
template <typename T, typename U>
void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0, T src1,
            SELMODE selMode, uint32_t count, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kSelectable<T>, "Select exists for half and float only on 2201");
  twin::IssueSelect(twin::Arg(dst, "dst", true), selMask.Ref(), twin::Arg(src0, "src0"), nullptr, double(src1), selMode,
                    twin::VecMask::Count(count), loc);
}
template <typename T, typename U, bool isSetMask = true>
void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0,
            const LocalTensor<T>& src1, SELMODE selMode, uint64_t mask, twin::checked<uint8_t> repeatTime,
            const BinaryRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kSelectable<T>, "Select exists for half and float only on 2201");
  const twin::VecArg b = twin::Arg(src1, "src1", false, p.src1BlkStride, p.src1RepStride);
  twin::IssueSelect(twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride), selMask.Ref(),
                    twin::Arg(src0, "src0", false, p.src0BlkStride, p.src0RepStride), &b, 0, selMode,
                    twin::VecMask::Lanes(mask, repeatTime, isSetMask), loc);
}
template <typename T, typename U, bool isSetMask = true>
void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0, T src1,
            SELMODE selMode, uint64_t mask, twin::checked<uint8_t> repeatTime, const BinaryRepeatParams& p,
            twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kSelectable<T>, "Select exists for half and float only on 2201");
  twin::IssueSelect(twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride), selMask.Ref(),
                    twin::Arg(src0, "src0", false, p.src0BlkStride, p.src0RepStride), nullptr, double(src1), selMode,
                    twin::VecMask::Lanes(mask, repeatTime, isSetMask), loc);
}

}  // namespace AscendC

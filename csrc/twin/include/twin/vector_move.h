// Fills, broadcasts, gathers, copies and transposes inside UB (reference 3.3, 3.6). Those that only move bytes carry
// "never written" along, so a padded tail is reported where it is used, not where it is moved.
#pragma once

#include <type_traits>

#include "twin/vector_core.h"

namespace twin {

void IssueDuplicate(const VecArg& dst, uint64_t bits, const VecMask& mask, Loc loc);
void IssueBrcb(const VecArg& dst, const VecArg& src, uint32_t repeats, Loc loc);
void IssueIndex(const VecArg& dst, double first, uint32_t count, Loc loc);
void IssueGather(const VecArg& dst, const TensorRef& src, const TensorRef& offsets, uint32_t base, const VecMask& mask,
                 Loc loc);
void IssueGatherBlocks(const VecArg& dst, const TensorRef& src, const TensorRef& offsets, uint32_t repeats, Loc loc);
uint64_t IssueGatherMask(const VecArg& dst, const VecArg& src, uint32_t pattern, bool reduce_mode, uint32_t mask,
                         const AscendC::GatherMaskParams& p, Loc loc);
void IssueCopy(const VecArg* args, const VecMask& mask, Loc loc);
void IssueTranspose16(const TensorRef& dst, const TensorRef& src, Loc loc);
void IssueTransData(const TensorRef (&dst)[16], const TensorRef (&src)[16], uint32_t bytes,
                    const AscendC::TransDataTo5HDParams& p, Loc loc);

template <typename T>
uint64_t BitsOf(const T& v) {
  uint64_t bits = 0;
  std::memcpy(&bits, &v, sizeof(T));
  return bits;
}
template <typename T>
constexpr bool kMovable = sizeof(T) == 2 || sizeof(T) == 4;

}  // namespace twin

namespace AscendC {

template <typename T>
void Duplicate(const LocalTensor<T>& dst, const T& value, const int32_t& count,
               twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMovable<T>, "Duplicate exists for 16 and 32-bit types");
  twin::IssueDuplicate(twin::Arg(dst, "dst", true), twin::BitsOf(value), twin::VecMask::Count(count), loc);
}
template <typename T, bool isSetMask = true>
void Duplicate(const LocalTensor<T>& dst, const T& value, uint64_t mask, twin::checked<uint8_t> repeatTime,
               twin::checked<uint16_t> dstBlockStride, twin::checked<uint8_t> dstRepeatStride,
               twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMovable<T>, "Duplicate exists for 16 and 32-bit types");
  twin::IssueDuplicate(twin::Arg(dst, "dst", true, dstBlockStride, dstRepeatStride), twin::BitsOf(value),
                       twin::VecMask::Lanes(mask, repeatTime, isSetMask), loc);
}
template <typename T, bool isSetMask = true>
void Duplicate(const LocalTensor<T>& dst, const T& value, uint64_t mask[], twin::checked<uint8_t> repeatTime,
               twin::checked<uint16_t> dstBlockStride, twin::checked<uint8_t> dstRepeatStride,
               twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMovable<T>, "Duplicate exists for 16 and 32-bit types");
  twin::IssueDuplicate(twin::Arg(dst, "dst", true, dstBlockStride, dstRepeatStride), twin::BitsOf(value),
                       twin::VecMask::Bits(mask, repeatTime, isSetMask), loc);
}

// Eight elements per repeat, each of which fills one 32 B block.
template <typename T>
void Brcb(const LocalTensor<T>& dst, const LocalTensor<T>& src, twin::checked<uint8_t> repeatTime,
          const BrcbRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMovable<T>, "Brcb exists for 16 and 32-bit types");
  twin::IssueBrcb(twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride), twin::Arg(src, "src0"), repeatTime, loc);
}

// first, first + 1, ...
template <typename T>
void CreateVecIndex(LocalTensor<T> dst, const T& firstValue, uint32_t count, twin::Loc loc = twin::Loc::Current()) {
  static_assert(std::is_same<T, int16_t>::value || std::is_same<T, half>::value || std::is_same<T, int32_t>::value ||
                    std::is_same<T, float>::value,
                "CreateVecIndex does not exist for this type on 2201");
  twin::IssueIndex(twin::Arg(dst, "dst", true), double(firstValue), count, loc);
}

// dst[i] = the element `srcBaseAddr + srcOffset[i]` bytes after src.
template <typename T>
void Gather(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LocalTensor<uint32_t>& srcOffset,
            const uint32_t srcBaseAddr, const uint32_t count, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMovable<T>, "Gather exists for 16 and 32-bit types");
  twin::IssueGather(twin::Arg(dst, "dst", true), src.Ref(), srcOffset.Ref(), srcBaseAddr, twin::VecMask::Count(count),
                    loc);
}
template <typename T>
void Gather(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LocalTensor<uint32_t>& srcOffset,
            const uint32_t srcBaseAddr, const uint64_t mask, twin::checked<uint8_t> repeatTime,
            twin::checked<uint16_t> dstRepStride, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMovable<T>, "Gather exists for 16 and 32-bit types");
  twin::IssueGather(twin::Arg(dst, "dst", true, 1, dstRepStride), src.Ref(), srcOffset.Ref(), srcBaseAddr,
                    twin::VecMask::Lanes(mask, repeatTime, true), loc);
}
// Eight 32 B blocks per repeat, one byte offset each.
template <typename T>
void Gatherb(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LocalTensor<uint32_t>& offset,
             twin::checked<uint8_t> repeatTime, const GatherRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(std::is_same<T, uint16_t>::value || std::is_same<T, uint32_t>::value,
                "Gatherb exists for uint16_t and uint32_t");
  twin::IssueGatherBlocks(twin::Arg(dst, "dst", true, p.dstBlkStride, p.dstRepStride), src.Ref(), offset.Ref(),
                          repeatTime, loc);
}
// Packs the elements that a built-in pattern selects; rsvdCnt receives how many there are.
template <typename T>
void GatherMask(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const uint8_t src1Pattern, const bool reduceMode,
                const uint32_t mask, const GatherMaskParams& p, uint64_t& rsvdCnt,
                twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMovable<T>, "GatherMask exists for 16 and 32-bit types");
  rsvdCnt = twin::IssueGatherMask(twin::Arg(dst, "dst", true),
                                  twin::Arg(src0, "src0", false, p.src0BlockStride, p.src0RepeatStride), src1Pattern,
                                  reduceMode, mask, p, loc);
}

template <typename T, bool isSetMask = true>
void Copy(const LocalTensor<T>& dst, const LocalTensor<T>& src, const uint64_t mask, twin::checked<uint8_t> repeatTime,
          const CopyRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMovable<T>, "Copy exists for 16 and 32-bit types");
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstStride, p.dstRepeatSize),
                               twin::Arg(src, "src", false, p.srcStride, p.srcRepeatSize)};
  twin::IssueCopy(args, twin::VecMask::Lanes(mask, repeatTime, isSetMask), loc);
}
template <typename T, bool isSetMask = true>
void Copy(const LocalTensor<T>& dst, const LocalTensor<T>& src, const uint64_t mask[],
          twin::checked<uint8_t> repeatTime, const CopyRepeatParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMovable<T>, "Copy exists for 16 and 32-bit types");
  const twin::VecArg args[] = {twin::Arg(dst, "dst", true, p.dstStride, p.dstRepeatSize),
                               twin::Arg(src, "src", false, p.srcStride, p.srcRepeatSize)};
  twin::IssueCopy(args, twin::VecMask::Bits(mask, repeatTime, isSetMask), loc);
}

// One 16 x 16 tile.
template <typename T>
void Transpose(const LocalTensor<T>& dst, const LocalTensor<T>& src, twin::Loc loc = twin::Loc::Current()) {
  static_assert(std::is_same<T, int16_t>::value || std::is_same<T, uint16_t>::value || std::is_same<T, half>::value,
                "Transpose does not exist for this type on 2201");
  twin::IssueTranspose16(dst.Ref(), src.Ref(), loc);
}

// 16 blocks in, 16 blocks out: b16 a 16 x 16 tile, b32 16 rows of 8 into 8 rows of 16 (two blocks each).
template <typename T>
void TransDataTo5HD(const LocalTensor<T> (&dstList)[16], const LocalTensor<T> (&srcList)[16],
                    const TransDataTo5HDParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMovable<T>, "TransDataTo5HD is modelled for 16 and 32-bit types");
  twin::TensorRef dst[16], src[16];
  for (int i = 0; i < 16; ++i) {
    dst[i] = dstList[i].Ref();
    src[i] = srcList[i].Ref();
  }
  twin::IssueTransData(dst, src, sizeof(T), p, loc);
}
// The same by addresses, which know nothing of the tensors they came from.
template <typename T>
void TransDataTo5HD(uint64_t dstList[16], uint64_t srcList[16], const TransDataTo5HDParams& p,
                    twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMovable<T>, "TransDataTo5HD is modelled for 16 and 32-bit types");
  twin::TensorRef dst[16], src[16];
  for (int i = 0; i < 16; ++i) {
    dst[i].addr = static_cast<uint32_t>(dstList[i]);
    src[i].addr = static_cast<uint32_t>(srcList[i]);
  }
  twin::IssueTransData(dst, src, sizeof(T), p, loc);
}

}  // namespace AscendC

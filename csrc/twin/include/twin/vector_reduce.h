// Reductions over the lanes of a repeat, of a block, or of a whole tensor (reference 3.4), under the names both toolkit
// generations know. Sums are a tree of neighbours inside a repeat; a value no lane contributes to is undefined.
#pragma once

#include <type_traits>

#include "twin/vector_core.h"

namespace twin {

enum class ReduceKind : uint8_t { kSum, kMax, kMin };
enum class ReduceScope : uint8_t { kWhole, kBlock, kPair };

void IssueReduce(ReduceKind kind, ReduceScope scope, AscendC::ReduceOrder order, const VecArg& dst, const VecArg& src,
                 const VecMask& mask, int64_t dst_rep, const char* api, Loc loc);
// One result for everything; `tmp_elements` is what the call needs.
void IssueReduceAll(ReduceKind kind, bool index, const VecArg& dst, const VecArg& src, const TensorRef& tmp,
                    const VecMask& mask, bool count_form, const char* api, Loc loc);

template <typename T>
constexpr bool kReducible = std::is_same<T, half>::value || std::is_same<T, float>::value;
// repeatTime and strides are plain ints in these prototypes, so their ranges are checked by hand.
uint32_t CheckedRange(int64_t value, int64_t limit, const char* api, const char* what, Loc loc);

template <typename T>
VecArg ReduceSource(const AscendC::LocalTensor<T>& src, int32_t blk, int32_t rep, const char* api, Loc loc) {
  static_assert(kReducible<T>, "reductions exist for half and float only on 2201");
  return Arg(src, "src", false, CheckedRange(blk, 65535, api, "srcBlkStride", loc),
             CheckedRange(rep, 65535, api, "srcRepStride", loc));
}

}  // namespace twin

namespace AscendC {

template <typename T, bool isSetMask = true>
void WholeReduceSum(const LocalTensor<T>& dst, const LocalTensor<T>& src, const int32_t mask, const int32_t repeatTime,
                    const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride,
                    twin::Loc loc = twin::Loc::Current()) {
  twin::IssueReduce(twin::ReduceKind::kSum, twin::ReduceScope::kWhole, ReduceOrder::ORDER_ONLY_VALUE,
                    twin::Arg(dst, "dst", true), twin::ReduceSource(src, srcBlkStride, srcRepStride, "WholeReduceSum", loc),
                    twin::VecMask::Lanes(uint64_t(mask), uint32_t(repeatTime), isSetMask), dstRepStride,
                    "WholeReduceSum", loc);
}
template <typename T, bool isSetMask = true>
void WholeReduceSum(const LocalTensor<T>& dst, const LocalTensor<T>& src, const uint64_t mask[],
                    const int32_t repeatTime, const int32_t dstRepStride, const int32_t srcBlkStride,
                    const int32_t srcRepStride, twin::Loc loc = twin::Loc::Current()) {
  twin::IssueReduce(twin::ReduceKind::kSum, twin::ReduceScope::kWhole, ReduceOrder::ORDER_ONLY_VALUE,
                    twin::Arg(dst, "dst", true), twin::ReduceSource(src, srcBlkStride, srcRepStride, "WholeReduceSum", loc),
                    twin::VecMask::Bits(mask, uint32_t(repeatTime), isSetMask), dstRepStride, "WholeReduceSum", loc);
}

#define TWIN_WHOLE(name, kind)                                                                                        \
  template <typename T, bool isSetMask = true>                                                                        \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const int32_t mask, const int32_t repeatTime,       \
            const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride,                       \
            ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX, twin::Loc loc = twin::Loc::Current()) {               \
    twin::IssueReduce(twin::ReduceKind::kind, twin::ReduceScope::kWhole, order, twin::Arg(dst, "dst", true),          \
                      twin::ReduceSource(src, srcBlkStride, srcRepStride, #name, loc),                                \
                      twin::VecMask::Lanes(uint64_t(mask), uint32_t(repeatTime), isSetMask), dstRepStride, #name,     \
                      loc);                                                                                           \
  }                                                                                                                   \
  template <typename T, bool isSetMask = true>                                                                        \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const uint64_t mask[], const int32_t repeatTime,    \
            const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride,                       \
            ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX, twin::Loc loc = twin::Loc::Current()) {               \
    twin::IssueReduce(twin::ReduceKind::kind, twin::ReduceScope::kWhole, order, twin::Arg(dst, "dst", true),          \
                      twin::ReduceSource(src, srcBlkStride, srcRepStride, #name, loc),                                \
                      twin::VecMask::Bits(mask, uint32_t(repeatTime), isSetMask), dstRepStride, #name, loc);          \
  }
TWIN_WHOLE(WholeReduceMax, kMax)
TWIN_WHOLE(WholeReduceMin, kMin)
#undef TWIN_WHOLE

// repeatTime comes before mask in these.
#define TWIN_BLOCK(name, kind, scope)                                                                                 \
  template <typename T, bool isSetMask = true>                                                                        \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const int32_t repeatTime, const int32_t mask,       \
            const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride,                       \
            twin::Loc loc = twin::Loc::Current()) {                                                                   \
    twin::IssueReduce(twin::ReduceKind::kind, twin::ReduceScope::scope, ReduceOrder::ORDER_ONLY_VALUE,                \
                      twin::Arg(dst, "dst", true), twin::ReduceSource(src, srcBlkStride, srcRepStride, #name, loc),   \
                      twin::VecMask::Lanes(uint64_t(mask), uint32_t(repeatTime), isSetMask), dstRepStride, #name,     \
                      loc);                                                                                           \
  }                                                                                                                   \
  template <typename T, bool isSetMask = true>                                                                        \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const int32_t repeatTime, const uint64_t mask[],    \
            const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride,                       \
            twin::Loc loc = twin::Loc::Current()) {                                                                   \
    twin::IssueReduce(twin::ReduceKind::kind, twin::ReduceScope::scope, ReduceOrder::ORDER_ONLY_VALUE,                \
                      twin::Arg(dst, "dst", true), twin::ReduceSource(src, srcBlkStride, srcRepStride, #name, loc),   \
                      twin::VecMask::Bits(mask, uint32_t(repeatTime), isSetMask), dstRepStride, #name, loc);          \
  }
TWIN_BLOCK(BlockReduceSum, kSum, kBlock)
TWIN_BLOCK(BlockReduceMax, kMax, kBlock)
TWIN_BLOCK(BlockReduceMin, kMin, kBlock)
TWIN_BLOCK(PairReduceSum, kSum, kPair)
#undef TWIN_BLOCK

// Count form: a tree inside each repeat, then one repeat after the other. High-dim form: trees all the way.
template <typename T, bool isSetMask = true>
void ReduceSum(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LocalTensor<T>& sharedTmpBuffer,
               const int32_t count, twin::Loc loc = twin::Loc::Current()) {
  twin::IssueReduceAll(twin::ReduceKind::kSum, false, twin::Arg(dst, "dst", true),
                       twin::ReduceSource(src, 1, 8, "ReduceSum", loc), sharedTmpBuffer.Ref(),
                       twin::VecMask::Count(count), true, "ReduceSum", loc);
}
template <typename T, bool isSetMask = true>
void ReduceSum(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LocalTensor<T>& sharedTmpBuffer,
               const int32_t mask, const int32_t repeatTime, const int32_t srcRepStride,
               twin::Loc loc = twin::Loc::Current()) {
  twin::IssueReduceAll(twin::ReduceKind::kSum, false, twin::Arg(dst, "dst", true),
                       twin::ReduceSource(src, 1, srcRepStride, "ReduceSum", loc), sharedTmpBuffer.Ref(),
                       twin::VecMask::Lanes(uint64_t(mask), uint32_t(repeatTime), isSetMask), false, "ReduceSum", loc);
}

#define TWIN_EXTREME(name, kind)                                                                                      \
  template <typename T>                                                                                               \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LocalTensor<T>& sharedTmpBuffer,              \
            const int32_t count, bool calIndex = false, twin::Loc loc = twin::Loc::Current()) {                       \
    twin::IssueReduceAll(twin::ReduceKind::kind, calIndex, twin::Arg(dst, "dst", true),                               \
                         twin::ReduceSource(src, 1, 8, #name, loc), sharedTmpBuffer.Ref(),                            \
                         twin::VecMask::Count(count), true, #name, loc);                                              \
  }                                                                                                                   \
  template <typename T>                                                                                               \
  void name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LocalTensor<T>& sharedTmpBuffer,              \
            const int32_t mask, const int32_t repeatTime, const int32_t srcRepStride, bool calIndex = false,          \
            twin::Loc loc = twin::Loc::Current()) {                                                                   \
    twin::IssueReduceAll(twin::ReduceKind::kind, calIndex, twin::Arg(dst, "dst", true),                               \
                         twin::ReduceSource(src, 1, srcRepStride, #name, loc), sharedTmpBuffer.Ref(),                 \
                         twin::VecMask::Lanes(uint64_t(mask), uint32_t(repeatTime), true), false, #name, loc);        \
  }
TWIN_EXTREME(ReduceMax, kMax)
TWIN_EXTREME(ReduceMin, kMin)
#undef TWIN_EXTREME

}  // namespace AscendC

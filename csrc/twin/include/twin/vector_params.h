// Parameter structures of the vector API. Every field has the width of the hardware's, and a value that does not fit
// is reported where it is written instead of being truncated.
#pragma once

#include "twin/tensor.h"

namespace AscendC {

struct UnaryRepeatParams {
  UnaryRepeatParams() = default;
  UnaryRepeatParams(twin::checked<uint16_t> dst_blk, twin::checked<uint16_t> src_blk, twin::checked<uint8_t> dst_rep,
                    twin::checked<uint8_t> src_rep)
      : dstBlkStride(dst_blk), srcBlkStride(src_blk), dstRepStride(dst_rep), srcRepStride(src_rep) {}
  twin::checked<uint16_t> dstBlkStride = 1;  // 32 B blocks, as every stride here
  twin::checked<uint16_t> srcBlkStride = 1;
  twin::checked<uint8_t> dstRepStride = 8;
  twin::checked<uint8_t> srcRepStride = 8;
};

struct BinaryRepeatParams {
  using U8 = twin::checked<uint8_t>;
  BinaryRepeatParams() = default;
  BinaryRepeatParams(U8 dst_blk, U8 src0_blk, U8 src1_blk, U8 dst_rep, U8 src0_rep, U8 src1_rep)
      : dstBlkStride(dst_blk), src0BlkStride(src0_blk), src1BlkStride(src1_blk), dstRepStride(dst_rep),
        src0RepStride(src0_rep), src1RepStride(src1_rep) {}
  U8 dstBlkStride = 1, src0BlkStride = 1, src1BlkStride = 1;
  U8 dstRepStride = 8, src0RepStride = 8, src1RepStride = 8;
};

struct BrcbRepeatParams {
  BrcbRepeatParams() = default;
  BrcbRepeatParams(twin::checked<uint16_t> dst_blk, twin::checked<uint16_t> dst_rep)
      : dstBlkStride(dst_blk), dstRepStride(dst_rep) {}
  twin::checked<uint16_t> dstBlkStride = 1;
  twin::checked<uint16_t> dstRepStride = 8;
};

struct CopyRepeatParams {
  using U16 = twin::checked<uint16_t>;
  CopyRepeatParams() = default;
  CopyRepeatParams(U16 dst_stride, U16 src_stride, U16 dst_repeat, U16 src_repeat)
      : dstStride(dst_stride), srcStride(src_stride), dstRepeatSize(dst_repeat), srcRepeatSize(src_repeat) {}
  U16 dstStride = 0, srcStride = 0, dstRepeatSize = 0, srcRepeatSize = 0;
};

struct GatherRepeatParams {
  GatherRepeatParams() = default;
  GatherRepeatParams(twin::checked<uint8_t> dst_blk, twin::checked<uint8_t> dst_rep)
      : dstBlkStride(dst_blk), dstRepStride(dst_rep) {}
  twin::checked<uint8_t> dstBlkStride = 1;
  twin::checked<uint8_t> dstRepStride = 8;
};

struct GatherMaskParams {
  GatherMaskParams() = default;
  GatherMaskParams(twin::checked<uint8_t> src0_blk, twin::checked<uint16_t> repeats, twin::checked<uint16_t> src0_rep,
                   twin::checked<uint8_t> src1_rep)
      : src0BlockStride(src0_blk), repeatTimes(repeats), src0RepeatStride(src0_rep), src1RepeatStride(src1_rep) {}
  twin::checked<uint8_t> src0BlockStride = 1;
  twin::checked<uint16_t> repeatTimes = 0;
  twin::checked<uint16_t> src0RepeatStride = 0;
  twin::checked<uint8_t> src1RepeatStride = 0;
};

struct TransDataTo5HDParams {
  TransDataTo5HDParams() = default;
  TransDataTo5HDParams(bool dst_high, bool src_high, twin::checked<uint8_t> repeats, twin::checked<uint16_t> dst_rep,
                       twin::checked<uint16_t> src_rep)
      : dstHighHalf(dst_high), srcHighHalf(src_high), repeatTimes(repeats), dstRepStride(dst_rep),
        srcRepStride(src_rep) {}
  bool dstHighHalf = false, srcHighHalf = false;  // 8-bit data only
  twin::checked<uint8_t> repeatTimes = 1;
  twin::checked<uint16_t> dstRepStride = 0, srcRepStride = 0;
};

enum class CMPMODE : uint8_t { LT = 0, GT, EQ, LE, GE, NE };
enum class SELMODE : uint8_t { VSEL_CMPMASK_SPR = 0, VSEL_TENSOR_SCALAR_MODE, VSEL_TENSOR_TENSOR_MODE };
enum class ReduceOrder : uint8_t { ORDER_VALUE_INDEX = 0, ORDER_INDEX_VALUE, ORDER_ONLY_VALUE, ORDER_ONLY_INDEX };

constexpr uint64_t MASK_PLACEHOLDER = 0;

}  // namespace AscendC

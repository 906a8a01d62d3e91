// DataCopy, DataCopyPad, ND2NZ: everything that moves data without computing, on the pipe the two memories imply.
#pragma once

#include "twin/tensor.h"

namespace AscendC {

struct DataCopyParams {
  DataCopyParams() = default;
  DataCopyParams(twin::checked<uint16_t> count, twin::checked<uint16_t> len, twin::checked<uint16_t> src_stride,
                 twin::checked<uint16_t> dst_stride)
      : blockCount(count), blockLen(len), srcStride(src_stride), dstStride(dst_stride) {}
  twin::checked<uint16_t> blockCount = 1;
  twin::checked<uint16_t> blockLen = 0;   // 32 B blocks
  twin::checked<uint16_t> srcStride = 0;  // gaps, 32 B blocks
  twin::checked<uint16_t> dstStride = 0;
};

struct DataCopyExtParams {
  DataCopyExtParams() = default;
  DataCopyExtParams(twin::checked<uint16_t> count, twin::checked<uint32_t> len, twin::checked<uint32_t> src_stride,
                    twin::checked<uint32_t> dst_stride, twin::checked<uint32_t> reserved)
      : blockCount(count), blockLen(len), srcStride(src_stride), dstStride(dst_stride), rsv(reserved) {}
  twin::checked<uint16_t> blockCount = 1;
  twin::checked<uint32_t> blockLen = 0;   // bytes
  twin::checked<uint32_t> srcStride = 0;  // gaps: bytes in GM, 32 B blocks in UB
  twin::checked<uint32_t> dstStride = 0;
  twin::checked<uint32_t> rsv = 0;
};

template <typename T>
struct DataCopyPadExtParams {
  DataCopyPadExtParams() = default;
  DataCopyPadExtParams(bool is_pad, twin::checked<uint8_t> left, twin::checked<uint8_t> right, T value)
      : isPad(is_pad), leftPadding(left), rightPadding(right), paddingValue(value) {}
  bool isPad = false;
  twin::checked<uint8_t> leftPadding = 0;  // elements
  twin::checked<uint8_t> rightPadding = 0;
  T paddingValue = T(0);
};

struct DataCopyPadParams {
  DataCopyPadParams() = default;
  DataCopyPadParams(bool is_pad, twin::checked<uint8_t> left, twin::checked<uint8_t> right, uint64_t value)
      : isPad(is_pad), leftPadding(left), rightPadding(right), paddingValue(value) {}
  bool isPad = false;
  twin::checked<uint8_t> leftPadding = 0;
  twin::checked<uint8_t> rightPadding = 0;
  uint64_t paddingValue = 0;
};

struct Nd2NzParams {
  Nd2NzParams() = default;
  using U16 = twin::checked<uint16_t>;
  Nd2NzParams(U16 nd_num, U16 n, U16 d, U16 src_matrix, U16 src_d, U16 c0_stride, U16 n_stride, U16 dst_matrix)
      : ndNum(nd_num), nValue(n), dValue(d), srcNdMatrixStride(src_matrix), srcDValue(src_d), dstNzC0Stride(c0_stride),
        dstNzNStride(n_stride), dstNzMatrixStride(dst_matrix) {}
  U16 ndNum = 0, nValue = 0, dValue = 0, srcNdMatrixStride = 0, srcDValue = 0;
  U16 dstNzC0Stride = 0, dstNzNStride = 0, dstNzMatrixStride = 0;
};

}  // namespace AscendC

namespace twin {

// Blocks of `len` bytes; gaps between them in bytes, source and destination.
struct BlockCopy {
  uint32_t count, len;
  uint64_t src_gap, dst_gap;
};
void CopyIn(const TensorRef& dst, const GlobalRef& src, const BlockCopy& c, const char* name, Loc loc);
void CopyOut(const GlobalRef& dst, const TensorRef& src, const BlockCopy& c, ElemType type, const char* name, Loc loc);
void CopyLocal(const TensorRef& dst, const TensorRef& src, const BlockCopy& c, ElemType dst_type, ElemType src_type,
               Loc loc);
// Rounds down to 32 B as the hardware does, and says so.
BlockCopy CountCopy(uint64_t bytes, const char* name, Loc loc);
BlockCopy ParamsCopy(const AscendC::DataCopyParams& p, const char* name, Loc loc);

struct PadSpec {
  bool pad;
  uint32_t left, right;  // elements
  uint64_t value;        // bits of one element
};
void CopyInPad(const TensorRef& dst, const GlobalRef& src, const AscendC::DataCopyExtParams& p, const PadSpec& pad,
               uint32_t elem_bytes, Loc loc);
void CopyOutPad(const GlobalRef& dst, const TensorRef& src, const AscendC::DataCopyExtParams& p, ElemType type,
                uint32_t elem_bytes, Loc loc);
void CopyNd2Nz(const TensorRef& dst, const GlobalRef& src, const AscendC::Nd2NzParams& p, uint32_t elem_bytes, Loc loc);

}  // namespace twin

namespace AscendC {

template <typename T>
void DataCopy(const LocalTensor<T>& dst, const GlobalTensor<T>& src, const uint32_t count,
              twin::Loc loc = twin::Loc::Current()) {
  twin::CopyIn(dst.Ref(), src.Ref(), twin::CountCopy(uint64_t(count) * sizeof(T), "DataCopy", loc), "DataCopy", loc);
}
template <typename T>
void DataCopy(const LocalTensor<T>& dst, const GlobalTensor<T>& src, const DataCopyParams& params,
              twin::Loc loc = twin::Loc::Current()) {
  twin::CopyIn(dst.Ref(), src.Ref(), twin::ParamsCopy(params, "DataCopy", loc), "DataCopy", loc);
}
template <typename T>
void DataCopy(const LocalTensor<T>& dst, const GlobalTensor<T>& src, const Nd2NzParams& params,
              twin::Loc loc = twin::Loc::Current()) {
  twin::CopyNd2Nz(dst.Ref(), src.Ref(), params, sizeof(T), loc);
}
template <typename T>
void DataCopy(const GlobalTensor<T>& dst, const LocalTensor<T>& src, const uint32_t count,
              twin::Loc loc = twin::Loc::Current()) {
  twin::CopyOut(dst.Ref(), src.Ref(), twin::CountCopy(uint64_t(count) * sizeof(T), "DataCopy", loc),
                twin::ElemTypeOf<T>(), "DataCopy", loc);
}
template <typename T>
void DataCopy(const GlobalTensor<T>& dst, const LocalTensor<T>& src, const DataCopyParams& params,
              twin::Loc loc = twin::Loc::Current()) {
  twin::CopyOut(dst.Ref(), src.Ref(), twin::ParamsCopy(params, "DataCopy", loc), twin::ElemTypeOf<T>(), "DataCopy",
                loc);
}
template <typename T>
void DataCopy(const LocalTensor<T>& dst, const LocalTensor<T>& src, const uint32_t count,
              twin::Loc loc = twin::Loc::Current()) {
  twin::CopyLocal(dst.Ref(), src.Ref(), twin::CountCopy(uint64_t(count) * sizeof(T), "DataCopy", loc),
                  twin::ElemTypeOf<T>(), twin::ElemTypeOf<T>(), loc);
}
template <typename T>
void DataCopy(const LocalTensor<T>& dst, const LocalTensor<T>& src, const DataCopyParams& params,
              twin::Loc loc = twin::Loc::Current()) {
  twin::CopyLocal(dst.Ref(), src.Ref(), twin::ParamsCopy(params, "DataCopy", loc), twin::ElemTypeOf<T>(),
                  twin::ElemTypeOf<T>(), loc);
}
// The bias table: L1 in the bias' own type, the table in the accumulator's.
template <typename T, typename U>
void DataCopy(const LocalTensor<T>& dst, const LocalTensor<U>& src, const DataCopyParams& params,
              twin::Loc loc = twin::Loc::Current()) {
  twin::CopyLocal(dst.Ref(), src.Ref(), twin::ParamsCopy(params, "DataCopy", loc), twin::ElemTypeOf<T>(),
                  twin::ElemTypeOf<U>(), loc);
}

template <typename T>
void DataCopyPad(const LocalTensor<T>& dst, const GlobalTensor<T>& src, const DataCopyExtParams& params,
                 const DataCopyPadExtParams<T>& pad, twin::Loc loc = twin::Loc::Current()) {
  twin::PadSpec spec{pad.isPad, pad.leftPadding, pad.rightPadding, 0};
  std::memcpy(&spec.value, &pad.paddingValue, sizeof(T));
  twin::CopyInPad(dst.Ref(), src.Ref(), params, spec, sizeof(T), loc);
}
template <typename T>
void DataCopyPad(const GlobalTensor<T>& dst, const LocalTensor<T>& src, const DataCopyExtParams& params,
                 twin::Loc loc = twin::Loc::Current()) {
  twin::CopyOutPad(dst.Ref(), src.Ref(), params, twin::ElemTypeOf<T>(), sizeof(T), loc);
}
// The older overloads: blockLen in bytes but only 16 bits of it.
template <typename T>
void DataCopyPad(const LocalTensor<T>& dst, const GlobalTensor<T>& src, const DataCopyParams& params,
                 const DataCopyPadParams& pad, twin::Loc loc = twin::Loc::Current()) {
  const DataCopyExtParams ext(params.blockCount, params.blockLen, params.srcStride, params.dstStride, 0);
  twin::CopyInPad(dst.Ref(), src.Ref(), ext, {pad.isPad, pad.leftPadding, pad.rightPadding, pad.paddingValue},
                  sizeof(T), loc);
}
template <typename T>
void DataCopyPad(const GlobalTensor<T>& dst, const LocalTensor<T>& src, const DataCopyParams& params,
                 twin::Loc loc = twin::Loc::Current()) {
  const DataCopyExtParams ext(params.blockCount, params.blockLen, params.srcStride, params.dstStride, 0);
  twin::CopyOutPad(dst.Ref(), src.Ref(), ext, twin::ElemTypeOf<T>(), sizeof(T), loc);
}

}  // namespace AscendC

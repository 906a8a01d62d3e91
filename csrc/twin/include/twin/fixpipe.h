// Fixpipe: L0C to GM or L1, with the conversion, ReLU, layout change and atomic add it can do on the way.
#pragma once

#include "twin/tensor.h"

namespace AscendC {

enum class CO2Layout : uint8_t { NZ = 0, ROW_MAJOR, COLUMN_MAJOR };
struct FixpipeConfig {
  CO2Layout format;
};
constexpr FixpipeConfig CFG_NZ = {CO2Layout::NZ};
constexpr FixpipeConfig CFG_ROW_MAJOR = {CO2Layout::ROW_MAJOR};

struct FixpipeParamsV220 {
  using U16 = twin::checked<uint16_t>;
  using U32 = twin::checked<uint32_t>;
  using U8 = twin::checked<uint8_t>;
  FixpipeParamsV220() = default;
  FixpipeParamsV220(U16 n, U16 m, U16 src_stride, U32 dst_stride, bool relu)
      : nSize(n), mSize(m), srcStride(src_stride), dstStride(dst_stride), reluEn(relu) {}
  FixpipeParamsV220(U16 n, U16 m, U16 src_stride, U32 dst_stride, bool relu, QuantMode_t quant, int64_t deq_scalar,
                    U16 nd_num, U16 src_nd_stride, U16 dst_nd_stride, U8 unit_flag, bool channel_split = false)
      : nSize(n), mSize(m), srcStride(src_stride), dstStride(dst_stride), quantPre(quant),
        deqScalar(uint64_t(deq_scalar)), ndNum(nd_num), srcNdStride(src_nd_stride), dstNdStride(dst_nd_stride),
        reluEn(relu), unitFlag(unit_flag), isChannelSplit(channel_split) {}
  U16 nSize = 0, mSize = 0;
  U16 srcStride = 0;  // rows of one column of fractals in L0C: M rounded up to 16
  U32 dstStride = 0;  // row-major: elements per row; NZ: 32 B blocks between columns of fractals
  QuantMode_t quantPre = QuantMode_t::NoQuant;
  uint64_t deqScalar = 0;
  U16 ndNum = 1, srcNdStride = 0, dstNdStride = 0;
  bool reluEn = false;
  U8 unitFlag = 0;
  bool isChannelSplit = false;
};

}  // namespace AscendC

namespace twin {

void FixpipeIssue(const GlobalRef& dst, const TensorRef& src, const AscendC::FixpipeParamsV220& p, bool nz,
                  ElemType out, ElemType in, Loc loc);
void FixpipeIssue(const TensorRef& dst, const TensorRef& src, const AscendC::FixpipeParamsV220& p, bool nz,
                  ElemType out, ElemType in, Loc loc);

}  // namespace twin

namespace AscendC {

template <typename T, typename U, const FixpipeConfig& config = CFG_ROW_MAJOR>
void Fixpipe(const GlobalTensor<T>& dst, const LocalTensor<U>& src, const FixpipeParamsV220& p,
             twin::Loc loc = twin::Loc::Current()) {
  static_assert(config.format != CO2Layout::COLUMN_MAJOR, "column-major output does not exist on 2201");
  twin::FixpipeIssue(dst.Ref(), src.Ref(), p, config.format == CO2Layout::NZ, twin::ElemTypeOf<T>(),
                     twin::ElemTypeOf<U>(), loc);
}
template <typename T, typename U, const FixpipeConfig& config = CFG_ROW_MAJOR>
void Fixpipe(const LocalTensor<T>& dst, const LocalTensor<U>& src, const FixpipeParamsV220& p,
             twin::Loc loc = twin::Loc::Current()) {
  static_assert(!std::is_same<T, float>::value, "Fixpipe to L1 cannot write float");
  twin::FixpipeIssue(dst.Ref(), src.Ref(), p, config.format == CO2Layout::NZ, twin::ElemTypeOf<T>(),
                     twin::ElemTypeOf<U>(), loc);
}

}  // namespace AscendC

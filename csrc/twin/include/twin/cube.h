// The cube side: filling L1/L0, loading fractals into L0A (Zz) and L0B (Zn), the matrix multiply into L0C (Nz).
#pragma once

#include "twin/datacopy.h"

namespace AscendC {

template <typename T>
struct InitConstValueParams {
  InitConstValueParams() = default;
  InitConstValueParams(twin::checked<uint16_t> repeats, twin::checked<uint16_t> blocks, twin::checked<uint16_t> gap,
                       T value)
      : repeatTimes(repeats), blockNum(blocks), dstGap(gap), initValue(value) {}
  InitConstValueParams(twin::checked<uint16_t> repeats, T value) : repeatTimes(repeats), initValue(value) {}
  twin::checked<uint16_t> repeatTimes = 0;
  twin::checked<uint16_t> blockNum = 0;  // 32 B blocks in L1, 512 B fractals in L0
  twin::checked<uint16_t> dstGap = 0;
  T initValue = T(0);
};

struct LoadData2DParams {
  LoadData2DParams() = default;
  LoadData2DParams(twin::checked<uint16_t> start, twin::checked<uint8_t> repeats, twin::checked<uint16_t> src_stride,
                   twin::checked<uint8_t> sid_in, twin::checked<uint16_t> dst_gap, bool transpose,
                   twin::checked<uint8_t> addr_mode)
      : startIndex(start), dstGap(dst_gap), srcStride(src_stride), ifTranspose(transpose), repeatTimes(repeats),
        sid(sid_in), addrMode(addr_mode) {}
  twin::checked<uint16_t> startIndex = 0;  // fractals of 512 B
  twin::checked<uint16_t> dstGap = 0;      // end to start
  twin::checked<uint16_t> srcStride = 0;   // start to start
  bool ifTranspose = false;
  twin::checked<uint8_t> repeatTimes = 0;
  twin::checked<uint8_t> sid = 0;
  twin::checked<uint8_t> addrMode = 0;
};

struct LoadData2dTransposeParams {
  LoadData2dTransposeParams() = default;
  LoadData2dTransposeParams(twin::checked<uint16_t> start, twin::checked<uint8_t> repeats,
                            twin::checked<uint16_t> src_stride, twin::checked<uint16_t> dst_gap,
                            twin::checked<uint16_t> dst_frac_gap, twin::checked<uint8_t> addr_mode)
      : startIndex(start), repeatTimes(repeats), srcStride(src_stride), dstGap(dst_gap), dstFracGap(dst_frac_gap),
        addrMode(addr_mode) {}
  twin::checked<uint16_t> startIndex = 0;  // square tiles
  twin::checked<uint8_t> repeatTimes = 0;
  twin::checked<uint16_t> srcStride = 0;
  twin::checked<uint16_t> dstGap = 0;
  twin::checked<uint16_t> dstFracGap = 0;
  twin::checked<uint8_t> addrMode = 0;
};

template <typename T>
struct LoadData3DParamsV2 {
  LoadData3DParamsV2() = default;
  uint8_t padList[4] = {0, 0, 0, 0};
  twin::checked<uint16_t> l1H = 0, l1W = 0, channelSize = 0, kExtension = 0, mExtension = 0, kStartPt = 0, mStartPt = 0;
  twin::checked<uint8_t> strideW = 1, strideH = 1, filterW = 1, filterH = 1, dilationFilterW = 1, dilationFilterH = 1;
  bool enTranspose = false;
  bool enSmallK = false;
  T padValue = T(0);
  bool filterSizeW = false;
  bool filterSizeH = false;
  bool fMatrixCtrl = false;
};

struct IsResetLoad3dConfig {
  bool isSetFMatrix = true;
  bool isSetPadding = true;
};
constexpr IsResetLoad3dConfig IS_RESER_LOAD3D_DEFAULT_CONFIG = {true, true};

struct MmadParams {
  MmadParams() = default;
  MmadParams(twin::checked<uint16_t> m_in, twin::checked<uint16_t> n_in, twin::checked<uint16_t> k_in,
             twin::checked<uint8_t> unit_flag, bool c_source, bool c_init)
      : m(m_in), n(n_in), k(k_in), unitFlag(unit_flag), cmatrixSource(c_source), cmatrixInitVal(c_init) {}
  twin::checked<uint16_t> m = 0, n = 0, k = 0;
  bool isBias = false;
  int32_t fmOffset = 0;
  bool enSsparse = false;
  bool enWinogradA = false;
  bool enWinogradB = false;
  twin::checked<uint8_t> unitFlag = 0;
  bool kDirectionAlign = false;
  bool cmatrixSource = false;
  bool cmatrixInitVal = true;
};

}  // namespace AscendC

namespace twin {

void FillConst(const TensorRef& dst, uint32_t repeats, uint32_t blocks, uint32_t gap, uint64_t value,
               uint32_t elem_bytes, Loc loc);
void Load2d(const TensorRef& dst, const TensorRef& src, const AscendC::LoadData2DParams& p, uint32_t elem_bytes,
            Loc loc);
void Load2d(const TensorRef& dst, const GlobalRef& src, const AscendC::LoadData2DParams& p, uint32_t elem_bytes,
            Loc loc);
void Load2dTranspose(const TensorRef& dst, const TensorRef& src, const AscendC::LoadData2dTransposeParams& p,
                     uint32_t elem_bytes, Loc loc);
// The part of LoadData3DParamsV2 that does not depend on T.
struct Load3dSpec {
  uint32_t h, w, channels, k_ext, m_ext, k_start, m_start;
  bool transpose;
  bool plain;  // 1 x 1 filter, stride 1, dilation 1, no padding: all that is modelled
};
void Load3d(const TensorRef& dst, const TensorRef& src, const Load3dSpec& p, uint32_t elem_bytes, Loc loc);
void MmadIssue(const TensorRef& c, const TensorRef& a, const TensorRef& b, const TensorRef* bias,
               const AscendC::MmadParams& p, ElemType in, ElemType out, Loc loc);
void SetMmLayout(bool row_major, Loc loc);

template <typename C, typename A, typename B>
constexpr bool kMmadTypes =
    (std::is_same<C, float>::value && std::is_same<A, B>::value &&
     (std::is_same<A, half>::value || std::is_same<A, bfloat16_t>::value || std::is_same<A, float>::value)) ||
    (std::is_same<C, int32_t>::value && std::is_same<A, int8_t>::value && std::is_same<B, int8_t>::value);

}  // namespace twin

namespace AscendC {

template <typename T>
void InitConstValue(const LocalTensor<T>& dst, const InitConstValueParams<T>& p,
                    twin::Loc loc = twin::Loc::Current()) {
  uint64_t bits = 0;
  std::memcpy(&bits, &p.initValue, sizeof(T));
  twin::FillConst(dst.Ref(), p.repeatTimes, p.blockNum, p.dstGap, bits, sizeof(T), loc);
}
template <typename T>
void Fill(const LocalTensor<T>& dst, const InitConstValueParams<T>& p, twin::Loc loc = twin::Loc::Current()) {
  InitConstValue(dst, p, loc);
}
template <typename T>
void LoadData(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LoadData2DParams& p,
              twin::Loc loc = twin::Loc::Current()) {
  twin::Load2d(dst.Ref(), src.Ref(), p, sizeof(T), loc);
}
template <typename T>
void LoadData(const LocalTensor<T>& dst, const GlobalTensor<T>& src, const LoadData2DParams& p,
              twin::Loc loc = twin::Loc::Current()) {
  twin::Load2d(dst.Ref(), src.Ref(), p, sizeof(T), loc);
}
template <typename T, const IsResetLoad3dConfig& config = IS_RESER_LOAD3D_DEFAULT_CONFIG>
void LoadData(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LoadData3DParamsV2<T>& p,
              twin::Loc loc = twin::Loc::Current()) {
  static_assert(config.isSetFMatrix && config.isSetPadding, "the twin models the self-contained form only");
  const bool plain = p.filterW == 1 && p.filterH == 1 && p.strideW == 1 && p.strideH == 1 && p.dilationFilterW == 1 &&
                     p.dilationFilterH == 1 && !p.padList[0] && !p.padList[1] && !p.padList[2] && !p.padList[3] &&
                     !p.enSmallK && !p.filterSizeW && !p.filterSizeH && !p.fMatrixCtrl;
  twin::Load3d(dst.Ref(), src.Ref(),
               {p.l1H, p.l1W, p.channelSize, p.kExtension, p.mExtension, p.kStartPt, p.mStartPt, p.enTranspose, plain},
               sizeof(T), loc);
}
template <typename T>
void LoadDataWithTranspose(const LocalTensor<T>& dst, const LocalTensor<T>& src, const LoadData2dTransposeParams& p,
                           twin::Loc loc = twin::Loc::Current()) {
  twin::Load2dTranspose(dst.Ref(), src.Ref(), p, sizeof(T), loc);
}

template <typename T, typename U, typename S>
void Mmad(const LocalTensor<T>& c, const LocalTensor<U>& a, const LocalTensor<S>& b, const MmadParams& p,
          twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMmadTypes<T, U, S>, "Mmad does not exist for these types on 2201");
  twin::MmadIssue(c.Ref(), a.Ref(), b.Ref(), nullptr, p, twin::ElemTypeOf<U>(), twin::ElemTypeOf<T>(), loc);
}
template <typename T, typename U, typename S, typename V>
void Mmad(const LocalTensor<T>& c, const LocalTensor<U>& a, const LocalTensor<S>& b, const LocalTensor<V>& bias,
          const MmadParams& p, twin::Loc loc = twin::Loc::Current()) {
  static_assert(twin::kMmadTypes<T, U, S> && std::is_same<V, T>::value, "Mmad does not exist for these types on 2201");
  twin::MmadIssue(c.Ref(), a.Ref(), b.Ref(), &bias.Ref(), p, twin::ElemTypeOf<U>(), twin::ElemTypeOf<T>(), loc);
}
inline void SetMMRowMajor(twin::Loc loc = twin::Loc::Current()) { twin::SetMmLayout(true, loc); }
inline void SetMMColumnMajor(twin::Loc loc = twin::Loc::Current()) { twin::SetMmLayout(false, loc); }
inline void SetMMLayoutTransform(bool row_major, twin::Loc loc = twin::Loc::Current()) {
  twin::SetMmLayout(row_major, loc);
}

}  // namespace AscendC

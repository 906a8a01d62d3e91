// Qualifiers, scalar types, enumerations and entry-point macros.
#pragma once

#include <cstddef>
#include <cstdint>

#ifndef VIT_CANN_MAJOR
#error "The parity guard needs -DVIT_CANN_MAJOR=8 or 9"
#endif
#if !defined(__NPU_ARCH__) || __NPU_ARCH__ != 2201
#error "The parity guard needs -D__NPU_ARCH__=2201"
#endif

// Clang's CUDA front end knows functions that only run on a device, so a kernel that calls a host function is
// refused there, as it would be by the device compiler. Address spaces keep __gm__ pointers apart from plain ones.
#if defined(__CUDA__)
#define __aicore__ __attribute__((device))
#define __global__  // an entry point is a device function like any other here: nothing launches it
#define __gm__ __attribute__((address_space(1)))
#elif defined(__clang__)
#define __aicore__
#define __global__
#define __gm__ __attribute__((address_space(1)))
#else
#define __aicore__
#define __global__
#define __gm__
#endif
#ifndef __inline__
#define __inline__ inline
#endif

#define GM_ADDR __gm__ uint8_t*

// On the device these are built in; half converts to and from the other scalars, bfloat16_t to nothing at all.
struct half {
  half() = default;
  __aicore__ constexpr half(float) : bits(0) {}
  __aicore__ constexpr operator float() const { return 0; }
  uint16_t bits;
};
struct bfloat16_t {
  uint16_t bits;
};

enum pipe_t { PIPE_S, PIPE_V, PIPE_M, PIPE_MTE1, PIPE_MTE2, PIPE_MTE3, PIPE_ALL, PIPE_FIX };
enum event_t { EVENT_ID0, EVENT_ID1, EVENT_ID2, EVENT_ID3, EVENT_ID4, EVENT_ID5, EVENT_ID6, EVENT_ID7 };
enum QuantMode_t {
  NoQuant,
  F322F16,
  F322BF16,
  DEQF16,
  VDEQF16,
  QF322B8_PRE,
  VQF322B8_PRE,
  REQ8,
  VREQ8,
};

namespace AscendC {

enum { AIC = 1, AIV = 2 };
#if defined(__DAV_C220_CUBE__) && !defined(__DAV_C220_VEC__)
constexpr int g_coreType = AIC;
#elif defined(__DAV_C220_VEC__) && !defined(__DAV_C220_CUBE__)
constexpr int g_coreType = AIV;
#else
#error "The parity guard parses one core half at a time: -D__DAV_C220_CUBE__ or -D__DAV_C220_VEC__"
#endif

enum class TPosition : uint8_t {
  GM, A1, A2, B1, B2, C1, C2, CO1, CO2, VECIN, VECOUT, VECCALC, LCM, SPM, SHM, TSCM, C2PIPE2GM, C2PIPE2LOCAL, MAX
};

enum class HardEvent : uint8_t {
  MTE2_MTE1, MTE1_MTE2, MTE1_M, M_MTE1, MTE2_V, V_MTE2, MTE3_V, V_MTE3, M_V, V_M, V_V, MTE3_MTE1, MTE1_MTE3, MTE1_V,
  MTE2_M, M_MTE2, V_MTE1, M_FIX, FIX_M, MTE3_MTE2, MTE2_MTE3, S_V, V_S, S_MTE2, MTE2_S, S_MTE3, MTE3_S, MTE2_FIX,
  FIX_MTE2, FIX_S, M_S, FIX_MTE3, MTE1_FIX, FIX_MTE1, FIX_FIX, MAX
};

enum class RoundMode : uint8_t { CAST_NONE, CAST_RINT, CAST_FLOOR, CAST_CEIL, CAST_ROUND, CAST_TRUNC, CAST_ODD };
enum class CMPMODE : uint8_t { LT, GT, EQ, LE, GE, NE };
enum class SELMODE : uint8_t { VSEL_CMPMASK_SPR, VSEL_TENSOR_SCALAR_MODE, VSEL_TENSOR_TENSOR_MODE };
enum class ReduceOrder : uint8_t { ORDER_VALUE_INDEX, ORDER_INDEX_VALUE, ORDER_ONLY_VALUE, ORDER_ONLY_INDEX };
enum class MaskMode : uint8_t { NORMAL, COUNTER };
enum class CacheLine : uint64_t { SINGLE_CACHE_LINE, ENTIRE_DATA_CACHE };
enum class DcciDst : uint64_t { CACHELINE_ALL, CACHELINE_UB, CACHELINE_OUT, CACHELINE_ATOMIC };
enum class CacheMode { CACHE_MODE_DISABLE, CACHE_MODE_NORMAL };
enum class CacheRwMode { READ = 1, WRITE = 2, RW = 3 };
enum class CO2Layout : uint8_t { NZ, ROW_MAJOR };

enum class KernelMetaType {
  KERNEL_TYPE_AIV_ONLY,
  KERNEL_TYPE_AIC_ONLY,
  KERNEL_TYPE_MIX_AIV_1_0,
  KERNEL_TYPE_MIX_AIC_1_0,
  KERNEL_TYPE_MIX_AIC_1_1,
  KERNEL_TYPE_MIX_AIC_1_2,
};

using TEventID = int8_t;

template <typename T, typename U>
struct IsSameType {
  static constexpr bool value = false;
};
template <typename T>
struct IsSameType<T, T> {
  static constexpr bool value = true;
};

namespace parity {
__aicore__ uint64_t TilingKey();
template <typename S>
__aicore__ void CopyTiling(S& destination, GM_ADDR source);
// A dependent false for static_assert, and membership of a type in a list.
template <typename T, typename... Ts>
constexpr bool kOneOf = (IsSameType<T, Ts>::value || ...);
}  // namespace parity

}  // namespace AscendC

#define ASCEND_IS_AIC constexpr(::AscendC::g_coreType == ::AscendC::AIC)
#define ASCEND_IS_AIV constexpr(::AscendC::g_coreType == ::AscendC::AIV)
#define ASCEND_IS_NOT_AIC constexpr(::AscendC::g_coreType != ::AscendC::AIC)
#define ASCEND_IS_NOT_AIV constexpr(::AscendC::g_coreType != ::AscendC::AIV)

#define KERNEL_TASK_TYPE_DEFAULT(type) (void)::AscendC::KernelMetaType::type
#define KERNEL_TASK_TYPE(key, type) ((void)(key), (void)::AscendC::KernelMetaType::type)
#define TILING_KEY_IS(key) (::AscendC::parity::TilingKey() == (key))
#define REGISTER_TILING_DEFAULT(type) static_assert(sizeof(type) % 8 == 0, "tiling data is padded to 8 bytes")
#define GET_TILING_DATA_WITH_STRUCT(type, name, address) \
  type name;                                             \
  ::AscendC::parity::CopyTiling(name, address)

// Tiling data, workspace, kernel type, data cache, output initialisation, debug print.
#pragma once

#include <cstdarg>

#include "twin/tensor.h"

namespace twin {

void ReadTiling(void* dst, size_t bytes, const uint8_t* tiling, Loc loc);
uint64_t TilingKey();
void DeclareKernelType(int type, Loc loc);
void CleanAndInvalidate(const GlobalRef& g, bool entire, Loc loc);
void FillGlobal(const GlobalRef& g, uint64_t count, uint64_t value, uint32_t elem_bytes, ElemType type, Loc loc);
uint8_t* SystemWorkspace();

}  // namespace twin

#define KERNEL_TYPE_AIV_ONLY 0
#define KERNEL_TYPE_AIC_ONLY 1
#define KERNEL_TYPE_MIX_AIV_1_0 2
#define KERNEL_TYPE_MIX_AIC_1_0 3
#define KERNEL_TYPE_MIX_AIC_1_1 4
#define KERNEL_TYPE_MIX_AIC_1_2 5
#define KERNEL_TASK_TYPE_DEFAULT(type) ::twin::DeclareKernelType(type, ::twin::Loc::Current())
#define KERNEL_TASK_TYPE(key, type)                                                          \
  do {                                                                                       \
    if (::twin::TilingKey() == (key)) ::twin::DeclareKernelType(type, ::twin::Loc::Current()); \
  } while (0)

#define TILING_KEY_IS(k) (::twin::TilingKey() == static_cast<uint64_t>(k))
#define REGISTER_TILING_DEFAULT(type) using TwinDefaultTiling [[maybe_unused]] = type
#define GET_TILING_DATA_WITH_STRUCT(type, var, ptr) \
  type var;                                         \
  ::twin::ReadTiling(&var, sizeof(var), (ptr), ::twin::Loc::Current())
#define GET_TILING_DATA(var, ptr) GET_TILING_DATA_WITH_STRUCT(TwinDefaultTiling, var, ptr)

namespace AscendC {

inline GM_ADDR GetUserWorkspace(GM_ADDR workspace) { return workspace; }
inline GM_ADDR GetSysWorkSpacePtr() { return twin::SystemWorkspace(); }
inline void SetSysWorkspace(GM_ADDR) {}

template <typename T, CacheLine entire, DcciDst dst = DcciDst::CACHELINE_OUT>
void DataCacheCleanAndInvalid(const GlobalTensor<T>& g, twin::Loc loc = twin::Loc::Current()) {
  twin::CleanAndInvalidate(g.Ref(), entire == CacheLine::ENTIRE_DATA_CACHE, loc);
}

template <typename T>
void InitOutput(GlobalTensor<T> g, uint32_t count, T value = T(0), twin::Loc loc = twin::Loc::Current()) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  twin::FillGlobal(g.Ref(), count, bits, sizeof(T), twin::ElemTypeOf<T>(), loc);
}

inline float ToFloat(const bfloat16_t& v) { return float(v); }
inline bfloat16_t ToBfloat16(const float& v) { return bfloat16_t(v); }

int printf(const char* fmt, ...) __attribute__((format(printf, 1, 2)));
#define PRINTF ::AscendC::printf

}  // namespace AscendC

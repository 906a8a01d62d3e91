// GlobalTensor and LocalTensor.
#pragma once

#include "base.h"

namespace AscendC {

template <typename T>
class GlobalTensor {
 public:
  using PrimType = T;
  __aicore__ GlobalTensor() {}
  __aicore__ void SetGlobalBuffer(__gm__ T* buffer, uint64_t bufferSize);
  __aicore__ void SetGlobalBuffer(__gm__ T* buffer);
  __aicore__ const __gm__ T* GetPhyAddr() const;
  __aicore__ __gm__ T* GetPhyAddr(const uint64_t offset) const;
  __aicore__ T GetValue(const uint64_t offset) const;
  __aicore__ __gm__ T& operator()(const uint64_t offset) const;
  __aicore__ void SetValue(const uint64_t offset, T value);
  __aicore__ uint64_t GetSize() const;
  __aicore__ GlobalTensor operator[](const uint64_t offset) const;
  template <CacheRwMode rwMode = CacheRwMode::RW>
  __aicore__ void SetL2CacheHint(CacheMode mode);
};

template <typename T>
class LocalTensor {
 public:
  using PrimType = T;
  __aicore__ LocalTensor() {}
  __aicore__ LocalTensor(TPosition pos, uint32_t addr, uint32_t tileSize);
  __aicore__ T GetValue(const uint32_t index) const;
  __aicore__ T& operator()(const uint32_t offset) const;
  template <typename U>
  __aicore__ void SetValue(const uint32_t index, const U value) const;
  __aicore__ LocalTensor operator[](const uint32_t offset) const;
  template <typename U>
  __aicore__ LocalTensor<U> ReinterpretCast() const;
  __aicore__ void SetSize(const uint32_t size);
  __aicore__ uint32_t GetSize() const;
  __aicore__ uint64_t GetPhyAddr() const;
  __aicore__ uint64_t GetPhyAddr(const uint32_t offset) const;
  __aicore__ int32_t GetPosition() const;
};

}  // namespace AscendC

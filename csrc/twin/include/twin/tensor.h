// LocalTensor and GlobalTensor: typed views of a memory, cheap to copy, that remember the bounds they came from.
#pragma once

#include <cstdint>

#include "twin/core.h"

namespace twin {

// The untyped part of a LocalTensor.
struct TensorRef {
  AscendC::TPosition pos = AscendC::TPosition::MAX;
  Mem mem = Mem::UB;
  uint32_t addr = 0;           // bytes, inside mem
  uint32_t lo = 0, hi = 0;     // what accesses through this tensor may touch
  const Buffer* buffer = nullptr;
  uint32_t generation = 0;
};

// One span of a local tensor, `offset` bytes from its start. `count` ranges `stride` bytes apart.
Span Touch(const TensorRef& t, int64_t offset, uint32_t len, bool write, uint32_t count = 1, int64_t stride = 0);
// The same in GM; `bytes` is the size given to SetGlobalBuffer, 0 when none was given.
struct GlobalRef {
  uint8_t* addr = nullptr;
  uint8_t* lo = nullptr;
  uint64_t bytes = 0;
  bool l2_bypass = false;  // CACHE_MODE_DISABLE
};
Span Touch(const GlobalRef& t, int64_t offset, uint32_t len, bool write, uint32_t count = 1, int64_t stride = 0);

void ScalarRead(const TensorRef& t, uint64_t offset, uint32_t len, void* out, Loc loc);
void ScalarWrite(const TensorRef& t, uint64_t offset, uint32_t len, const void* value, Loc loc);
void ScalarRead(const GlobalRef& t, uint64_t offset, uint32_t len, void* out, Loc loc);
void ScalarWrite(const GlobalRef& t, uint64_t offset, uint32_t len, const void* value, Loc loc);
// Checks the start alignment of an operand; the granule depends on the memory (32 UB/L1, 512 L0A/L0B, 64 L0C/BT).
bool CheckAligned(const TensorRef& t, const char* api, const char* operand, Loc loc, uint32_t granule = 0);
// A tensor outside TPipe: position, byte address, bytes.
TensorRef StaticRef(AscendC::TPosition pos, uint32_t addr, uint64_t bytes, Loc loc);

}  // namespace twin

namespace AscendC {

template <typename T>
class LocalTensor {
 public:
  using PrimType = T;
  LocalTensor() = default;
  LocalTensor(TPosition pos, uint32_t byte_addr, uint32_t elems, twin::Loc loc = twin::Loc::Current())
      : ref_(twin::StaticRef(pos, byte_addr, uint64_t(elems) * sizeof(T), loc)), size_(elems) {}
  LocalTensor(const twin::TensorRef& ref, uint32_t elems) : ref_(ref), size_(elems) {}

  T GetValue(uint32_t i, twin::Loc loc = twin::Loc::Current()) const {
    T v{};
    twin::ScalarRead(ref_, uint64_t(i) * sizeof(T), sizeof(T), &v, loc);
    return v;
  }
  template <typename U>
  void SetValue(uint32_t i, U value, twin::Loc loc = twin::Loc::Current()) const {
    const T v = static_cast<T>(value);
    twin::ScalarWrite(ref_, uint64_t(i) * sizeof(T), sizeof(T), &v, loc);
  }
  T operator()(uint32_t i, twin::Loc loc = twin::Loc::Current()) const { return GetValue(i, loc); }
  LocalTensor operator[](uint32_t elem_offset) const {
    LocalTensor t = *this;
    t.ref_.addr += elem_offset * uint32_t(sizeof(T));
    t.size_ = elem_offset <= size_ ? size_ - elem_offset : 0;
    return t;
  }
  uint32_t GetSize() const { return size_; }
  uint32_t GetLength() const { return size_ * uint32_t(sizeof(T)); }
  void SetSize(uint32_t elems) { size_ = elems; }
  template <typename U>
  LocalTensor<U> ReinterpretCast() const {
    return LocalTensor<U>(ref_, uint32_t(uint64_t(size_) * sizeof(T) / sizeof(U)));
  }
  uint64_t GetPhyAddr(uint32_t elem_offset = 0) const { return ref_.addr + uint64_t(elem_offset) * sizeof(T); }
  int32_t GetPosition() const { return static_cast<int32_t>(ref_.pos); }

  const twin::TensorRef& Ref() const { return ref_; }

 private:
  twin::TensorRef ref_;
  uint32_t size_ = 0;
};

template <typename T>
class GlobalTensor {
 public:
  using PrimType = T;
  void SetGlobalBuffer(T* p, uint64_t elems) {
    ref_.addr = ref_.lo = reinterpret_cast<uint8_t*>(p);
    ref_.bytes = elems * sizeof(T);
  }
  void SetGlobalBuffer(T* p) { SetGlobalBuffer(p, 0); }
  GlobalTensor operator[](uint64_t elem_offset) const {
    GlobalTensor t = *this;
    t.ref_.addr += elem_offset * sizeof(T);
    return t;
  }
  T GetValue(uint64_t i, twin::Loc loc = twin::Loc::Current()) const {
    T v{};
    twin::ScalarRead(ref_, i * sizeof(T), sizeof(T), &v, loc);
    return v;
  }
  T operator()(uint64_t i, twin::Loc loc = twin::Loc::Current()) const { return GetValue(i, loc); }
  template <typename U>
  void SetValue(uint64_t i, U value, twin::Loc loc = twin::Loc::Current()) const {
    const T v = static_cast<T>(value);
    twin::ScalarWrite(ref_, i * sizeof(T), sizeof(T), &v, loc);
  }
  const T* GetPhyAddr() const { return reinterpret_cast<T*>(ref_.addr); }
  const T* GetPhyAddr(uint64_t elem_offset) const { return reinterpret_cast<T*>(ref_.addr) + elem_offset; }
  uint64_t GetSize() const { return ref_.bytes / sizeof(T); }
  template <CacheRwMode mode = CacheRwMode::RW>
  void SetL2CacheHint(CacheMode hint) { ref_.l2_bypass = hint == CacheMode::CACHE_MODE_DISABLE; }

  const twin::GlobalRef& Ref() const { return ref_; }

 private:
  twin::GlobalRef ref_;
};

}  // namespace AscendC

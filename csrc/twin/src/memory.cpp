#include "memory.h"

#include <sys/mman.h>

#include <stdexcept>

#include "launch.h"
#include "shadow.h"

namespace twin {

void Poison(uint8_t* p, size_t bytes) {
  const uint64_t word = 0x7fbf7fbf7fbf7fbfull;
  size_t i = 0;
  if (reinterpret_cast<uintptr_t>(p) & 1) {  // the pattern follows even addresses
    p[i++] = kPoison >> 8;
  }
  for (; i + 8 <= bytes; i += 8) std::memcpy(p + i, &word, 8);
  if (i < bytes) std::memcpy(p + i, &word, bytes - i);
}

void InitBits::Set(size_t begin, size_t len, bool value) {
  size_t i = begin, end = begin + len;
  while (i < end) {
    const size_t bit = i & 63, n = std::min<size_t>(64 - bit, end - i);
    const uint64_t mask = (n == 64 ? ~0ull : ((1ull << n) - 1)) << bit;
    if (value) {
      words_[i >> 6] |= mask;
    } else {
      words_[i >> 6] &= ~mask;
    }
    i += n;
  }
}

size_t InitBits::FirstClear(size_t begin, size_t len) const {
  size_t i = begin, end = begin + len;
  while (i < end) {
    const size_t bit = i & 63, n = std::min<size_t>(64 - bit, end - i);
    const uint64_t mask = (n == 64 ? ~0ull : ((1ull << n) - 1)) << bit;
    const uint64_t clear = ~words_[i >> 6] & mask;
    if (clear) return (i & ~size_t(63)) + size_t(__builtin_ctzll(clear));
    i += n;
  }
  return end;
}

void InitBits::Copy(InitBits& dst, size_t d, const InitBits& src, size_t s, size_t len) {
  if (src.FirstClear(s, len) == s + len) {
    dst.Set(d, len, true);
    return;
  }
  for (size_t i = 0; i < len; ++i) dst.Set(d + i, 1, src.Get(s + i));
}

constexpr size_t kLarge = size_t(4) << 20;

Pages::Pages(size_t bytes) : bytes_(bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::runtime_error(Format("the twin cannot map %zu bytes of global memory", bytes));
  p_ = static_cast<uint8_t*>(p);
  // Rows of large tensors lie pages apart: large pages save most of the address translations. A wish, not a need.
  if (bytes >= kLarge) madvise(p, bytes, MADV_HUGEPAGE);
}
Pages::~Pages() {
  if (p_) munmap(p_, bytes_);
}

GmRegion::GmRegion() = default;
GmRegion::~GmRegion() = default;
GmRegion::GmRegion(GmRegion&&) noexcept = default;

uint8_t* Raw(Mem mem, uint64_t addr) {
  if (mem == Mem::GM) return reinterpret_cast<uint8_t*>(addr);
  return Cur().state->bank[int(mem)].data + addr;
}

namespace {

struct InitRef {
  InitBits* bits;
  uint64_t offset;
};
InitRef FindInit(Mem mem, uint64_t addr) {
  Core& c = Cur();
  if (mem != Mem::GM) return {&c.state->bank[int(mem)].init, addr};
  GmRegion* r = c.launch->FindRegion(addr);
  if (!r) return {nullptr, 0};
  return {&r->init, addr - uint64_t(reinterpret_cast<uintptr_t>(r->base))};
}

}  // namespace

void MoveBytes(Mem dst_mem, uint64_t dst, Mem src_mem, uint64_t src, uint64_t len) {
  MoveBytes({dst_mem, dst, 0}, {src_mem, src, 0}, len, 1);
}

void MoveBytes(const Pieces& dst, const Pieces& src, uint64_t len, uint32_t count) {
  uint8_t* const to = Raw(dst.mem, dst.addr);
  const uint8_t* const from = Raw(src.mem, src.addr);
  if (len == 32) {  // a block, the usual piece: worth no call
    struct Block {
      uint64_t words[4];
    } block;
    for (uint32_t i = 0; i < count; ++i) {
      std::memcpy(&block, from + i * src.step, 32);
      std::memcpy(to + i * dst.step, &block, 32);
    }
  } else if (len == 2) {
    for (uint32_t i = 0; i < count; ++i) std::memcpy(to + i * dst.step, from + i * src.step, 2);
  } else {
    for (uint32_t i = 0; i < count; ++i) std::memmove(to + i * dst.step, from + i * src.step, len);
  }
  if (!Cur().launch->track_init) return;
  const InitRef d = FindInit(dst.mem, dst.addr), s = FindInit(src.mem, src.addr);
  if (!d.bits || !s.bits) return;
  for (uint32_t i = 0; i < count; ++i) {
    InitBits::Copy(*d.bits, size_t(int64_t(d.offset) + i * dst.step), *s.bits, size_t(int64_t(s.offset) + i * src.step), len);
  }
}

void MarkInit(Mem mem, uint64_t addr, uint64_t len) {
  if (!Cur().launch->track_init) return;
  const InitRef r = FindInit(mem, addr);
  if (r.bits) r.bits->Set(r.offset, len, true);
}

void MarkUninit(Mem mem, uint64_t addr, uint64_t len) {
  if (!Cur().launch->track_init) return;
  const InitRef r = FindInit(mem, addr);
  if (r.bits) r.bits->Set(r.offset, len, false);
}

}  // namespace twin

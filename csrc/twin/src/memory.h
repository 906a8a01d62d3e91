// Bytes and their history: a memory bank is raw bytes plus one "was ever written" bit per byte; global memory is a
// table of the launch's buffers.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "twin/issue.h"

namespace twin {

// Signalling NaN as float, NaN as half and bfloat16: what never written memory contains.
constexpr uint16_t kPoison = 0x7fbf;
void Poison(uint8_t* p, size_t bytes);

// One bit per byte.
class InitBits {
 public:
  void Resize(size_t bytes) { words_.assign((bytes + 63) / 64 + 1, 0); }
  void Set(size_t begin, size_t len, bool value);
  // Index of the first clear bit in the range, or `begin + len`.
  size_t FirstClear(size_t begin, size_t len) const;
  static void Copy(InitBits& dst, size_t d, const InitBits& src, size_t s, size_t len);
  bool Get(size_t i) const { return words_[i >> 6] >> (i & 63) & 1; }

 private:
  std::vector<uint64_t> words_;
};

struct Bank {
  uint8_t* data = nullptr;  // inside Launch::memories; none in the cost-only mode
  InitBits init;
  size_t size = 0;
};

enum class GmKind : uint8_t { kInput, kOutput, kWorkspace, kTiling };

// Anonymous pages: zero until touched, so that the cost-only mode can hold a launch of any size.
class Pages {
 public:
  Pages() = default;
  explicit Pages(size_t bytes);
  ~Pages();
  Pages(Pages&& o) noexcept : p_(o.p_), bytes_(o.bytes_) { o.p_ = nullptr; }
  Pages& operator=(Pages&& o) noexcept {
    std::swap(p_, o.p_);
    std::swap(bytes_, o.bytes_);
    return *this;
  }
  uint8_t* data() const { return p_; }

 private:
  uint8_t* p_ = nullptr;
  size_t bytes_ = 0;
};

class GmShadow;

// What the time model remembers of a line of global memory.
struct LineUse {
  uint32_t fills = 0;  // Launch::l2_fills at the last use; 0 = never used
  uint32_t when = 0;   // of the last use, in units of 64 cycles
  uint16_t core = 0;   // of the last use
  bool wrote = false;  // the last use was a write
  bool written = false;
};

struct GmRegion {
  GmKind kind = GmKind::kInput;
  std::string name;  // "input 0", "output 1", "workspace", "tiling"
  uint8_t* base = nullptr;
  size_t bytes = 0;
  Pages pages;
  InitBits init;
  std::unique_ptr<GmShadow> shadow;
  std::vector<LineUse> lines;  // per 128 B

  GmRegion();
  ~GmRegion();
  GmRegion(GmRegion&&) noexcept;
};

}  // namespace twin

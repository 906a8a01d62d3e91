// Storage types half and bfloat16_t: IEEE binary16 and the upper half of binary32, converted with round to nearest
// even in plain integer code, so that every host computes the same bits. Arithmetic happens in float, in the API.
// The functions are static: product_kernel.cpp is compiled with wider instruction sets, and the linker must not keep a copy
// of those for everybody.
#pragma once

#include <cstdint>
#include <cstring>

namespace twin {

static inline uint32_t FloatBits(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  return u;
}
static inline float BitsFloat(uint32_t u) {
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

static inline uint16_t FloatToHalfBits(float f) {
  const uint32_t u = FloatBits(f);
  const uint32_t sign = (u >> 16) & 0x8000u;
  const uint32_t a = u & 0x7fffffffu;
  if (a > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((a >> 13) & 0x3ffu));  // NaN stays NaN
  if (a >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);                        // rounds to infinity
  if (a < 0x38800000u) {  // subnormal half: adding 0.5 lines the mantissa up and rounds once, in the FPU
    const float r = BitsFloat(a) + 0.5f;
    return static_cast<uint16_t>(sign | (FloatBits(r) - 0x3f000000u));
  }
  const uint32_t r = a + 0xfffu + ((a >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((r - 0x38000000u) >> 13));
}

// Without a branch, so that loops over it become vector code. A subnormal's mantissa is lined up below 2^-14 and 2^-14
// taken off: both are normal floats, so that the value survives on a thread that flushes subnormals to zero, as
// MindSpore's do.
static inline float HalfBitsToFloat(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t a = static_cast<uint32_t>(h & 0x7fffu) << 13;
  const uint32_t subnormal = FloatBits(BitsFloat(a + 0x38800000u) - 0x1p-14f);
  const uint32_t finite = a < 0x00800000u ? subnormal : a + 0x38000000u;
  return BitsFloat(sign | (a >= 0x0f800000u ? a | 0x7f800000u : finite));
}

static inline uint16_t FloatToBf16Bits(float f) {
  const uint32_t u = FloatBits(f);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((u >> 16) | 0x40u);
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
static inline float Bf16BitsToFloat(uint16_t b) { return BitsFloat(static_cast<uint32_t>(b) << 16); }

struct half {
  uint16_t bits;
  half() = default;
  half(float f) : bits(FloatToHalfBits(f)) {}  // NOLINT: implicit like the device type
  operator float() const { return HalfBitsToFloat(bits); }
  static half FromBits(uint16_t b) {
    half h;
    h.bits = b;
    return h;
  }
};

struct bfloat16_t {
  uint16_t bits;
  bfloat16_t() = default;
  bfloat16_t(float f) : bits(FloatToBf16Bits(f)) {}  // NOLINT: implicit like the device type
  operator float() const { return Bf16BitsToFloat(bits); }
  static bfloat16_t FromBits(uint16_t b) {
    bfloat16_t h;
    h.bits = b;
    return h;
  }
};

}  // namespace twin

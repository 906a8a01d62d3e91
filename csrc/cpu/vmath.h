// Vector exp, exp2 and the two forms of GELU with their derivatives.
//
// All polynomials were fitted for this file (weighted least squares towards the minimax error on the stated
// interval), not taken from a table. Errors below are relative to the exact function, before fp32 rounding.
#pragma once

#include "simd.h"

namespace vit {
namespace VIT_ISA {

constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.693147181f;

// 1.5 * 2^23: adding it leaves the nearest integer in the low mantissa bits.
constexpr float kRoundingShift = 12582912.0f;

// v * 2^n for 1/2 < v < 2 and integral n in [-200, 127], `shifted` being n + kRoundingShift. Every exponential
// of this library is of a number below zero, so the one power of two cannot overflow; below the normal range
// it is zero, and so is the product (AVX-512: the subnormal number).
VIT_INLINE Vec scale_by_power(Vec v, Vec n, Vec shifted) {
#if defined(__AVX512F__)
  (void)shifted;
  return _mm512_scalef_ps(v, n);
#else
  (void)n;
  const IVec exponent = as_int(shifted) - (as_int(broadcast(kRoundingShift)) - 127);
  return v * as_float((exponent > 0 ? exponent : IVec{}) << 23);
#endif
}

// 2^x for x < 127, 2e-9 on the reduced interval [-1/2, 1/2]; 0 at -inf, NaN for NaN.
VIT_INLINE Vec vexp2(Vec x) {
  x = vmax(broadcast(-160.0f), x);
  const Vec shifted = x + kRoundingShift;
  const Vec n = shifted - kRoundingShift;
  const Vec r = x - n;
  Vec p = broadcast(1.535337464e-4f);
  p = p * r + 1.339887898e-3f;
  p = p * r + 9.618437352e-3f;
  p = p * r + 5.550332460e-2f;
  p = p * r + 2.402264791e-1f;
  p = p * r + 6.931472029e-1f;
  p = p * r + 1.0f;
  return scale_by_power(p, n, shifted);
}

// e^x for x < 88, 2e-9 on |r| <= ln(2)/2; ln 2 is split in two so that r keeps all its bits.
VIT_INLINE Vec vexp(Vec x) {
  x = vmax(broadcast(-110.0f), x);
  const Vec shifted = x * kLog2E + kRoundingShift;
  const Vec n = shifted - kRoundingShift;
  Vec r = x - n * 0.693359375f;  // ln 2 rounded to 10 bits: n times it is exact
  r = r + n * 2.12194440e-4f;
  Vec p = broadcast(1.384366499e-3f);
  p = p * r + 8.374158168e-3f;
  p = p * r + 4.166800201e-2f;
  p = p * r + 1.666643123e-1f;
  p = p * r + 4.999999421e-1f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return scale_by_power(p, n, shifted);
}

// The normal distribution: its cumulative probability (`below` x) and its density at x without the 1/sqrt(2
// pi).
struct Normal {
  Vec below, kernel;
};
// P(X < -|x|) = exp(-x^2/2) * q * poly(q) with q = 1 / (1 + 0.3 |x| / sqrt 2), 2e-8 for |x| <= 14, beyond
// which the exponential is zero in fp32. Working on the tail keeps the relative accuracy of GELU for negative
// x.
VIT_INLINE Normal normal(Vec x) {
  const Vec q = 1.0f / (vabs(x) * 0.212132034f + 1.0f);
  Vec p = broadcast(-6.476108227e-2f);
  p = p * q + 2.427798478e-1f;
  p = p * q - 2.561354913e-1f;
  p = p * q + 2.738560271e-1f;
  p = p * q - 4.732265201e-2f;
  p = p * q + 1.074618879e-1f;
  p = p * q + 7.416987516e-2f;
  p = p * q + 8.535757284e-2f;
  p = p * q + 8.459400501e-2f;
  const Vec kernel = vexp(x * x * -0.5f);
  const Vec tail = kernel * (p * q);
  return {x < 0.0f ? tail : 1.0f - tail, kernel};
}

struct ValueAndSlope {
  Vec value, slope;
};

// GELU(x) = x P(X < x); Hendrycks and Gimpel, 2016, section 2.
struct GeluErf {
  static inline Vec value(Vec x) { return x * normal(x).below; }
  static inline ValueAndSlope value_and_slope(Vec x) {
    const Normal d = normal(x);
    return {x * d.below, d.below + x * d.kernel * 0.398942280f};
  }
};

// The tanh form, 0.5 x (1 + tanh(u)) with u = sqrt(2/pi) (x + 0.044715 x^3), written as x * sigmoid(2u). The
// sigmoid comes from exp(-|2u|), which cannot overflow, and its complement from the same number rather than
// from 1 - sigmoid, which would cancel. Beyond |x| = 12 it is 0 or 1 in fp32; clamping there keeps x^2
// finite.
struct GeluTanh {
  static inline ValueAndSlope value_and_slope(Vec x) {
    const Vec c = vmin(broadcast(12.0f), vabs(x));
    const Vec square = c * c;
    const Vec decay = vexp(-c * (square * 0.0713548163f + 1.59576912f));
    const Vec high = 1.0f / (1.0f + decay), low = decay * high;
    const Vec gate = x < 0.0f ? low : high;
    const Vec rise = c * high * low * (square * 0.214064449f + 1.59576912f);
    return {x * gate, gate + (x < 0.0f ? -rise : rise)};
  }
  static inline Vec value(Vec x) { return value_and_slope(x).value; }
};

}  // namespace VIT_ISA
}  // namespace vit

// The vector type every kernel is written in, and the few operations GCC's vector extensions lack.
//
// A `Vec` is one hardware register of fp32 lanes: 16 with AVX-512, 8 with AVX2, 4 with SSE2 or NEON.
// Arithmetic is the ordinary operators; `a * b + c` becomes one fused multiply-add where the instruction set
// has it, because every kernel source is compiled with -ffp-contract=fast. Nothing here may be seen by code
// of another instruction set, so everything lives in a namespace named after it (VIT_ISA, given on the
// command line), is `static inline`, and no standard C++ header is included: an inline std:: function
// compiled with AVX-512 flags could otherwise be the copy the linker keeps for everybody.
#pragma once

#include <stdint.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define VIT_LANES 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define VIT_LANES 8
#else
#define VIT_LANES 4
#endif

#define VIT_INLINE static inline __attribute__((always_inline))

namespace vit {
namespace VIT_ISA {

constexpr int kLanes = VIT_LANES;

typedef float Vec __attribute__((vector_size(VIT_LANES * 4)));
typedef int32_t IVec __attribute__((vector_size(VIT_LANES * 4)));
typedef float UnalignedVec __attribute__((vector_size(VIT_LANES * 4), aligned(4), may_alias));

VIT_INLINE Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
VIT_INLINE void store(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }
VIT_INLINE Vec broadcast(float x) { return x - Vec{}; }
VIT_INLINE IVec as_int(Vec v) { return reinterpret_cast<IVec>(v); }
VIT_INLINE Vec as_float(IVec v) { return reinterpret_cast<Vec>(v); }

// max(a, b) is b when either is NaN, so a running maximum is written vmax(running, x) and a lower clamp
// vmax(bound, x): the clamp then lets NaN through.
VIT_INLINE Vec vmax(Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}
VIT_INLINE Vec vmin(Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}
VIT_INLINE Vec vsqrt(Vec v) {
#if defined(__AVX512F__)
  return _mm512_sqrt_ps(v);
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(v);
#else
  for (int i = 0; i < kLanes; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}
VIT_INLINE Vec vabs(Vec v) { return as_float(as_int(v) & 0x7fffffff); }

// The first n lanes, 0 <= n <= kLanes; loads give zero elsewhere and never touch memory past p + n.
VIT_INLINE Vec load_first(const float* p, int n) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#else
  if (n == kLanes) return load(p);
  Vec v = {};
  for (int i = 0; i < kLanes && i < n; ++i) v[i] = p[i];
  return v;
#endif
}
VIT_INLINE void store_first(float* p, Vec v, int n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
#else
  if (n == kLanes) return store(p, v);
  for (int i = 0; i < kLanes && i < n; ++i) p[i] = v[i];
#endif
}

// How a kernel touches memory: a whole register, or its first n lanes at the edge of a matrix. Kernels take
// one of these as a template parameter, so the inner loops carry no test for the edge.
struct AllLanes {
  Vec load(const float* p) const { return VIT_ISA::load(p); }
  void store(float* p, Vec v) const { VIT_ISA::store(p, v); }
  Vec keep(Vec v) const { return v; }
};
struct FirstLanes {
  int n;
  Vec load(const float* p) const { return load_first(p, n); }
  void store(float* p, Vec v) const { store_first(p, v, n); }
  Vec keep(Vec v) const {  // zero in the lanes that hold no element
    for (int i = n; i < kLanes; ++i) v[i] = 0.0f;
    return v;
  }
};

// Sum of the lanes, always added in the same order.
VIT_INLINE float sum_lanes(Vec v) {
  float lane[kLanes];
  store(lane, v);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return lane[0];
}

// Transposes a kLanes x kLanes block held in registers. Each of the log2(kLanes) rounds riffles the top half
// of the rows into the bottom half; after all of them row i holds what was column i.
#if defined(__clang__)
#define VIT_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else  // GCC has had this form for long, the other only since version 12
#define VIT_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, IVec{__VA_ARGS__})
#endif
VIT_INLINE void interleave(Vec a, Vec b, Vec* low, Vec* high) {
#if VIT_LANES == 16
  *low = VIT_SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  *high = VIT_SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif VIT_LANES == 8
  *low = VIT_SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  *high = VIT_SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
  *low = VIT_SHUFFLE(a, b, 0, 4, 1, 5);
  *high = VIT_SHUFFLE(a, b, 2, 6, 3, 7);
#endif
}

// One register of the last kCount of a's first three quarters and as many of b's first quarters as fit after
// them: four registers of which three quarters are used become three dense ones.
template <int kCount>
VIT_INLINE Vec join_quarters(Vec a, Vec b) {
#if VIT_LANES == 16
  if constexpr (kCount == 3) return VIT_SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19);
  if constexpr (kCount == 2) return VIT_SHUFFLE(a, b, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23);
  return VIT_SHUFFLE(a, b, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27);
#elif VIT_LANES == 8
  if constexpr (kCount == 3) return VIT_SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 8, 9);
  if constexpr (kCount == 2) return VIT_SHUFFLE(a, b, 2, 3, 4, 5, 8, 9, 10, 11);
  return VIT_SHUFFLE(a, b, 4, 5, 8, 9, 10, 11, 12, 13);
#else
  if constexpr (kCount == 3) return VIT_SHUFFLE(a, b, 0, 1, 2, 4);
  if constexpr (kCount == 2) return VIT_SHUFFLE(a, b, 1, 2, 4, 5);
  return VIT_SHUFFLE(a, b, 2, 4, 5, 6);
#endif
}
#undef VIT_SHUFFLE

VIT_INLINE void transpose(Vec (&row)[kLanes]) {
#pragma GCC unroll 4
  for (int round = 1; round < kLanes; round *= 2) {
    Vec mixed[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; ++i) {
      interleave(row[i], row[i + kLanes / 2], &mixed[2 * i], &mixed[2 * i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) row[i] = mixed[i];
  }
}

VIT_INLINE int64_t imin(int64_t a, int64_t b) { return a < b ? a : b; }
VIT_INLINE int64_t imax(int64_t a, int64_t b) { return a > b ? a : b; }
VIT_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
VIT_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// The contiguous share of `count` items that worker `index` of `workers` takes; shares differ by at most one.
struct Range {
  int64_t begin, end;
};
VIT_INLINE Range share(int64_t count, int64_t workers, int64_t index) {
  return {count * index / workers, count * (index + 1) / workers};
}
VIT_INLINE Range share(Range range, int64_t workers, int64_t index) {
  const Range part = share(range.end - range.begin, workers, index);
  return {range.begin + part.begin, range.begin + part.end};
}

}  // namespace VIT_ISA
}  // namespace vit

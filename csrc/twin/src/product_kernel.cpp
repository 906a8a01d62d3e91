// Compiled once per instruction set of the host, with VIT_TWIN_ISA as its name. Every instruction set computes the same bits:
// the product of two 16-bit numbers is exact in a float, so that multiply-add in one instruction rounds as multiply and add do
// (unless a product of bfloat16 is smaller than all normal floats); the product of two floats is rounded apart from the sum.
// No inline function of std:: or with external linkage: the linker could keep the copy with the widest instructions for
// everybody.
#include "product.h"

#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "twin/numeric.h"

namespace twin::VIT_TWIN_ISA {

namespace {

// A register of the host; a row of a block of C is kParts of them.
constexpr uint32_t kLanes = VIT_TWIN_LANES, kParts = kTile / kLanes;
typedef float Vector __attribute__((vector_size(4 * kLanes)));
typedef int32_t Lanes __attribute__((vector_size(4 * kLanes)));

inline Vector Load(const float* p) {
  Vector v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
inline void Store(float* p, const Vector& v) { std::memcpy(p, &v, sizeof(v)); }

// sum + row * factor. kExact: the products are.
template <bool kExact>
inline Vector MultiplyAdd(const Vector& row, float factor, const Vector& sum) {
#if VIT_TWIN_LANES == 16 && defined(__AVX512F__)
  if constexpr (kExact) return Vector(_mm512_fmadd_ps(__m512(row), _mm512_set1_ps(factor), __m512(sum)));
#elif VIT_TWIN_LANES == 8 && defined(__FMA__)
  if constexpr (kExact) return Vector(_mm256_fmadd_ps(__m256(row), _mm256_set1_ps(factor), __m256(sum)));
#endif
  return sum + row * factor;
}

// Where row i of A and panel j of B and C begin.
struct At {
  const float *a, *b;
  float* c;
  size_t a_block;  // between blocks of a_cols columns
  At(const FloatProduct& f, uint32_t i, uint32_t j) : a_block(size_t(kTile) * f.a_cols) {
    a = f.a + i / kTile * ((f.k + f.a_cols - 1) / f.a_cols) * a_block + i % kTile * f.a_cols;
    b = f.b + size_t(j) * f.b_rows * kTile;
    c = f.c + (size_t(j) * f.c_rows + i) * kTile;
  }
};

// kRows rows from `i` and kPanels panels from `j` of C stay in registers while k runs.
template <int kRows, int kPanels, uint32_t kColumns>
void Sequential(const FloatProduct& f, uint32_t i, uint32_t j) {
  const At at(f, i, j);
  const size_t b_panel = size_t(f.b_rows) * kTile, c_panel = size_t(f.c_rows) * kTile;
  constexpr int kVectors = kPanels * kParts;
  const auto part = [](int v, size_t panel) { return v / kParts * panel + v % kParts * kLanes; };
  Vector sum[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) sum[r][v] = Load(at.c + part(v, c_panel) + r * kTile);
  }
  const auto add = [&](const float* column, uint32_t p) {
    Vector row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = Load(at.b + part(v, b_panel) + size_t(p) * kTile);
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) sum[r][v] = MultiplyAdd<kColumns == kTile>(row[v], column[r * kColumns], sum[r][v]);
    }
  };
  if (f.order == SumOrder::kReversed) {
    for (uint32_t p = f.k; p-- > 0;) add(at.a + p / kColumns * at.a_block + p % kColumns, p);
  } else {
    const float* column = at.a;
    for (uint32_t p = 0; p < f.k; column += at.a_block) {
      const uint32_t end = f.k - p < kColumns ? f.k : p + kColumns;
      for (const float* c = column; p < end; ++p, ++c) add(c, p);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) Store(at.c + part(v, c_panel) + r * kTile, sum[r][v]);
  }
}

template <int kPanels, uint32_t kColumns>
void SequentialPanels(const FloatProduct& f, uint32_t j) {
  constexpr uint32_t kRows = VIT_TWIN_ROWS;
  uint32_t i = 0;
  for (; i + kRows <= f.m; i += kRows) Sequential<kRows, kPanels, kColumns>(f, i, j);
  for (; i < f.m; ++i) Sequential<1, kPanels, kColumns>(f, i, j);
}

// kColumns: a_cols, known to the compiler: 16 columns of 16-bit numbers, or 8 of floats.
template <uint32_t kColumns>
void SequentialProduct(const FloatProduct& f) {
  constexpr uint32_t kPanels = VIT_TWIN_PANELS;
  const uint32_t panels = (f.n + kTile - 1) / kTile;
  uint32_t j = 0;
  for (; j + kPanels <= panels; j += kPanels) SequentialPanels<kPanels, kColumns>(f, j);
  for (; j < panels; ++j) SequentialPanels<1, kColumns>(f, j);
}

// Sixteen products are summed as a tree, then added.
void Tree(const FloatProduct& f, uint32_t i, uint32_t j) {
  const At at(f, i, j);
  for (uint32_t lane = 0; lane < kTile; lane += kLanes) {
    Vector sum = Load(at.c + lane);
    for (uint32_t p0 = 0; p0 < f.k; p0 += kTile) {
      Vector part[kTile] = {};
      for (uint32_t p = p0; p < p0 + kTile && p < f.k; ++p) {
        part[p - p0] = Load(at.b + size_t(p) * kTile + lane) * at.a[p / f.a_cols * at.a_block + p % f.a_cols];
      }
      for (uint32_t step = 1; step < kTile; step *= 2) {
        for (uint32_t p = 0; p < kTile; p += 2 * step) part[p] += part[p + step];
      }
      sum += part[0];
    }
    Store(at.c + lane, sum);
  }
}

void Multiply(const FloatProduct& f) {
  if (f.order != SumOrder::kTree) return f.a_cols == 16 ? SequentialProduct<16>(f) : SequentialProduct<8>(f);
  for (uint32_t j = 0; j * kTile < f.n; ++j) {
    for (uint32_t i = 0; i < f.m; ++i) Tree(f, i, j);
  }
}

// Lanes of two registers in turn, of their lower or upper halves.
inline Vector Interleave(const Vector& x, const Vector& y, bool upper) {
#if VIT_TWIN_LANES == 16
#define VIT_TWIN_LOWER 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define VIT_TWIN_UPPER 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif VIT_TWIN_LANES == 8
#define VIT_TWIN_LOWER 0, 8, 1, 9, 2, 10, 3, 11
#define VIT_TWIN_UPPER 4, 12, 5, 13, 6, 14, 7, 15
#else
#define VIT_TWIN_LOWER 0, 4, 1, 5
#define VIT_TWIN_UPPER 2, 6, 3, 7
#endif
#if defined(__clang__)
  return upper ? __builtin_shufflevector(x, y, VIT_TWIN_UPPER) : __builtin_shufflevector(x, y, VIT_TWIN_LOWER);
#else
  return upper ? __builtin_shuffle(x, y, Lanes{VIT_TWIN_UPPER}) : __builtin_shuffle(x, y, Lanes{VIT_TWIN_LOWER});
#endif
}

// A square of kLanes x kLanes inside blocks whose rows are kTile long: with every round, row i and the row half a square
// further are shuffled like the two halves of a deck of cards.
inline void TransposeSquare(const float* from, float* to) {
  Vector now[kLanes], next[kLanes];
  for (uint32_t i = 0; i < kLanes; ++i) now[i] = Load(from + i * kTile);
  for (uint32_t rounds = kLanes; rounds > 1; rounds /= 2) {
    for (uint32_t i = 0; i < kLanes / 2; ++i) {
      next[2 * i] = Interleave(now[i], now[i + kLanes / 2], false);
      next[2 * i + 1] = Interleave(now[i], now[i + kLanes / 2], true);
    }
    for (uint32_t i = 0; i < kLanes; ++i) now[i] = next[i];
  }
  for (uint32_t i = 0; i < kLanes; ++i) Store(to + i * kTile, now[i]);
}

void Transpose(const Transposition& t) {
  for (uint32_t n = 0; n < t.count; ++n) {
    const float* const from = t.from + size_t(n) * kTile * kTile;
    float* const to = t.to + size_t(n) * t.stride;
    for (uint32_t i = 0; i < kTile; i += kLanes) {
      for (uint32_t j = 0; j < kTile; j += kLanes) TransposeSquare(from + i * kTile + j, to + j * kTile + i);
    }
  }
}

void FromHalf(const uint8_t* from, uint32_t count, float* out) {
  uint32_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= count; i += 16) {
    const __m256i u = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + size_t(i) * 2));
    _mm512_storeu_ps(out + i, _mm512_maskz_cvtph_ps(0xffff, u));
  }
#endif
#if defined(__AVX2__)
  for (; i + 8 <= count; i += 8) {
    const __m128i u = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + size_t(i) * 2));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(u));
  }
#endif
  for (; i < count; ++i) {
    uint16_t u;
    std::memcpy(&u, from + size_t(i) * 2, 2);
    out[i] = HalfBitsToFloat(u);
  }
}

void FromBf16(const uint8_t* from, uint32_t count, float* out) {
  for (uint32_t i = 0; i < count; ++i) {
    uint16_t u;
    std::memcpy(&u, from + size_t(i) * 2, 2);
    out[i] = Bf16BitsToFloat(u);
  }
}

void ToHalf(const float* from, uint32_t count, uint8_t* out) {
  uint32_t i = 0;
#if defined(__AVX2__)
  for (; i + 8 <= count; i += 8) {
    const __m128i u = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + size_t(i) * 2), u);
  }
#endif
  for (; i < count; ++i) {
    const uint16_t u = FloatToHalfBits(from[i]);
    std::memcpy(out + size_t(i) * 2, &u, 2);
  }
}

}  // namespace

extern const HostArithmetic kArithmetic;
const HostArithmetic kArithmetic = {Multiply, Transpose, FromHalf, FromBf16, ToHalf};

}  // namespace twin::VIT_TWIN_ISA

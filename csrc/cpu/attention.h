// What the forward and the backward attention kernel share: where heads lie, and how tiles are packed.
//
// Both work on transposed scores, S^T = K Q^T: the lanes of a register are queries. Row maxima, row sums and
// the exponentials are then plain vertical arithmetic, a tile of S^T leaves the register tile of
// microkernel.h in exactly the layout that the next product reads as its right operand, and no score ever
// needs a shuffle.
#pragma once

#include "gemm.h"
#include "vmath.h"

namespace vit {
namespace VIT_ISA {

// One head of qkv (batch, tokens, 3, heads, head_dim) or of out (batch, tokens, heads, head_dim): `tokens`
// rows of head_dim floats, `stride` apart.
struct Head {
  const float *q, *k, *v;
  int64_t stride;
};
VIT_INLINE Head head_of(const float* qkv, int64_t index, int64_t tokens, int64_t heads, int64_t head_dim) {
  const int64_t stride = 3 * heads * head_dim;
  const float* const q = qkv + index / heads * tokens * stride + index % heads * head_dim;
  return {q, q + heads * head_dim, q + 2 * heads * head_dim, stride};
}
VIT_INLINE int64_t out_offset(int64_t index, int64_t tokens, int64_t heads, int64_t head_dim) {
  return index / heads * tokens * heads * head_dim + index % heads * head_dim;
}

// Cuts `count` into even blocks of at most `most`, each but the last a multiple of `multiple`.
VIT_INLINE int64_t even_block(int64_t count, int64_t most, int64_t multiple) {
  return imin(count, round_up(ceil_div(count, ceil_div(count, most)), multiple));
}

// All `rows` of a matrix as left panels over the whole summation [k, k + depth).
template <class Operand>
VIT_INLINE void pack_left_all(const Operand& operand, float* packed, int64_t rows, int64_t k, int64_t depth) {
  pack_left(operand, packed, {0, ceil_div(rows, kTileRows)}, 0, rows, k, depth);
}

// out (rows x width, dense) = left (packed, `rows` rows) times one right panel of `vectors` registers.
VIT_INLINE void multiply_panel(const float* left, const float* right, int64_t rows, int64_t depth,
                               int vectors, float* out) {
  for (int64_t i = 0; i < rows; i += kTileRows) {
    const int count = static_cast<int>(imin(kTileRows, rows - i));
    kTiles[vectors - 1][count - 1](depth, left + i * depth, kTileRows, right, out + i * vectors * kLanes);
  }
}

// Writes x^T, where x is (depth x width) with queries in the lanes, as `queries` rows of `depth` floats, each
// multiplied by its own factor.
VIT_INLINE void store_transposed(const float* x, int64_t depth, int width, int64_t queries,
                                 const float* factor, float* to, int64_t stride) {
  for (int64_t q = 0; q < queries; q += kLanes) {
    const Vec f = load(factor + q);
    const int rows = static_cast<int>(imin(kLanes, queries - q));
    for (int64_t d = 0; d < depth; d += kLanes) {
      const int columns = static_cast<int>(imin(kLanes, depth - d));
      const float* const from = x + d * width + q;
      float* const at = to + q * stride + d;
      Vec block[kLanes];
      if (rows == kLanes && columns == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) block[i] = load(from + i * width) * f;
        transpose(block);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) store(at + i * stride, block[i]);
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) block[i] = i < columns ? load(from + i * width) * f : Vec{};
        transpose(block);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
          if (i < rows) store_first(at + i * stride, block[i], columns);
        }
      }
    }
  }
}

}  // namespace VIT_ISA
}  // namespace vit

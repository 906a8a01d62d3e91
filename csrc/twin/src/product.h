// The arithmetic of a matrix product on panels of floats and of the 16-bit types, apart from the instructions' rules: this
// part is compiled once per instruction set of the host.
#pragma once

#include <cstdint>

namespace twin {

constexpr uint32_t kTile = 16;  // rows and columns of a block of C

enum class SumOrder { kSequential = 0, kTree = 1, kReversed = 2 };

// C += A B.
//   a: blocks of 16 rows x a_cols columns, row by row; ceil(k / a_cols) blocks side by side, then the next 16 rows.
//      a_cols is 16 where A and B hold what 16-bit numbers can hold, and 8 where they hold any floats.
//   b: panels of 16 columns, b_rows rows each, of which k count.
//   c: panels of 16 columns, c_rows rows each; rows from m on are left alone.
struct FloatProduct {
  uint32_t m, n, k, a_cols, b_rows, c_rows;
  const float *a, *b;
  float* c;
  SumOrder order;
};

// Transposes 16 x 16 floats, for `count` of them.
//   from: one after the other. to: each `stride` floats after the one before.
struct Transposition {
  const float* from;
  float* to;
  uint32_t count, stride;
};

struct HostArithmetic {
  void (*multiply)(const FloatProduct&);
  void (*transpose)(const Transposition&);
  void (*from_half)(const uint8_t* from, uint32_t count, float* out);
  void (*from_bf16)(const uint8_t* from, uint32_t count, float* out);
  void (*to_half)(const float* from, uint32_t count, uint8_t* out);  // to nearest, ties to even
};

// The widest form that the processor has; the bits of all are the same.
const HostArithmetic& Arithmetic();

}  // namespace twin

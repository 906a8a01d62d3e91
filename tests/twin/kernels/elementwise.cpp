// Every element-wise instruction, for every type it exists for, in its count, lane-count and bitmap forms.
#include "ub_image.h"

using namespace AscendC;
using image::Call;
using image::Operand;

namespace {

using Ub = LocalTensor<uint8_t>;

#define BINARY_FORMS(Api, T)                                                                                   \
  {                                                                                                            \
    auto d = Operand<T>(ub, c.at[0]), a = Operand<T>(ub, c.at[1]), b = Operand<T>(ub, c.at[2]);                \
    if (c.form == image::kCount) Api(d, a, b, c.count);                                                        \
    if (c.form == image::kLanes) Api(d, a, b, uint64_t(c.count), c.repeats, c.Binary());                       \
    if (c.form == image::kBits) Api(d, a, b, c.mask, c.repeats, c.Binary());                                   \
    return;                                                                                                    \
  }
#define UNARY_FORMS(Api, T)                                                                                    \
  {                                                                                                            \
    auto d = Operand<T>(ub, c.at[0]), a = Operand<T>(ub, c.at[1]);                                             \
    if (c.form == image::kCount) Api(d, a, c.count);                                                           \
    if (c.form == image::kLanes) Api(d, a, uint64_t(c.count), c.repeats, c.Unary());                           \
    if (c.form == image::kBits) Api(d, a, c.mask, c.repeats, c.Unary());                                       \
    return;                                                                                                    \
  }
#define SCALAR_FORMS(Api, T)                                                                                   \
  {                                                                                                            \
    auto d = Operand<T>(ub, c.at[0]), a = Operand<T>(ub, c.at[1]);                                             \
    const T s = c.Scalar<T>();                                                                                 \
    if (c.form == image::kCount) Api(d, a, s, c.count);                                                        \
    if (c.form == image::kLanes) Api(d, a, s, uint64_t(c.count), c.repeats, c.Unary());                        \
    if (c.form == image::kBits) Api(d, a, s, c.mask, c.repeats, c.Unary());                                    \
    return;                                                                                                    \
  }

template <typename T>
void Arithmetic(Call& c, Ub& ub) {
  switch (c.api) {
    case 0: BINARY_FORMS(Add, T)
    case 1: BINARY_FORMS(Sub, T)
    case 2: BINARY_FORMS(Mul, T)
    case 3: BINARY_FORMS(Max, T)
    case 4: BINARY_FORMS(Min, T)
    case 5: SCALAR_FORMS(Adds, T)
    case 6: SCALAR_FORMS(Muls, T)
    case 7: SCALAR_FORMS(Maxs, T)
    case 8: SCALAR_FORMS(Mins, T)
  }
}

template <typename T>
void Real(Call& c, Ub& ub) {
  switch (c.api) {
    case 10: BINARY_FORMS(Div, T)
    case 11: BINARY_FORMS(AddRelu, T)
    case 12: BINARY_FORMS(SubRelu, T)
    case 13: BINARY_FORMS(FusedMulAdd, T)
    case 14: BINARY_FORMS(FusedMulAddRelu, T)
    case 15: BINARY_FORMS(MulAddDst, T)
    case 16: SCALAR_FORMS(LeakyRelu, T)
    case 17: SCALAR_FORMS(Axpy, T)
    case 18: UNARY_FORMS(Exp, T)
    case 19: UNARY_FORMS(Ln, T)
    case 20: UNARY_FORMS(Sqrt, T)
    case 21: UNARY_FORMS(Rsqrt, T)
    case 22: UNARY_FORMS(Reciprocal, T)
    case 23: UNARY_FORMS(Abs, T)
    case 24: UNARY_FORMS(Relu, T)
  }
}

template <typename T>
void Bits(Call& c, Ub& ub) {
  switch (c.api) {
    case 30: BINARY_FORMS(And, T)
    case 31: BINARY_FORMS(Or, T)
    case 32: UNARY_FORMS(Not, T)
    case 33: SCALAR_FORMS(ShiftLeft, T)
    case 34: SCALAR_FORMS(ShiftRight, T)
  }
}

}  // namespace

TEST_KERNEL(elementwise_half) {
  image::Run(io, P, [](Call& c, Ub& ub) { c.api < 10 ? Arithmetic<half>(c, ub) : Real<half>(c, ub); });
}
TEST_KERNEL(elementwise_float) {
  image::Run(io, P, [](Call& c, Ub& ub) { c.api < 10 ? Arithmetic<float>(c, ub) : Real<float>(c, ub); });
}
TEST_KERNEL(elementwise_int32) {
  image::Run(io, P, [](Call& c, Ub& ub) {
    switch (c.api) {
      case 24: UNARY_FORMS(Relu, int32_t)
      case 33: SCALAR_FORMS(ShiftLeft, int32_t)
      case 34: SCALAR_FORMS(ShiftRight, int32_t)
      default: Arithmetic<int32_t>(c, ub);
    }
  });
}
TEST_KERNEL(elementwise_int16) {
  image::Run(io, P, [](Call& c, Ub& ub) {
    switch (c.api) {
      case 11: BINARY_FORMS(AddRelu, int16_t)
      case 12: BINARY_FORMS(SubRelu, int16_t)
      default: c.api < 10 ? Arithmetic<int16_t>(c, ub) : Bits<int16_t>(c, ub);
    }
  });
}
TEST_KERNEL(elementwise_uint16) {
  image::Run(io, P, [](Call& c, Ub& ub) { Bits<uint16_t>(c, ub); });
}

// Half products added to floats, 64 lanes in a repeat. p as above; api 0: MulAddDst, 1: Axpy
TEST_KERNEL(accumulate_halves) {
  image::Run(io, P, [](Call& c, Ub& ub) {
    auto d = Operand<float>(ub, c.at[0]);
    auto a = Operand<half>(ub, c.at[1]), b = Operand<half>(ub, c.at[2]);
    const half s = c.Scalar<half>();
    if (c.api == 0) {
      if (c.form == image::kCount) MulAddDst(d, a, b, c.count);
      if (c.form == image::kLanes) MulAddDst(d, a, b, uint64_t(c.count), c.repeats, c.Binary());
      if (c.form == image::kBits) MulAddDst(d, a, b, c.mask, c.repeats, c.Binary());
    } else {
      if (c.form == image::kCount) Axpy(d, a, s, c.count);
      if (c.form == image::kLanes) Axpy(d, a, s, uint64_t(c.count), c.repeats, c.Unary());
      if (c.form == image::kBits) Axpy(d, a, s, c.mask, c.repeats, c.Unary());
    }
  });
}

// The count form of bit operations takes 32-bit integers too. api 0: And, 1: Or
TEST_KERNEL(bits_32) {
  image::Run(io, P, [](Call& c, Ub& ub) {
    auto d = Operand<uint32_t>(ub, c.at[0]), a = Operand<uint32_t>(ub, c.at[1]), b = Operand<uint32_t>(ub, c.at[2]);
    if (c.api == 0) {
      And(d, a, b, c.count);
    } else {
      Or(d, a, b, c.count);
    }
  });
}

// A rounding shift. p as above
TEST_KERNEL(shift_round) {
  image::Run(io, P, [](Call& c, Ub& ub) {
    ShiftRight(Operand<int32_t>(ub, c.at[0]), Operand<int32_t>(ub, c.at[1]), c.Scalar<int32_t>(), uint64_t(c.count),
               c.repeats, c.Unary(), true);
  });
}

// Mask set beforehand in counter mode: a count of elements, whatever repeatTime says.
TEST_KERNEL(counter_mode) {
  image::Run(io, P, [](Call& c, Ub& ub) {
    SetMaskCount();
    SetVectorMask<float, MaskMode::COUNTER>(c.count);
    Add<float, false>(Operand<float>(ub, c.at[0]), Operand<float>(ub, c.at[1]), Operand<float>(ub, c.at[2]),
                      MASK_PLACEHOLDER, 1, c.Binary());
    SetMaskNorm();
    ResetMask();
  });
}

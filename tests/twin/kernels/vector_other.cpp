// Conversions, reductions, comparisons and selections.
#include "ub_image.h"

using namespace AscendC;
using image::Call;
using image::Operand;

namespace {

using Ub = LocalTensor<uint8_t>;

template <typename D, typename S>
void Convert(Call& c, Ub& ub) {
  const auto mode = RoundMode(c.extra);
  auto d = Operand<D>(ub, c.at[0]);
  auto s = Operand<S>(ub, c.at[1]);
  if (c.form == image::kCount) Cast(d, s, mode, uint32_t(c.count));
  if (c.form == image::kLanes) Cast(d, s, mode, uint64_t(c.count), c.repeats, c.Unary());
  if (c.form == image::kBits) Cast(d, s, mode, c.mask, c.repeats, c.Unary());
}

#define REDUCE_WHOLE(Api)                                                                                          \
  if (c.form == image::kBits) {                                                                                    \
    Api(d, s, c.mask, c.repeats, int32_t(c.rep[0]), int32_t(c.blk[1]), int32_t(c.rep[1]), ReduceOrder(c.extra));   \
  } else {                                                                                                         \
    Api(d, s, c.count, c.repeats, int32_t(c.rep[0]), int32_t(c.blk[1]), int32_t(c.rep[1]), ReduceOrder(c.extra));  \
  }                                                                                                                \
  return
#define REDUCE_BLOCK(Api)                                                                                          \
  if (c.form == image::kBits) {                                                                                    \
    Api(d, s, int32_t(c.repeats), c.mask, int32_t(c.rep[0]), int32_t(c.blk[1]), int32_t(c.rep[1]));                \
  } else {                                                                                                         \
    Api(d, s, int32_t(c.repeats), c.count, int32_t(c.rep[0]), int32_t(c.blk[1]), int32_t(c.rep[1]));               \
  }                                                                                                                \
  return

template <typename T>
void Reduce(Call& c, Ub& ub) {
  auto d = Operand<T>(ub, c.at[0]), s = Operand<T>(ub, c.at[1]), tmp = Operand<T>(ub, c.at[2]);
  switch (c.api) {
    case 0:
      if (c.form == image::kBits) {
        WholeReduceSum(d, s, c.mask, c.repeats, int32_t(c.rep[0]), int32_t(c.blk[1]), int32_t(c.rep[1]));
      } else {
        WholeReduceSum(d, s, c.count, c.repeats, int32_t(c.rep[0]), int32_t(c.blk[1]), int32_t(c.rep[1]));
      }
      return;
    case 1: REDUCE_WHOLE(WholeReduceMax);
    case 2: REDUCE_WHOLE(WholeReduceMin);
    case 3: REDUCE_BLOCK(BlockReduceSum);
    case 4: REDUCE_BLOCK(BlockReduceMax);
    case 5: REDUCE_BLOCK(BlockReduceMin);
    case 6: REDUCE_BLOCK(PairReduceSum);
    case 7:
      if (c.form == image::kCount) ReduceSum(d, s, tmp, c.count);
      else ReduceSum(d, s, tmp, c.count, c.repeats, int32_t(c.rep[1]));
      return;
    case 8:
      if (c.form == image::kCount) ReduceMax(d, s, tmp, c.count, c.extra != 0);
      else ReduceMax(d, s, tmp, c.count, c.repeats, int32_t(c.rep[1]), c.extra != 0);
      return;
    case 9:
      if (c.form == image::kCount) ReduceMin(d, s, tmp, c.count, c.extra != 0);
      else ReduceMin(d, s, tmp, c.count, c.repeats, int32_t(c.rep[1]), c.extra != 0);
      return;
  }
}

template <typename T>
void CompareThem(Call& c, Ub& ub) {
  auto d = Operand<uint8_t>(ub, c.at[0]);
  auto a = Operand<T>(ub, c.at[1]), b = Operand<T>(ub, c.at[2]);
  const auto mode = CMPMODE(c.extra);
  if (c.api == 0) {
    if (c.form == image::kCount) Compare(d, a, b, mode, uint32_t(c.count));
    else Compare(d, a, b, mode, uint64_t(c.count), c.repeats, c.Binary());
  } else {
    const UnaryRepeatParams p(c.blk[0], c.blk[1], c.rep[0], c.rep[1]);
    if (c.form == image::kCount) CompareScalar(d, a, c.Scalar<T>(), mode, uint32_t(c.count));
    else CompareScalar(d, a, c.Scalar<T>(), mode, uint64_t(c.count), c.repeats, p);
  }
}

// The selecting bits are the fourth operand.
template <typename T>
void SelectFrom(Call& c, Ub& ub) {
  auto bits = Operand<uint8_t>(ub, c.at_tmp);
  auto d = Operand<T>(ub, c.at[0]), a = Operand<T>(ub, c.at[1]), b = Operand<T>(ub, c.at[2]);
  const auto mode = SELMODE(c.extra);
  if (mode == SELMODE::VSEL_TENSOR_SCALAR_MODE) {
    if (c.form == image::kCount) Select(d, bits, a, c.Scalar<T>(), mode, uint32_t(c.count));
    else Select(d, bits, a, c.Scalar<T>(), mode, uint64_t(c.count), c.repeats, c.Binary());
  } else {
    if (c.form == image::kCount) Select(d, bits, a, b, mode, uint32_t(c.count));
    else Select(d, bits, a, b, mode, uint64_t(c.count), c.repeats, c.Binary());
  }
}

}  // namespace

// api: a pair of types
TEST_KERNEL(convert) {
  image::Run(io, P, [](Call& c, Ub& ub) {
    switch (c.api) {
      case 0: return Convert<float, half>(c, ub);
      case 1: return Convert<float, bfloat16_t>(c, ub);
      case 2: return Convert<half, float>(c, ub);
      case 3: return Convert<bfloat16_t, float>(c, ub);
      case 4: return Convert<float, float>(c, ub);
      case 5: return Convert<float, int32_t>(c, ub);
      case 6: return Convert<int32_t, float>(c, ub);
      case 7: return Convert<int32_t, half>(c, ub);
      case 8: return Convert<int32_t, bfloat16_t>(c, ub);
      case 9: SetDeqScale(half(0.25f)); return Convert<half, int32_t>(c, ub);
      case 10: return Convert<int16_t, half>(c, ub);
      case 11: return Convert<half, int16_t>(c, ub);
      case 12: return Convert<int16_t, float>(c, ub);
      case 13: return Convert<float, int16_t>(c, ub);
      case 14: return Convert<int8_t, half>(c, ub);
      case 15: return Convert<uint8_t, half>(c, ub);
      case 16: return Convert<half, int8_t>(c, ub);
      case 17: return Convert<half, uint8_t>(c, ub);
      case 18: return Convert<int16_t, int32_t>(c, ub);
    }
  });
}
TEST_KERNEL(reduce_half) { image::Run(io, P, Reduce<half>); }
TEST_KERNEL(reduce_float) { image::Run(io, P, Reduce<float>); }
TEST_KERNEL(compare_half) { image::Run(io, P, CompareThem<half>); }
TEST_KERNEL(compare_float) { image::Run(io, P, CompareThem<float>); }
TEST_KERNEL(compare_int32) { image::Run(io, P, CompareThem<int32_t>); }
TEST_KERNEL(select_half) { image::Run(io, P, SelectFrom<half>); }
TEST_KERNEL(select_float) { image::Run(io, P, SelectFrom<float>); }

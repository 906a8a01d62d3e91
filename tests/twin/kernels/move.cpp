// Fills, broadcasts, gathers, copies and transposes inside UB, and the two composed functions.
#include "ub_image.h"

using namespace AscendC;
using image::Call;
using image::Operand;

namespace {

using Ub = LocalTensor<uint8_t>;

template <typename T>
void Fill(Call& c, Ub& ub) {
  auto d = Operand<T>(ub, c.at[0]);
  const T v = c.Scalar<T>();
  if (c.form == image::kCount) Duplicate(d, v, c.count);
  if (c.form == image::kLanes) Duplicate(d, v, uint64_t(c.count), c.repeats, c.blk[0], c.rep[0]);
  if (c.form == image::kBits) Duplicate(d, v, c.mask, c.repeats, c.blk[0], c.rep[0]);
}

template <typename T>
void GatherFrom(Call& c, Ub& ub) {
  auto d = Operand<T>(ub, c.at[0]), s = Operand<T>(ub, c.at[1]);
  auto offsets = Operand<uint32_t>(ub, c.at[2]);
  if (c.form == image::kCount) Gather(d, s, offsets, uint32_t(c.extra), uint32_t(c.count));
  else Gather(d, s, offsets, uint32_t(c.extra), uint64_t(c.count), c.repeats, c.rep[0]);
}

// The number of selected elements goes behind the packed ones, at the fourth operand.
template <typename T>
void Pack(Call& c, Ub& ub) {
  uint64_t selected = 0;
  GatherMask(Operand<T>(ub, c.at[0]), Operand<T>(ub, c.at[1]), uint8_t(c.extra), c.form != image::kCount,
             uint32_t(c.count), GatherMaskParams(c.blk[1], c.repeats, c.rep[1], 0), selected);
  PipeBarrier<PIPE_ALL>();
  Duplicate(Operand<uint32_t>(ub, c.at_tmp), uint32_t(selected), 8);
}

template <typename T>
void CopyLanes(Call& c, Ub& ub) {
  auto d = Operand<T>(ub, c.at[0]), s = Operand<T>(ub, c.at[1]);
  const CopyRepeatParams p(c.blk[0], c.blk[1], c.rep[0], c.rep[1]);
  if (c.form == image::kLanes) Copy(d, s, uint64_t(c.count), c.repeats, p);
  else Copy(d, s, c.mask, c.repeats, p);
}

// api 0 by tensors, 1 by addresses; block i of dst and src starts at i * blk blocks.
template <typename T>
void Blocks16(Call& c, Ub& ub) {
  const TransDataTo5HDParams p(false, false, c.repeats, c.rep[0], c.rep[1]);
  auto d = Operand<T>(ub, c.at[0]), s = Operand<T>(ub, c.at[1]);
  const auto at = [](LocalTensor<T>& t, int64_t i, int64_t blk) { return t[uint32_t(i * blk * 32 / int64_t(sizeof(T)))]; };
#define LIST(t, blk)                                                                                              \
  {at(t, 0, blk), at(t, 1, blk), at(t, 2, blk), at(t, 3, blk), at(t, 4, blk), at(t, 5, blk), at(t, 6, blk),       \
   at(t, 7, blk), at(t, 8, blk), at(t, 9, blk), at(t, 10, blk), at(t, 11, blk), at(t, 12, blk), at(t, 13, blk),   \
   at(t, 14, blk), at(t, 15, blk)}
  LocalTensor<T> to[16] = LIST(d, c.blk[0]), from[16] = LIST(s, c.blk[1]);
#undef LIST
  if (c.extra == 0) {
    TransDataTo5HD(to, from, p);
    return;
  }
  uint64_t to_address[16], from_address[16];
  for (int i = 0; i < 16; ++i) {
    to_address[i] = uint64_t(to[i].GetPhyAddr());
    from_address[i] = uint64_t(from[i].GetPhyAddr());
  }
  TransDataTo5HD<T>(to_address, from_address, p);
}

template <typename T>
void Composed(Call& c, Ub& ub) {
  auto d = Operand<T>(ub, c.at[0]), s = Operand<T>(ub, c.at[1]);
  auto tmp = Operand<uint8_t>(ub, c.at_tmp);
  if (c.extra == 0) Erf(d, s, tmp, uint32_t(c.count));
  else Tanh(d, s, tmp, uint32_t(c.count));
}

}  // namespace

// api: 0 Duplicate, 1 Brcb, 2 CreateVecIndex, 3 Gather, 4 GatherMask, 5 Copy, 6 TransDataTo5HD, 7 Transpose, 8 Gatherb,
// 9 Erf and Tanh
TEST_KERNEL(move_half) {
  image::Run(io, P, [](Call& c, Ub& ub) {
    switch (c.api) {
      case 0: return Fill<half>(c, ub);
      case 1: return Brcb(Operand<half>(ub, c.at[0]), Operand<half>(ub, c.at[1]), c.repeats,
                          BrcbRepeatParams(c.blk[0], c.rep[0]));
      case 2: return CreateVecIndex(Operand<half>(ub, c.at[0]), c.Scalar<half>(), uint32_t(c.count));
      case 3: return GatherFrom<half>(c, ub);
      case 4: return Pack<half>(c, ub);
      case 5: return CopyLanes<half>(c, ub);
      case 6: return Blocks16<half>(c, ub);
      case 7: return Transpose(Operand<half>(ub, c.at[0]), Operand<half>(ub, c.at[1]));
      case 8: return Gatherb(Operand<uint16_t>(ub, c.at[0]), Operand<uint16_t>(ub, c.at[1]),
                             Operand<uint32_t>(ub, c.at[2]), c.repeats, GatherRepeatParams(c.blk[0], c.rep[0]));
      case 9: return Composed<half>(c, ub);
    }
  });
}
TEST_KERNEL(move_float) {
  image::Run(io, P, [](Call& c, Ub& ub) {
    switch (c.api) {
      case 0: return Fill<float>(c, ub);
      case 1: return Brcb(Operand<float>(ub, c.at[0]), Operand<float>(ub, c.at[1]), c.repeats,
                          BrcbRepeatParams(c.blk[0], c.rep[0]));
      case 2: return CreateVecIndex(Operand<float>(ub, c.at[0]), c.Scalar<float>(), uint32_t(c.count));
      case 3: return GatherFrom<float>(c, ub);
      case 4: return Pack<float>(c, ub);
      case 5: return CopyLanes<float>(c, ub);
      case 6: return Blocks16<float>(c, ub);
      case 8: return Gatherb(Operand<uint32_t>(ub, c.at[0]), Operand<uint32_t>(ub, c.at[1]),
                             Operand<uint32_t>(ub, c.at[2]), c.repeats, GatherRepeatParams(c.blk[0], c.rep[0]));
      case 9: return Composed<float>(c, ub);
    }
  });
}

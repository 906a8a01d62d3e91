// One instruction on an image of UB: the input is copied in, the instruction works on operands at given places, and the
// whole image is dumped, so a test sees what was written and what was left alone.
#pragma once

#include "harness.h"

namespace image {

enum Form { kCount = 0, kLanes, kBits };

// p: bytes, api, form, count or lanes, repeats, 4 x 16 mask bits, offsets of dst/a/b, block strides, repeat strides,
//    bits of the scalar, one more number for the api, offset of a fourth operand
struct Call {
  uint32_t bytes, api;
  Form form;
  int32_t count;
  uint8_t repeats;
  uint64_t mask[2];
  uint32_t at[3];
  int64_t blk[3], rep[3];
  uint32_t scalar;
  int64_t extra;
  uint32_t at_tmp;
  explicit Call(const Params& P)
      : bytes(uint32_t(P[0])), api(uint32_t(P[1])), form(Form(P[2])), count(int32_t(P[3])), repeats(uint8_t(P[4])),
        mask{uint64_t(P[5]) | uint64_t(P[6]) << 32, uint64_t(P[7]) | uint64_t(P[8]) << 32},
        at{uint32_t(P[9]), uint32_t(P[10]), uint32_t(P[11])}, blk{P[12], P[13], P[14]}, rep{P[15], P[16], P[17]},
        scalar(uint32_t(P[18])), extra(P[19]), at_tmp(uint32_t(P[20])) {}

  template <typename T>
  T Scalar() const {
    T value;
    std::memcpy(&value, &scalar, sizeof(T));
    return value;
  }
  AscendC::UnaryRepeatParams Unary() const { return {blk[0], blk[1], rep[0], rep[1]}; }
  AscendC::BinaryRepeatParams Binary() const { return {blk[0], blk[1], blk[2], rep[0], rep[1], rep[2]}; }
};

// Runs `f(call, ub)` between the copy in and the dump.
template <typename F>
void Run(GM_ADDR* io, const Params& P, F f) {
  using namespace AscendC;
  Call call(P);
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, call.bytes);
  LocalTensor<uint8_t> ub = buf.Get<uint8_t>();
  DataCopy(ub, Global<uint8_t>(io[0]), call.bytes);
  PipeBarrier<PIPE_ALL>();
  f(call, ub);
  PipeBarrier<PIPE_ALL>();
  DataCopy(Global<uint8_t>(io[1]), ub, call.bytes);
}

// The operand of type T that starts `at` bytes into the image.
template <typename T>
AscendC::LocalTensor<T> Operand(const AscendC::LocalTensor<uint8_t>& ub, uint32_t at) {
  return ub[at].ReinterpretCast<T>();
}

}  // namespace image

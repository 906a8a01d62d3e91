// A program given as numbers: loads, additions and stores over four regions of UB, flags and barriers between them. The
// tests make programs at random and know by another way whether they are ordered.
#include "harness.h"

using namespace AscendC;

namespace {

constexpr uint32_t kRow = 16;  // floats of a region

template <HardEvent event>
void FlagOp(bool set, int32_t id) {
  if (set) {
    SetFlag<event>(id);
  } else {
    WaitFlag<event>(id);
  }
}

void AnyFlag(bool set, int64_t event, int32_t id) {
  switch (event) {
    case 0: return FlagOp<HardEvent::MTE2_V>(set, id);
    case 1: return FlagOp<HardEvent::V_MTE3>(set, id);
    case 2: return FlagOp<HardEvent::V_MTE2>(set, id);
    case 3: return FlagOp<HardEvent::MTE3_V>(set, id);
    case 4: return FlagOp<HardEvent::MTE3_MTE2>(set, id);
    default: return FlagOp<HardEvent::MTE2_MTE3>(set, id);
  }
}

}  // namespace

// p: the number of operations, then one each: kind * 10000 + a * 100 + b. in: a row per operation; out: the same
TEST_KERNEL(program) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 4 * kRow * 4);
  LocalTensor<float> t = buf.Get<float>();
  GlobalTensor<float> in = Global<float>(io[0]), out = Global<float>(io[1]);
  InitOutput<float>(out, kRow * uint32_t(P[0]), 0.0f);
  Duplicate(t, 1.0f, 4 * kRow);
  PipeBarrier<PIPE_ALL>();
  for (uint32_t i = 0; i < uint32_t(P[0]); ++i) {
    const int64_t op = P[1 + int(i)], kind = op / 10000, a = op / 100 % 100, b = op % 100;
    const LocalTensor<float> x = t[uint32_t(a) * kRow], y = t[uint32_t(b) * kRow];
    if (kind == 1) DataCopy(x, in[i * kRow], kRow);
    if (kind == 2) Adds(y, x, 1.0f, kRow);
    if (kind == 3) DataCopy(out[i * kRow], x, kRow);
    if (kind == 4) AnyFlag(true, a, int32_t(b));
    if (kind == 5) AnyFlag(false, a, int32_t(b));
    if (kind == 6 && a == 0) PipeBarrier<PIPE_V>();
    if (kind == 6 && a == 1) PipeBarrier<PIPE_MTE2>();
    if (kind == 6 && a == 2) PipeBarrier<PIPE_MTE3>();
    if (kind == 6 && a == 3) PipeBarrier<PIPE_ALL>();
  }
}

// One kernel per data movement: what goes into the local memory is dumped to the output byte for byte.
#include "harness.h"

using namespace AscendC;

namespace {

// Copies a local memory to the output as it is.
void Dump(GM_ADDR out, const LocalTensor<uint8_t>& t, int64_t bytes) {
  PipeBarrier<PIPE_ALL>();
  DataCopy(Global<uint8_t>(out), t, uint32_t(bytes));
}

template <typename T>
void PadIn(GM_ADDR* io, const Params& P, const LocalTensor<uint8_t>& ub) {
  T value;
  const int64_t bits = P[8];
  std::memcpy(&value, &bits, sizeof(T));
  DataCopyPad(ub.ReinterpretCast<T>()[uint32_t(P[9] / int64_t(sizeof(T)))], Global<T>(io[0])[uint64_t(P[10])],
              DataCopyExtParams(P[0], P[1], P[2], P[3], 0), DataCopyPadExtParams<T>(P[5] != 0, P[6], P[7], value));
}

}  // namespace

// p: blockCount blockLen srcStride dstStride local_bytes dst_offset
TEST_KERNEL(copy_in) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, uint32_t(P[4]));
  LocalTensor<uint8_t> ub = buf.Get<uint8_t>();
  DataCopy(ub[uint32_t(P[5])], Global<uint8_t>(io[0]), DataCopyParams(P[0], P[1], P[2], P[3]));
  Dump(io[1], ub, P[4]);
}

// p: blockCount blockLen srcStride dstStride local_bytes
TEST_KERNEL(copy_out) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, uint32_t(P[4]));
  LocalTensor<uint8_t> ub = buf.Get<uint8_t>();
  DataCopy(ub, Global<uint8_t>(io[0]), uint32_t(P[4]));
  PipeBarrier<PIPE_ALL>();
  DataCopy(Global<uint8_t>(io[1]), ub, DataCopyParams(P[0], P[1], P[2], P[3]));
}

// p: count of bytes, element bytes
TEST_KERNEL(copy_count) {
  TPipe pipe;
  TQueBind<TPosition::VECIN, TPosition::VECOUT, 1> que;
  pipe.InitBuffer(que, 2, uint32_t(P[0] + 64));
  LocalTensor<half> t = que.AllocTensor<half>();
  DataCopy(t, Global<half>(io[0]), uint32_t(P[0] / 2));
  que.EnQue(t);
  LocalTensor<half> u = que.DeQue<half>();
  DataCopy(Global<half>(io[1]), u, uint32_t(P[0] / 2));
  que.FreeTensor(u);
}

// p: blockCount blockLen(bytes) srcStride(bytes) dstStride(blocks) local_bytes isPad left right value dst_offset
//    src_offset(elements) element_bytes
TEST_KERNEL(pad_in) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, uint32_t(P[4]));
  LocalTensor<uint8_t> ub = buf.Get<uint8_t>();
  if (P[11] == 1) PadIn<uint8_t>(io, P, ub);
  if (P[11] == 2) PadIn<half>(io, P, ub);
  if (P[11] == 4) PadIn<float>(io, P, ub);
  Dump(io[1], ub, P[4]);
}

// p: blockCount blockLen(bytes) srcStride(blocks) dstStride(bytes) local_bytes dst_offset
TEST_KERNEL(pad_out) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, uint32_t(P[4]));
  LocalTensor<uint8_t> ub = buf.Get<uint8_t>();
  DataCopy(ub, Global<uint8_t>(io[0]), uint32_t(P[4]));
  PipeBarrier<PIPE_ALL>();
  DataCopyPad(Global<uint8_t>(io[1])[uint64_t(P[5])], ub, DataCopyExtParams(P[0], P[1], P[2], P[3], 0));
}

// p: blockCount blockLen srcStride dstStride local_bytes
TEST_KERNEL(copy_ub) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> from, to;
  pipe.InitBuffer(from, uint32_t(P[4]));
  pipe.InitBuffer(to, uint32_t(P[4]));
  LocalTensor<uint8_t> a = from.Get<uint8_t>(), b = to.Get<uint8_t>();
  DataCopy(a, Global<uint8_t>(io[0]), uint32_t(P[4]));
  PipeBarrier<PIPE_ALL>();
  DataCopy(b, a, DataCopyParams(P[0], P[1], P[2], P[3]));
  Dump(io[1], b, P[4]);
}

// p: ndNum nValue dValue srcNdMatrixStride srcDValue dstNzC0Stride dstNzNStride dstNzMatrixStride l1_bytes float src_off
TEST_KERNEL(nd2nz) {
  TPipe pipe;
  TBuf<TPosition::A1> buf;
  pipe.InitBuffer(buf, uint32_t(P[8]));
  LocalTensor<uint8_t> l1 = buf.Get<uint8_t>();
  const Nd2NzParams params(P[0], P[1], P[2], P[3], P[4], P[5], P[6], P[7]);
  if (P[9]) {
    DataCopy(l1.ReinterpretCast<float>(), Global<float>(io[0])[uint64_t(P[10])], params);
  } else {
    DataCopy(l1.ReinterpretCast<half>(), Global<half>(io[0])[uint64_t(P[10])], params);
  }
  Dump(io[1], l1, P[8]);
}

// p: count value atomic(0 none, 1 add, 2 max, 3 min); fp32. Two cores add to the same output.
TEST_KERNEL(atomic_out) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  const uint32_t n = uint32_t(P[0]);
  pipe.InitBuffer(buf, n * 4);
  LocalTensor<float> ub = buf.Get<float>();
  InitOutput<float>(Global<float>(io[1])[n * uint32_t(GetBlockIdx())], n, float(P[1]));
  DataCopy(ub, Global<float>(io[0])[n * uint32_t(GetBlockIdx())], n);
  SyncAll();
  if (P[2] == 1) SetAtomicAdd<float>();
  if (P[2] == 2) SetAtomicMax<float>();
  if (P[2] == 3) SetAtomicMin<float>();
  for (int i = 0; i < 2; ++i) {
    if (i == 1) PipeBarrier<PIPE_MTE3>();
    DataCopy(Global<float>(io[1])[n * (P[2] ? uint32_t(i) : uint32_t(GetBlockIdx()))], ub, n);
  }
  SetAtomicNone();
}

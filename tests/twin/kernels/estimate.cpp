// What the public measurements of the reference ran, as far as they are described: streams from global memory, chains of
// products, small reductions, moves out of L1 and L0C. The tests price them and compare.
#include "harness.h"

using namespace AscendC;

namespace {

constexpr uint32_t kRows = 64;  // of a tile

}  // namespace

// Reads a matrix of halves in tiles of 64 rows.
// p: matrix rows, row bytes of a tile, pitch of the matrix in bytes, tiles across, rows per instruction, passes, buffers
TEST_KERNEL(estimate_stream) {
  TPipe pipe;
  TQue<TPosition::VECIN, 1> que;
  const uint32_t row = uint32_t(P[1]), across = uint32_t(P[3]), rows = uint32_t(P[4]);
  const uint32_t padded = (row + 31) / 32 * 32, total = uint32_t(P[0]) / kRows * across;
  pipe.InitBuffer(que, uint8_t(P[6]), kRows * padded);
  for (int64_t pass = 0; pass < P[5]; ++pass) {
    for (uint32_t tile = uint32_t(GetBlockIdx()); tile < total; tile += uint32_t(GetBlockNum())) {
      LocalTensor<uint8_t> x = que.AllocTensor<uint8_t>();
      const uint64_t from = uint64_t(tile / across) * kRows * uint64_t(P[2]) + uint64_t(tile % across) * row;
      for (uint32_t r = 0; r < kRows; r += rows) {
        DataCopyPad(x[r * padded], Global<uint8_t>(io[0])[from + r * uint64_t(P[2])],
                    DataCopyExtParams(rows, row, uint32_t(P[2]) - row, 0, 0), DataCopyPadExtParams<uint8_t>());
      }
      que.EnQue(x);
      x = que.DeQue<uint8_t>();
      que.FreeTensor(x);
    }
  }
}

// Reads a matrix of halves into L1 as fractals, 128 rows at a time. p: matrix rows, columns of a tile, pitch in elements,
// tiles across
TEST_KERNEL(estimate_nd2nz) {
  TPipe pipe;
  TBuf<TPosition::A1> buf;
  constexpr uint32_t kTall = 128;
  const uint32_t cols = uint32_t(P[1]), across = uint32_t(P[3]), total = uint32_t(P[0]) / kTall * across;
  pipe.InitBuffer(buf, 2 * kTall * cols * 2);
  uint32_t turn = 0;
  SetFlag<HardEvent::MTE1_MTE2>(0);
  SetFlag<HardEvent::MTE1_MTE2>(1);
  for (uint32_t tile = uint32_t(GetBlockIdx()); tile < total; tile += uint32_t(GetBlockNum()), turn ^= 1) {
    LocalTensor<half> l1 = buf.Get<half>()[turn * kTall * cols];
    const uint64_t from = uint64_t(tile / across) * kTall * uint64_t(P[2]) + uint64_t(tile % across) * cols;
    WaitFlag<HardEvent::MTE1_MTE2>(int32_t(turn));
    DataCopy(l1, Global<half>(io[0])[from], Nd2NzParams(1, kTall, cols, 0, uint16_t(P[2]), kTall, 1, 0));
    SetFlag<HardEvent::MTE2_MTE1>(0);
    WaitFlag<HardEvent::MTE2_MTE1>(0);
    SetFlag<HardEvent::MTE1_MTE2>(int32_t(turn));
  }
  WaitFlag<HardEvent::MTE1_MTE2>(0);
  WaitFlag<HardEvent::MTE1_MTE2>(1);
}

// out = a + b over halves, double-buffered. p: elements, of a tile
TEST_KERNEL(estimate_add) {
  TPipe pipe;
  TQue<TPosition::VECIN, 1> a_que, b_que;
  TQue<TPosition::VECOUT, 1> out_que;
  TBuf<TPosition::VECCALC> spacer;  // keeps the operands in different banks
  const uint32_t n = uint32_t(P[1]);
  pipe.InitBuffer(a_que, 2, n * 2);
  pipe.InitBuffer(spacer, 256);
  pipe.InitBuffer(b_que, 2, n * 2);
  pipe.InitBuffer(out_que, 2, n * 2);
  for (uint64_t tile = uint64_t(GetBlockIdx()); tile < uint64_t(P[0]) / n; tile += uint64_t(GetBlockNum())) {
    LocalTensor<half> a = a_que.AllocTensor<half>(), b = b_que.AllocTensor<half>();
    DataCopy(a, Global<half>(io[0])[tile * n], n);
    a_que.EnQue(a);
    DataCopy(b, Global<half>(io[1])[tile * n], n);
    b_que.EnQue(b);
    a = a_que.DeQue<half>();
    b = b_que.DeQue<half>();
    LocalTensor<half> y = out_que.AllocTensor<half>();
    Add(y, a, b, int32_t(n));
    a_que.FreeTensor(a);
    b_que.FreeTensor(b);
    out_que.EnQue(y);
    y = out_que.DeQue<half>();
    DataCopy(Global<half>(io[2])[tile * n], y, n);
    out_que.FreeTensor(y);
  }
}

// C[m, n] += A[m, k] B[k, n], P[3] times, operands in place. p: m n k times
TEST_KERNEL(estimate_mmad) {
  TPipe pipe;
  TBuf<TPosition::A1> l1_buf;
  TBuf<TPosition::A2> a_buf;
  TBuf<TPosition::B2> b_buf;
  TBuf<TPosition::CO1> c_buf;
  const uint32_t m = uint32_t(P[0]), n = uint32_t(P[1]), k = uint32_t(P[2]);
  pipe.InitBuffer(l1_buf, 256);
  pipe.InitBuffer(a_buf, m * k * 2);
  pipe.InitBuffer(b_buf, k * n * 2);
  pipe.InitBuffer(c_buf, m * n * 4);
  InitConstValue(a_buf.Get<half>(), InitConstValueParams<half>(1, uint16_t(m * k / 256), 0, half(1.0f)));
  InitConstValue(b_buf.Get<half>(), InitConstValueParams<half>(1, uint16_t(k * n / 256), 0, half(1.0f)));
  SetFlag<HardEvent::MTE1_M>(0);
  WaitFlag<HardEvent::MTE1_M>(0);
  for (int64_t i = 0; i < P[3]; ++i) {
    Mmad(c_buf.Get<float>(), a_buf.Get<half>(), b_buf.Get<half>(),
         MmadParams(uint16_t(m), uint16_t(n), uint16_t(k), 0, false, i == 0));
  }
}

// The same, each product waiting for the one before. p: m times n k
TEST_KERNEL(estimate_mmad_once) {
  TPipe pipe;
  TBuf<TPosition::A2> a_buf;
  TBuf<TPosition::B2> b_buf;
  TBuf<TPosition::CO1> c_buf;
  pipe.InitBuffer(a_buf, 64 * 1024);
  pipe.InitBuffer(b_buf, 64 * 1024);
  pipe.InitBuffer(c_buf, 128 * 1024);
  for (int64_t i = 0; i < P[1]; ++i) {
    PipeBarrier<PIPE_M>();
    Mmad(c_buf.Get<float>(), a_buf.Get<half>(), b_buf.Get<half>(),
         MmadParams(uint16_t(P[0]), uint16_t(P[2]), uint16_t(P[3]), 0, false, true));
  }
}

// P[1] times the sum of 256 floats, each step waiting for the one before.
// p: 0 blocks then whole, 1 whole twice, 2 blocks three times; times
TEST_KERNEL(estimate_reduce) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 2048);
  LocalTensor<float> x = buf.Get<float>(), y = x[256], z = x[320];
  Duplicate(x, 1.0f, 256);
  Duplicate(y, 0.0f, 128);
  for (int64_t i = 0; i < P[1]; ++i) {
    PipeBarrier<PIPE_V>();
    if (P[0] == 1) {
      WholeReduceSum(y, x, 64, 4, 1, 1, 8);
      PipeBarrier<PIPE_V>();
      WholeReduceSum(z, y, 4, 1, 1, 1, 8);
      continue;
    }
    BlockReduceSum(y, x, 4, 64, 1, 1, 8);
    PipeBarrier<PIPE_V>();
    if (P[0] == 0) {
      WholeReduceSum(z, y, 32, 1, 1, 1, 8);
      continue;
    }
    BlockReduceSum(z, y, 1, 32, 1, 1, 8);
    PipeBarrier<PIPE_V>();
    BlockReduceSum(y, z, 1, 4, 1, 1, 8);
  }
}

// P[1] loads of 32 KB from L1. p: 0 to L0A, 1 to L0B (2D), 2 to L0A, 3 to L0B (3D); times
TEST_KERNEL(estimate_load) {
  TPipe pipe;
  TBuf<TPosition::A1> l1_buf;
  TBuf<TPosition::A2> a_buf;
  TBuf<TPosition::B2> b_buf;
  pipe.InitBuffer(l1_buf, 32 * 1024);
  pipe.InitBuffer(a_buf, 32 * 1024);
  pipe.InitBuffer(b_buf, 32 * 1024);
  LocalTensor<half> l1 = l1_buf.Get<half>(), a = a_buf.Get<half>(), b = b_buf.Get<half>();
  InitConstValue(l1, InitConstValueParams<half>(1, 1024, 0, half(1.0f)));
  SetFlag<HardEvent::MTE2_MTE1>(0);
  WaitFlag<HardEvent::MTE2_MTE1>(0);
  LoadData3DParamsV2<half> block;
  block.l1H = 1;
  block.l1W = 128;
  block.channelSize = 128;
  block.kExtension = 128;
  block.mExtension = 128;
  block.strideW = block.strideH = block.filterW = block.filterH = 1;
  block.dilationFilterW = block.dilationFilterH = 1;
  for (int64_t i = 0; i < P[1]; ++i) {
    PipeBarrier<PIPE_MTE1>();
    if (P[0] == 0) LoadData(a, l1, LoadData2DParams(0, 64, 1, 0, 0, false, 0));
    if (P[0] == 1) LoadData(b, l1, LoadData2DParams(0, 64, 1, 0, 0, false, 0));
    if (P[0] == 2) LoadData(a, l1, block);
    if (P[0] == 3) LoadData(b, l1, block);
  }
}

// P[1] stores of a 128 x 128 result. p: 0 as float, 1 as half, 2 as half to L1; times; bytes the output is shifted by
TEST_KERNEL(estimate_fixpipe) {
  TPipe pipe;
  TBuf<TPosition::CO1> c_buf;
  TBuf<TPosition::A1> l1_buf;
  pipe.InitBuffer(c_buf, 128 * 128 * 4);
  pipe.InitBuffer(l1_buf, 128 * 128 * 2);
  FixpipeParamsV220 fix(128, 128, 128, 128, false);
  fix.quantPre = P[0] ? F322F16 : NoQuant;
  for (int64_t i = 0; i < P[1]; ++i) {
    PipeBarrier<PIPE_FIX>();
    if (P[0] == 0) Fixpipe<float, float, CFG_ROW_MAJOR>(Global<float>(io[0] + P[2]), c_buf.Get<float>(), fix);
    if (P[0] == 1) Fixpipe<half, float, CFG_ROW_MAJOR>(Global<half>(io[0] + P[2]), c_buf.Get<float>(), fix);
    if (P[0] == 2) Fixpipe<half, float, CFG_ROW_MAJOR>(l1_buf.Get<half>(), c_buf.Get<float>(), fix);
  }
}

// An addition of 64 repeats; the sources are 20 KB and P[0] bytes apart, the destination starts at byte P[1].
TEST_KERNEL(estimate_banks) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 128 * 1024);
  LocalTensor<float> x = buf.Get<float>();
  Add(x[uint32_t(P[1]) / 4], x, x[5120 + uint32_t(P[0]) / 4], 64 * 64);
}

// P[0] elements of UB read one by one.
TEST_KERNEL(estimate_scalar) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 1024);
  for (uint32_t i = 0; i < uint32_t(P[0]); ++i) (void)buf.Get<float>().GetValue(i);
}

// P[0] meetings of all vector cores.
TEST_KERNEL(estimate_sync_all) {
  TPipe pipe;
  for (int64_t i = 0; i < P[0]; ++i) SyncAll();
}

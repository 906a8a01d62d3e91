// Memories: what was never written, where a tensor ends, how addresses are aligned, who may touch what, and the limits
// of fields. One switch per kernel; case 0 is right.
#include "harness.h"

using namespace AscendC;

namespace {

constexpr uint32_t kRow = 64;  // floats

// Orders everything so far before everything to come.
void Fence() { PipeBarrier<PIPE_ALL>(); }

}  // namespace

// in: 64 floats, out: 64 floats
TEST_KERNEL(memory_bounds) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 2 * kRow * 4);  // @buffer
  LocalTensor<float> t = buf.Get<float>(), u = t[kRow];
  GlobalTensor<float> in = Global<float>(io[0]);
  DataCopy(t, in, kRow);
  Fence();
  Adds(u, t, 1.0f, kRow);
  Fence();
  DataCopy(Global<float>(io[1]), u, kRow);
  Fence();
  switch (P[0]) {
    case 1: Adds(u, t, 1.0f, kRow + 8); break;                // @past_tensor
    case 2: DataCopy(t, in[8], kRow); break;                  // @past_input
    case 3: DataCopy(Global<float>(io[1])[8], u, kRow); break;  // @past_output
    case 4: (void)in.GetValue(kRow); break;                   // @scalar_past_input
    case 5: (void)t.GetValue(2 * kRow); break;                // @scalar_past_tensor
    case 6: {                                                 // a tensor that was told its own size
      GlobalTensor<float> half_of_it;
      half_of_it.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(io[0]), kRow / 2);
      DataCopy(t, half_of_it, kRow);  // @past_global_buffer
      break;
    }
    case 7: {
      LocalTensor<float> part = buf.Get<float>(kRow / 2);
      Adds(part, t, 1.0f, kRow);  // @past_get
      break;
    }
    case 8: (void)buf.GetWithOffset<float>(kRow, 2 * kRow * 4 - 32); break;  // @get_past_buffer
    case 9: DataCopy(t, Global<float>(workspace), kRow); break;              // @no_workspace
    case 10: DataCopy(Global<float>(io[0]), t, kRow); break;                 // @write_input
  }
}

// out: 64 floats
TEST_KERNEL(memory_poison) {
  TPipe pipe;
  TQue<TPosition::VECOUT, 1> que;
  pipe.InitBuffer(que, 1, kRow * 4);
  LocalTensor<float> t = que.AllocTensor<float>();
  Duplicate(t, 1.0f, P[0] == 3 ? kRow - 8 : kRow);
  que.EnQue(t);
  t = que.DeQue<float>();
  if (P[0] != 4) DataCopy(Global<float>(io[0]), t, kRow);
  que.FreeTensor(t);
  if (P[0] == 1 || P[0] == 2) {
    t = que.AllocTensor<float>();  // @alloc_again
    Fence();
    if (P[0] == 1) Adds(t, t, 0.0f, kRow);  // @stale
    if (P[0] == 2) (void)t.GetValue(0);     // @stale_scalar
    que.EnQue(t);
    t = que.DeQue<float>();
    que.FreeTensor(t);
  }
  if (P[0] == 5) {  // never written global memory
    t = que.AllocTensor<float>();
    Fence();
    DataCopy(t, Global<float>(workspace), kRow);
    Fence();
    Adds(t, t, 0.0f, kRow);  // @stale_workspace
    que.EnQue(t);
    t = que.DeQue<float>();
    que.FreeTensor(t);
  }
}

// in: 256 B. Static and sliced addresses.
TEST_KERNEL(memory_align_vector) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 1024);
  LocalTensor<float> t = buf.Get<float>();
  GlobalTensor<float> in = Global<float>(io[0]);
  Duplicate(t, 1.0f, 256);
  Fence();
  if (P[0] == 1) Adds(t[2 * kRow + 4], t, 1.0f, kRow);   // @vector_dst
  if (P[0] == 2) Adds(t[2 * kRow], t[4], 1.0f, kRow);    // @vector_src
  if (P[0] == 3) DataCopy(t[4], in, 8);                  // @copy_dst
  if (P[0] == 4) DataCopy(t, in[4], 8);                  // global memory may start anywhere
  if (P[0] == 5) WholeReduceSum(t[2 * kRow + 1], t, 64, 1, 1, 1, 8);  // one float may go anywhere
}

// p: 1 L0A, 2 L0B, 3 L0C, 4 bias table, 5 L1, by one fractal row too far; 6 m == 1; 7 k == 4096
TEST_KERNEL(memory_align_cube) {
  TPipe pipe;
  TBuf<TPosition::A1> l1_buf;
  TBuf<TPosition::A2> a_buf;
  TBuf<TPosition::B2> b_buf;
  TBuf<TPosition::CO1> c_buf;
  TBuf<TPosition::C2> bias_buf;
  pipe.InitBuffer(l1_buf, 4096);
  pipe.InitBuffer(a_buf, 2048);
  pipe.InitBuffer(b_buf, 2048);
  pipe.InitBuffer(c_buf, 4096);
  pipe.InitBuffer(bias_buf, 256);
  LocalTensor<half> l1 = l1_buf.Get<half>(), a = a_buf.Get<half>(), b = b_buf.Get<half>();
  LocalTensor<float> c = c_buf.Get<float>(), bias = bias_buf.Get<float>();
  InitConstValue(l1, InitConstValueParams<half>(1, 128, 0, half(1.0f)));
  Fence();
  const auto off = [&](int which) { return uint32_t(P[0] == which ? 16 : 0); };
  LoadData(a[off(1)], l1[P[0] == 5 ? 8 : 0], LoadData2DParams(0, 1, 1, 0, 0, false, 0));  // @load_a
  LoadData(b[off(2)], l1, LoadData2DParams(0, 1, 1, 0, 0, false, 0));  // @load_b
  DataCopy(bias[P[0] == 4 ? 8 : 0], l1.ReinterpretCast<float>(), 16);  // @load_bias
  Fence();
  if (P[0] == 3) {
    Mmad(c[16], a, b, MmadParams(16, 16, 16, 0, false, true));  // @misaligned_c
  } else if (P[0] == 6) {
    Mmad(c, a, b, MmadParams(1, 16, 16, 0, false, true));  // @gemv
  } else if (P[0] == 7) {
    Mmad(c, a, b, MmadParams(16, 16, 4096, 0, false, true));  // @long_k
  } else {
    Mmad(c, a, b, MmadParams(16, 16, 16, 0, false, true));  // @mmad
  }
}

// Operands in memories the core or the unit does not have.
TEST_KERNEL(memory_place) {
  InitSocState();
  if (P[0] == 1) {  // on a cube core
    LocalTensor<float> ub(TPosition::VECCALC, 0, kRow);  // @ub_on_cube
    DataCopy(ub, Global<float>(io[0]), kRow);            // @copy_ub_on_cube
  }
  if (P[0] == 2) {  // on a vector core
    LocalTensor<float> l1(TPosition::A1, 0, kRow);  // @l1_on_vector
    DataCopy(l1, Global<float>(io[0]), kRow);       // @copy_l1_on_vector
  }
  if (P[0] == 3) {  // on a cube core
    LocalTensor<float> l1(TPosition::A1, 0, kRow);
    DataCopy(l1, Global<float>(io[0]), kRow);
    Fence();
    (void)l1.GetValue(0);  // @scalar_l1
    l1.SetValue(0, 1.0f);  // @scalar_l1_write
  }
  if (P[0] == 4) {  // past the end of UB
    LocalTensor<float> ub(TPosition::VECCALC, 184 * 1024 - 32, kRow);  // @past_ub
    (void)ub;
  }
  if (P[0] == 5) {
    LocalTensor<float> ub(TPosition::VECCALC, 16, kRow);  // @odd_address
    (void)ub;
  }
  Fence();
}

// Fields and counts. in: 64 KB
TEST_KERNEL(memory_fields) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 64 * 1024);
  LocalTensor<float> t = buf.Get<float>();
  LocalTensor<half> h = buf.Get<half>();
  Duplicate(t, 1.0f, 16 * 1024);
  Fence();
  const int64_t big = P[1];
  switch (P[0]) {
    case 1: Adds(t, t, 1.0f, uint64_t(64), 1, UnaryRepeatParams(1, 1, big, 8)); break;  // @stride8
    case 2: Add(t, t, t, uint64_t(64), 1, BinaryRepeatParams(1, 1, 1, 8, 8, big)); break;  // @binary8
    case 3: DataCopy(h, Global<half>(io[0]), DataCopyParams(1, big, 0, 0)); break;          // @copy16
    case 4: DataCopy(h, Global<half>(io[0]), uint32_t(big)); break;                         // @count
    case 5: DataCopy(h, Global<half>(io[0]), DataCopyParams(big, 1, 0, 0)); break;          // @blocks
    case 6: DataCopyPad(t, Global<float>(io[0]), DataCopyExtParams(big, 4, 0, 0, 0),        // @pad_blocks
                        DataCopyPadExtParams<float>(false, 0, 0, 0.0f)); break;
    case 7: DataCopyPad(t, Global<float>(io[0]), DataCopyExtParams(1, 4, 0, 0, 0),          // @pad_right
                        DataCopyPadExtParams<float>(true, 0, big, 0.0f)); break;
    case 8: Adds(t, t, 1.0f, uint64_t(big), 1, UnaryRepeatParams(1, 1, 8, 8)); break;       // @mask
    case 9: pipe.InitBuffer(buf, uint32_t(big)); break;                                     // @zero_bytes
  }
}

// Modes left on at the end. out: 64 floats
TEST_KERNEL(memory_modes) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 2 * kRow * 4);
  LocalTensor<float> t = buf.Get<float>();
  Duplicate(t, 1.0f, 2 * kRow);
  Fence();
  if (P[0] == 1 || P[0] == 3) SetMaskCount();                                             // @mask_count
  if (P[0] == 1 || P[0] == 3) SetVectorMask<float, MaskMode::COUNTER>(40);                // @mask_counter
  if (P[0] == 2 || P[0] == 4) SetVectorMask<float, MaskMode::NORMAL>(0, 0xffull);         // @mask_normal
  if (P[0] >= 1 && P[0] <= 4) Adds<float, false>(t[kRow], t, 1.0f, MASK_PLACEHOLDER, 1, UnaryRepeatParams(1, 1, 8, 8));
  if (P[0] == 3) SetMaskNorm();
  if (P[0] == 3 || P[0] == 4) ResetMask();
  Fence();
  if (P[0] == 5 || P[0] == 6) SetAtomicAdd<float>();  // @atomic
  if (P[0] == 6) SetAtomicNone();
  if (P[0] != 5) DataCopy(Global<float>(io[0]), t[kRow], kRow);
}

// A V matrix of 20 rows in L1 with room for 32, multiplied by ones: k must be 20, or the pad rows must be cleared first.
// in: 20 x 16 halves. out: 16 x 16 floats. p: k, 1 clears the pad
TEST_KERNEL(memory_pad_k) {
  TPipe pipe;
  TBuf<TPosition::A1> l1_buf;
  TBuf<TPosition::A2> a_buf;
  TBuf<TPosition::B2> b_buf;
  TBuf<TPosition::CO1> c_buf;
  pipe.InitBuffer(l1_buf, 1024);
  pipe.InitBuffer(a_buf, 1024);
  pipe.InitBuffer(b_buf, 1024);
  pipe.InitBuffer(c_buf, 1024);
  LocalTensor<half> l1 = l1_buf.Get<half>();
  if (P[1]) InitConstValue(l1, InitConstValueParams<half>(1, 32, 0, half(0.0f)));
  InitConstValue(a_buf.Get<half>(), InitConstValueParams<half>(1, 2, 0, half(1.0f)));
  Fence();
  DataCopy(l1, Global<half>(io[0]), Nd2NzParams(1, 20, 16, 0, 16, 32, 1, 0));
  Fence();
  LoadData(b_buf.Get<half>(), l1, LoadData2DParams(0, 2, 1, 0, 0, true, 0));
  Fence();
  const MmadParams shape(16, 16, uint16_t(P[0]), 0, false, true);
  Mmad(c_buf.Get<float>(), a_buf.Get<half>(), b_buf.Get<half>(), shape);  // @mmad_k
  Fence();
  FixpipeParamsV220 fix(16, 16, 16, 16, false);
  fix.quantPre = NoQuant;
  Fixpipe<float, float, CFG_ROW_MAJOR>(Global<float>(io[1]), c_buf.Get<float>(), fix);
}

// Row maxima over P[0] of 64 columns, 50 of which were loaded. in: 4 x 50 floats. out: 8 floats
TEST_KERNEL(memory_pad_columns) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 4 * 256 + 32);
  LocalTensor<float> x = buf.Get<float>(), top = x[256];
  DataCopyPad(x, Global<float>(io[0]), DataCopyExtParams(4, 200, 0, 1, 0), DataCopyPadExtParams<float>());
  Duplicate(top, 0.0f, 8);
  Fence();
  WholeReduceMax(top, x, int32_t(P[0]), 4, 1, 1, 8, ReduceOrder::ORDER_ONLY_VALUE);  // @reduce_columns
  Fence();
  DataCopy(Global<float>(io[1]), top, 8);
}

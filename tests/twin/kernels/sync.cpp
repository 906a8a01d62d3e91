// Correct kernels whose every synchronisation is needed: the tests delete one at a time (by its line, found through the
// marks) and expect to be told. Tensors live in TBufs, which the framework does not synchronise.
#include "harness.h"

using namespace AscendC;

namespace {

constexpr uint32_t kRow = 64;  // floats

}  // namespace

// out = (in + 1) * 2 over P[0] rows of 64 floats, one buffer each for input, middle and output.
TEST_KERNEL(sync_rows) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> in_buf, mid_buf, out_buf;
  pipe.InitBuffer(in_buf, kRow * 4);
  pipe.InitBuffer(mid_buf, kRow * 4);
  pipe.InitBuffer(out_buf, kRow * 4);
  LocalTensor<float> in = in_buf.Get<float>(), mid = mid_buf.Get<float>(), out = out_buf.Get<float>();
  SetFlag<HardEvent::V_MTE2>(0);  // @preset_in
  SetFlag<HardEvent::MTE3_V>(0);  // @preset_out
  for (uint32_t row = 0; row < uint32_t(P[0]); ++row) {
    WaitFlag<HardEvent::V_MTE2>(0);                               // @wait_free_in
    DataCopy(in, Global<float>(io[0])[row * kRow], kRow);         // @load
    SetFlag<HardEvent::MTE2_V>(0);                                // @set_loaded
    WaitFlag<HardEvent::MTE2_V>(0);                               // @wait_loaded
    Adds(mid, in, 1.0f, kRow);                                    // @adds
    SetFlag<HardEvent::V_MTE2>(0);                                // @set_free_in
    PipeBarrier<PIPE_V>();                                        // @barrier
    WaitFlag<HardEvent::MTE3_V>(0);                               // @wait_free_out
    Muls(out, mid, 2.0f, kRow);                                   // @muls
    SetFlag<HardEvent::V_MTE3>(0);                                // @set_computed
    WaitFlag<HardEvent::V_MTE3>(0);                               // @wait_computed
    DataCopy(Global<float>(io[1])[row * kRow], out, kRow);        // @store
    SetFlag<HardEvent::MTE3_V>(0);                                // @set_free_out
  }
  WaitFlag<HardEvent::V_MTE2>(0);  // @drain_in
  WaitFlag<HardEvent::MTE3_V>(0);  // @drain_out
}

// Two vector instructions that write the same place (WAW), then two loads and two stores that do.
TEST_KERNEL(sync_same_pipe) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 4 * kRow * 4);
  LocalTensor<float> t = buf.Get<float>();
  DataCopy(t, Global<float>(io[0]), 2 * kRow);       // @load_first
  PipeBarrier<PIPE_MTE2>();                          // @barrier_mte2
  DataCopy(t[kRow], Global<float>(io[0]), 2 * kRow); // @load_second
  SetFlag<HardEvent::MTE2_V>(1);
  WaitFlag<HardEvent::MTE2_V>(1);
  Adds(t[3 * kRow], t, 1.0f, kRow);                  // @write_first
  PipeBarrier<PIPE_V>();                             // @barrier_v
  Muls(t[3 * kRow], t, 3.0f, kRow);                  // @write_second
  SetFlag<HardEvent::V_MTE3>(1);
  WaitFlag<HardEvent::V_MTE3>(1);
  DataCopy(Global<float>(io[1]), t, 3 * kRow);                   // @store_first
  PipeBarrier<PIPE_MTE3>();                                      // @barrier_mte3
  DataCopy(Global<float>(io[1])[2 * kRow], t[3 * kRow], kRow);   // @store_second
}

// Store, then load the same global memory again: MTE3_MTE2.
TEST_KERNEL(sync_through_gm) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 2 * kRow * 4);
  LocalTensor<float> t = buf.Get<float>();
  DataCopy(t, Global<float>(io[0]), kRow);
  SetFlag<HardEvent::MTE2_MTE3>(0);
  WaitFlag<HardEvent::MTE2_MTE3>(0);
  DataCopy(Global<float>(workspace), t, kRow);        // @spill
  SetFlag<HardEvent::MTE3_MTE2>(0);                   // @set_spilled
  WaitFlag<HardEvent::MTE3_MTE2>(0);                  // @wait_spilled
  DataCopy(t[kRow], Global<float>(workspace), kRow);  // @reload
  SetFlag<HardEvent::MTE2_MTE3>(0);
  WaitFlag<HardEvent::MTE2_MTE3>(0);
  DataCopy(Global<float>(io[1]), t[kRow], kRow);
}

// The scalar unit reads a vector result and writes what the vector unit reads.
TEST_KERNEL(sync_scalar) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 2 * kRow * 4);
  LocalTensor<float> t = buf.Get<float>();
  Duplicate(t, 2.0f, kRow);         // @fill
  SetFlag<HardEvent::V_S>(0);       // @set_v_s
  WaitFlag<HardEvent::V_S>(0);      // @wait_v_s
  const float v = t.GetValue(3);    // @get
  t.SetValue(5, v + 40.0f);         // @put
  SetFlag<HardEvent::S_V>(0);       // @set_s_v
  WaitFlag<HardEvent::S_V>(0);      // @wait_s_v
  Adds(t[kRow], t, 0.0f, kRow);     // @use
  SetFlag<HardEvent::V_MTE3>(0);
  WaitFlag<HardEvent::V_MTE3>(0);
  DataCopy(Global<float>(io[0]), t[kRow], kRow);
}

// C[m, n] = A * B in two loads of k = 16, and the second one twice; all operands hold ones. p: m n
TEST_KERNEL(sync_cube) {
  TPipe pipe;
  TBuf<TPosition::A1> l1_buf;
  TBuf<TPosition::A2> a_buf;
  TBuf<TPosition::B2> b_buf;
  TBuf<TPosition::CO1> c_buf;
  const uint32_t m = uint32_t(P[0]), n = uint32_t(P[1]);
  pipe.InitBuffer(l1_buf, (m + n) * 32);
  pipe.InitBuffer(a_buf, m * 32);
  pipe.InitBuffer(b_buf, n * 32);
  pipe.InitBuffer(c_buf, m * n * 4);
  LocalTensor<half> l1 = l1_buf.Get<half>(), a = a_buf.Get<half>(), b = b_buf.Get<half>();
  LocalTensor<float> c = c_buf.Get<float>();
  InitConstValue(l1, InitConstValueParams<half>(1, uint16_t(m + n), 0, half(1.0f)));  // @fill_l1
  SetFlag<HardEvent::MTE2_MTE1>(0);                                                   // @set_l1
  WaitFlag<HardEvent::MTE2_MTE1>(0);                                                  // @wait_l1
  SetFlag<HardEvent::M_MTE1>(3);                                                      // @preset_l0
  for (int step = 0; step < 2; ++step) {
    WaitFlag<HardEvent::M_MTE1>(3);                                                           // @wait_l0_free
    LoadData(a, l1, LoadData2DParams(0, uint8_t(m / 16), 1, 0, 0, false, 0));                 // @load_a
    LoadData(b, l1[m * 16], LoadData2DParams(0, uint8_t(n / 16), 1, 0, 0, false, 0));         // @load_b
    SetFlag<HardEvent::MTE1_M>(0);                                                            // @set_l0
    WaitFlag<HardEvent::MTE1_M>(0);                                                           // @wait_l0
    Mmad(c, a, b, MmadParams(uint16_t(m), uint16_t(n), 16, 0, false, step == 0));             // @mmad
    if (step == 1) {
      PipeBarrier<PIPE_M>();                                                                  // @barrier_m
      Mmad(c, a, b, MmadParams(uint16_t(m), uint16_t(n), 16, 0, false, false));               // @mmad_again
    }
    SetFlag<HardEvent::M_MTE1>(3);                                                            // @set_l0_free
  }
  WaitFlag<HardEvent::M_MTE1>(3);  // @drain_l0
  SetFlag<HardEvent::M_FIX>(0);    // @set_c
  WaitFlag<HardEvent::M_FIX>(0);   // @wait_c
  FixpipeParamsV220 fix;
  fix.nSize = n;
  fix.mSize = m;
  fix.srcStride = m;
  fix.dstStride = n;
  fix.ndNum = 1;
  fix.quantPre = NoQuant;
  Fixpipe<float, float, CFG_ROW_MAJOR>(Global<float>(io[0]), c, fix);  // @fixpipe
}

// Unit flags instead of M_FIX. p: unit flag of Mmad, of Fixpipe, rows Fixpipe takes, second product.
TEST_KERNEL(sync_unit) {
  TPipe pipe;
  TBuf<TPosition::A1> l1_buf;
  TBuf<TPosition::A2> a_buf;
  TBuf<TPosition::B2> b_buf;
  TBuf<TPosition::CO1> c_buf;
  pipe.InitBuffer(l1_buf, 1024);
  pipe.InitBuffer(a_buf, 512);
  pipe.InitBuffer(b_buf, 512);
  pipe.InitBuffer(c_buf, 1024);
  LocalTensor<half> l1 = l1_buf.Get<half>(), a = a_buf.Get<half>(), b = b_buf.Get<half>();
  LocalTensor<float> c = c_buf.Get<float>();
  InitConstValue(l1, InitConstValueParams<half>(1, 32, 0, half(1.0f)));
  PipeBarrier<PIPE_ALL>();
  LoadData(a, l1, LoadData2DParams(0, 1, 1, 0, 0, false, 0));
  LoadData(b, l1, LoadData2DParams(0, 1, 1, 0, 0, false, 0));
  SetFlag<HardEvent::MTE1_M>(0);
  WaitFlag<HardEvent::MTE1_M>(0);
  for (int i = 0; i <= int(P[3]); ++i) {
    Mmad(c, a, b, MmadParams(16, 16, 16, uint8_t(P[0]), false, true));  // @unit_mmad
    FixpipeParamsV220 fix;
    fix.nSize = 16;
    fix.mSize = uint16_t(P[2]);
    fix.srcStride = 16;
    fix.dstStride = 16;
    fix.ndNum = 1;
    fix.quantPre = NoQuant;
    fix.unitFlag = uint8_t(P[1]);
    Fixpipe<float, float, CFG_ROW_MAJOR>(Global<float>(io[0])[uint32_t(i) * 256], c, fix);  // @unit_fixpipe
  }
}

// What one must not do with flags, by P[0].
TEST_KERNEL(sync_misuse) {
  TPipe pipe;
  switch (P[0]) {
    case 0:  // the clean one: an id from the pool
    {
      const TEventID id = pipe.AllocEventID<HardEvent::MTE2_V>();
      SetFlag<HardEvent::MTE2_V>(id);
      WaitFlag<HardEvent::MTE2_V>(id);
      pipe.ReleaseEventID<HardEvent::MTE2_V>(id);
      break;
    }
    case 1:
      SetFlag<HardEvent::MTE2_V>(0);  // @first_set
      SetFlag<HardEvent::MTE2_V>(0);  // @second_set
      WaitFlag<HardEvent::MTE2_V>(0);
      break;
    case 2: SetFlag<HardEvent::MTE2_V>(3); break;   // @left_set
    case 3: WaitFlag<HardEvent::MTE2_V>(3); break;  // @lonely_wait
    case 4:
      SetFlag<HardEvent::MTE2_V>(6);  // @reserved_id
      WaitFlag<HardEvent::MTE2_V>(6);  // @reserved_wait
      break;
    case 5: SetFlag<HardEvent::MTE2_V>(8); break;      // @id_too_large
    case 6: SetFlag<HardEvent::MTE1_M>(0); break;      // @cube_event
    case 7: (void)pipe.AllocEventID<HardEvent::MTE2_V>(); break;  // @leaked_id
    case 8: pipe.ReleaseEventID<HardEvent::MTE2_V>(2); break;     // @not_allocated
    case 9: PipeBarrier<PIPE_M>(); break;                         // @cube_barrier
    case 10:  // one set of each kind: ids are counted per pair of pipes
      SetFlag<HardEvent::MTE2_V>(0);
      SetFlag<HardEvent::V_MTE3>(0);
      WaitFlag<HardEvent::V_MTE3>(0);
      WaitFlag<HardEvent::MTE2_V>(0);
      break;
    case 12:  // nothing wrong, nothing gained
      PipeBarrier<PIPE_V>();        // @first_barrier
      PipeBarrier<PIPE_ALL>();      // @all_barrier
      SetFlag<HardEvent::V_MTE3>(0);
      WaitFlag<HardEvent::V_MTE3>(0);  // @idle_wait
      break;
    case 11:
      for (int i = 0; i < 9; ++i) (void)pipe.AllocEventID<HardEvent::MTE2_V>();  // @ninth_id
      break;
  }
}

// The flags that a TPipe keeps for itself. p: an id of M_MTE1, whether to take it from the pool
TEST_KERNEL(sync_cube_ids) {
  TPipe pipe;
  int32_t id = int32_t(P[0]);
  if (P[1]) id = pipe.AllocEventID<HardEvent::M_MTE1>();
  SetFlag<HardEvent::M_MTE1>(id);   // @kept_set
  WaitFlag<HardEvent::M_MTE1>(id);  // @kept_wait
  if (P[1]) pipe.ReleaseEventID<HardEvent::M_MTE1>(id);
}

// No TPipe: static addresses. p: 1 leave out InitSocState, 2 leave out the last barrier, 3 add a TPipe
TEST_KERNEL(sync_static) {
  if (P[0] != 1) InitSocState();
  LocalTensor<float> t(TPosition::VECCALC, 1024, kRow);  // @static
  Duplicate(t, 7.0f, kRow);                              // @static_use
  SetFlag<HardEvent::V_MTE3>(0);
  WaitFlag<HardEvent::V_MTE3>(0);
  DataCopy(Global<float>(io[0]), t, kRow);
  if (P[0] == 3) TPipe pipe;  // @late_pipe
  if (P[0] != 2) PipeBarrier<PIPE_ALL>();
}

// Work handed from core to core: flags with their counters and modes, barriers over the launch. The tests delete one
// call at a time, by its mark.
#include "harness.h"

using namespace AscendC;

namespace {

constexpr uint32_t kTile = 256;  // floats of one hand-off, half of it for each vector core
constexpr uint32_t kRing = 2;    // hand-offs in flight

// The cube core writes the tile's number, from L1.
void Produce(GM_ADDR workspace, uint32_t tiles, int64_t wrong_pipe) {
  TPipe pipe;
  TBuf<TPosition::A1> buf;
  pipe.InitBuffer(buf, kTile * 4);
  LocalTensor<float> l1 = buf.Get<float>();
  GlobalTensor<float> ring = Global<float>(workspace);
  for (uint32_t i = 0; i < tiles; ++i) {
    if (i > 0) {
      SetFlag<HardEvent::MTE3_MTE2>(0);
      WaitFlag<HardEvent::MTE3_MTE2>(0);
    }
    InitConstValue(l1, InitConstValueParams<float>(1, kTile / 8, 0, float(i)));
    SetFlag<HardEvent::MTE2_MTE3>(0);
    WaitFlag<HardEvent::MTE2_MTE3>(0);
    if (i >= kRing) CrossCoreWaitFlag(1);                        // @wait_free
    DataCopy(ring[i % kRing * kTile], l1, kTile);                // @produce
    if (wrong_pipe) {
      CrossCoreSetFlag<2, PIPE_MTE2>(0);                         // @set_wrong
    } else {
      CrossCoreSetFlag<2, PIPE_MTE3>(0);                         // @set_ready
    }
  }
}

// Each vector core adds its index to its half and stores it.
void Consume(GM_ADDR workspace, GM_ADDR out, uint32_t tiles) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, kTile * 4);
  constexpr uint32_t kHalf = kTile / 2;
  LocalTensor<float> x = buf.Get<float>(), y = x[kHalf];
  const uint32_t part = uint32_t(GetSubBlockIdx()) * kHalf;
  GlobalTensor<float> ring = Global<float>(workspace);
  for (uint32_t i = 0; i < tiles; ++i) {
    CrossCoreWaitFlag(0);                                                         // @wait_ready
    if (i > 0) {
      SetFlag<HardEvent::V_MTE2>(0);
      WaitFlag<HardEvent::V_MTE2>(0);
    }
    DataCopy(x, ring[i % kRing * kTile + part], kHalf);                           // @consume
    if (i + kRing < tiles) CrossCoreSetFlag<2, PIPE_MTE2>(1);                     // @set_free
    SetFlag<HardEvent::MTE2_V>(0);
    WaitFlag<HardEvent::MTE2_V>(0);
    if (i > 0) {
      SetFlag<HardEvent::MTE3_V>(0);
      WaitFlag<HardEvent::MTE3_V>(0);
    }
    Adds(y, x, float(GetSubBlockIdx()), kHalf);
    SetFlag<HardEvent::V_MTE3>(0);
    WaitFlag<HardEvent::V_MTE3>(0);
    DataCopy(Global<float>(out)[i * kTile + part], y, kHalf);
  }
}

// Every core writes its own 32 B of the workspace.
void WriteOwn(GM_ADDR workspace, const LocalTensor<float>& t) {
  Duplicate(t, float(GetBlockIdx()), 8);
  SetFlag<HardEvent::V_MTE3>(0);
  WaitFlag<HardEvent::V_MTE3>(0);
  DataCopy(Global<float>(workspace)[uint32_t(GetBlockIdx()) * 8], t, 8);  // @own
}

// And reads the next one's.
void ReadNext(GM_ADDR workspace, GM_ADDR out, const LocalTensor<float>& t, uint32_t cores) {
  const uint32_t next = (uint32_t(GetBlockIdx()) + 1) % cores;
  DataCopy(t[8], Global<float>(workspace)[next * 8], 8);  // @next
  SetFlag<HardEvent::MTE2_MTE3>(0);
  WaitFlag<HardEvent::MTE2_MTE3>(0);
  DataCopy(Global<float>(out)[uint32_t(GetBlockIdx()) * 8], t[8], 8);
}

}  // namespace

// p: tiles, 1: set on the wrong pipe
TEST_KERNEL(cross_ring) {
  if ASCEND_IS_AIC {
    Produce(workspace + GetBlockIdx() * int64_t(kRing * kTile * 4), uint32_t(P[0]), P[1]);
  }
  if ASCEND_IS_AIV {
    const int64_t block = GetBlockIdx() / GetTaskRatio();
    Consume(workspace + block * int64_t(kRing * kTile * 4), io[0] + block * P[0] * int64_t(kTile * 4), uint32_t(P[0]));
  }
}

// p: sets of flag 3 by the cube core, waits by each vector core
TEST_KERNEL(cross_counter) {
  TPipe pipe;
  if ASCEND_IS_AIC {
    for (int64_t i = 0; i < P[0]; ++i) CrossCoreSetFlag<2, PIPE_FIX>(3);  // @count
  }
  if ASCEND_IS_AIV {
    for (int64_t i = 0; i < P[1]; ++i) CrossCoreWaitFlag(3);  // @discount
  }
}

// The cube core waits for its vector cores; those from P[0] on do not set.
TEST_KERNEL(cross_both) {
  TPipe pipe;
  if ASCEND_IS_AIC {
    CrossCoreWaitFlag(4);  // @wait_both
  }
  if ASCEND_IS_AIV {
    if (GetSubBlockIdx() < P[0]) CrossCoreSetFlag<2, PIPE_MTE3>(4);
  }
}

// Vector cores tell each other. p: 0 within the AI Core (mode 1), 1 all of them (mode 0); 2 leaves the wait out
TEST_KERNEL(cross_peers) {
  if ASCEND_IS_AIV {
    TPipe pipe;
    TBuf<TPosition::VECCALC> buf;
    pipe.InitBuffer(buf, 64);
    LocalTensor<float> t = buf.Get<float>();
    WriteOwn(workspace, t);
    if (P[0] == 1) {
      CrossCoreSetFlag<0, PIPE_MTE3>(5);
    } else {
      CrossCoreSetFlag<1, PIPE_MTE3>(5);
    }
    CrossCoreWaitFlag(5);  // @wait_peers
    ReadNext(workspace, io[0], t, uint32_t(GetBlockNum() * GetTaskRatio()));
  }
}

// A vector core reads what the other one wrote, told by the cube core that waited for both.
TEST_KERNEL(cross_chain) {
  TPipe pipe;
  if ASCEND_IS_AIC {
    CrossCoreWaitFlag(6);                  // @wait_written
    CrossCoreSetFlag<2, PIPE_FIX>(7);
  }
  if ASCEND_IS_AIV {
    TBuf<TPosition::VECCALC> buf;
    pipe.InitBuffer(buf, 64);
    LocalTensor<float> t = buf.Get<float>();
    WriteOwn(workspace, t);
    CrossCoreSetFlag<2, PIPE_MTE3>(6);
    CrossCoreWaitFlag(7);                  // @wait_told
    ReadNext(workspace, io[0], t, 2);
  }
}

// By P[0]: what one must not do with cross-core flags.
TEST_KERNEL(cross_misuse) {
  TPipe pipe;
  if ASCEND_IS_AIC {
    if (P[0] == 1) CrossCoreSetFlag<2, PIPE_FIX>(12);  // @reserved_flag
    if (P[0] == 2) CrossCoreSetFlag<2, PIPE_FIX>(16);  // @no_flag
    if (P[0] == 3) CrossCoreSetFlag<2, PIPE_V>(0);     // @vector_pipe
    if (P[0] == 4) CrossCoreSetFlag<2, PIPE_FIX>(2);   // @never_read
    if (P[0] == 5) CrossCoreWaitFlag(2);               // @never_set
    if (P[0] == 6) CrossCoreSetFlag<3, PIPE_FIX>(2);   // @no_mode
  }
  if ASCEND_IS_AIV {
    if (P[0] == 1) CrossCoreWaitFlag(12);
  }
}

// All vector cores meet. p: 1 the last core leaves early
TEST_KERNEL(sync_all_vector) {
  if ASCEND_IS_AIV {
    TPipe pipe;
    TBuf<TPosition::VECCALC> buf;
    pipe.InitBuffer(buf, 64);
    LocalTensor<float> t = buf.Get<float>();
    const int64_t cores = GetBlockNum() * GetTaskRatio();
    if (P[0] == 1 && GetBlockIdx() == cores - 1) return;
    WriteOwn(workspace, t);
    SyncAll();  // @meet
    ReadNext(workspace, io[0], t, uint32_t(cores));
  }
}

// Cube and vector cores meet: the vector core reads what the cube core wrote. p: 1 the cube core does not come
TEST_KERNEL(sync_all_mix) {
  TPipe pipe;
  if ASCEND_IS_AIC {
    TBuf<TPosition::A1> buf;
    pipe.InitBuffer(buf, 64);
    LocalTensor<float> l1 = buf.Get<float>();
    InitConstValue(l1, InitConstValueParams<float>(1, 2, 0, 9.0f));
    SetFlag<HardEvent::MTE2_MTE3>(0);
    WaitFlag<HardEvent::MTE2_MTE3>(0);
    DataCopy(Global<float>(workspace)[uint32_t(GetBlockIdx()) * 16], l1, 16);  // @cube_write
    if (P[0] != 1) SyncAll<false>();                                           // @meet_cube
  }
  if ASCEND_IS_AIV {
    TBuf<TPosition::VECCALC> buf;
    pipe.InitBuffer(buf, 64);
    LocalTensor<float> t = buf.Get<float>();
    SyncAll<false>();  // @meet_vector
    DataCopy(t, Global<float>(workspace)[uint32_t(GetBlockIdx()) * 8], 8);  // @vector_read
    SetFlag<HardEvent::MTE2_MTE3>(0);
    WaitFlag<HardEvent::MTE2_MTE3>(0);
    DataCopy(Global<float>(io[0])[uint32_t(GetBlockIdx()) * 8], t, 8);
  }
}

// The software barrier, over zeros the host made. p: bytes of UB it gets, 1 over workspace that nobody zeroed
TEST_KERNEL(sync_all_soft) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf, slots;
  pipe.InitBuffer(buf, 64);
  pipe.InitBuffer(slots, uint32_t(P[0]));
  LocalTensor<float> t = buf.Get<float>();
  const uint32_t cores = uint32_t(GetBlockNum());
  WriteOwn(workspace, t);
  SyncAll(Global<int32_t>(P[1] ? workspace + cores * 32 : io[0]), slots.Get<int32_t>());  // @meet_soft
  ReadNext(workspace, io[1], t, cores);
}

// Who is who: five numbers for each core, 32 B apart, cube cores after the vector cores.
TEST_KERNEL(cross_identity) {
  TPipe pipe;
  const int64_t vectors = P[0], cube = ASCEND_IS_AIC;
  GlobalTensor<int64_t> out = Global<int64_t>(io[0])[uint64_t((cube ? vectors : 0) + GetBlockIdx()) * 8];
  const int64_t values[5] = {GetBlockIdx(), GetBlockNum(), GetSubBlockIdx(), GetSubBlockNum(), GetTaskRatio()};
  for (uint32_t i = 0; i < 8; ++i) out.SetValue(i, i < 5 ? values[i] : int64_t(0));
  DataCacheCleanAndInvalid<int64_t, CacheLine::SINGLE_CACHE_LINE, DcciDst::CACHELINE_OUT>(out);
}

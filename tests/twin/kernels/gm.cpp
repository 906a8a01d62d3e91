// Global memory between cores: atomic adds, the scalar unit's data cache, lines and blocks that cores share.
#include "harness.h"

using namespace AscendC;

namespace {

constexpr uint32_t kRow = 64;  // floats

void FlagTo(int64_t mode) {
  if (mode) SyncAll();
}

}  // namespace

// Every core adds 64 floats of (index + 1) to the output, which core 0 zeroes first.
// p: 1 no barrier after zeroing, 2 not zeroed, 3 core 1 adds without atomics, 4 another type's atomic mode
TEST_KERNEL(gm_atomic) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, kRow * 4);
  LocalTensor<float> t = buf.Get<float>();
  GlobalTensor<float> out = Global<float>(io[0]);
  Duplicate(t, float(GetBlockIdx() + 1), kRow);
  if (GetBlockIdx() == 0 && P[0] != 2) InitOutput<float>(out, kRow, 0.0f);  // @zero
  FlagTo(P[0] != 1);
  SetFlag<HardEvent::V_MTE3>(0);
  WaitFlag<HardEvent::V_MTE3>(0);
  const bool plain = P[0] == 3 && GetBlockIdx() == 1;
  if (!plain && P[0] != 4) SetAtomicAdd<float>();
  if (P[0] == 4) SetAtomicAdd<int32_t>();  // @other_type
  DataCopy(out, t, kRow);                  // @add
  SetAtomicNone();
}

// Core 0 leaves a number for core 1 with SetValue; core 1 reads it. p: 0 by GetValue, 1 by DMA
TEST_KERNEL(gm_scalar) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, kRow * 4);
  LocalTensor<float> t = buf.Get<float>();
  GlobalTensor<float> box = Global<float>(workspace);
  if (GetBlockIdx() == 0) {
    for (uint32_t i = 0; i < 8; ++i) box.SetValue(i, 5.0f);                                                    // @leave
    DataCacheCleanAndInvalid<float, CacheLine::SINGLE_CACHE_LINE, DcciDst::CACHELINE_OUT>(box);  // @clean
  }
  SyncAll();  // @meet
  if (GetBlockIdx() == 1) {
    if (P[0] == 0) {
      Duplicate(t, box.GetValue(0), 8);  // @scalar_take
      SetFlag<HardEvent::V_MTE3>(0);
      WaitFlag<HardEvent::V_MTE3>(0);
    } else {
      DataCopy(t, box, 8);  // @dma_take
      SetFlag<HardEvent::MTE2_MTE3>(0);
      WaitFlag<HardEvent::MTE2_MTE3>(0);
    }
    DataCopy(Global<float>(io[0]), t, 8);
  }
}

// One core: a scalar read, a store by DMA over it, a scalar read again.
TEST_KERNEL(gm_stale) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, kRow * 4);
  LocalTensor<float> t = buf.Get<float>();
  GlobalTensor<float> box = Global<float>(workspace), out = Global<float>(io[0]);
  InitOutput<float>(box, 8, 1.0f);
  SetFlag<HardEvent::MTE3_S>(0);
  WaitFlag<HardEvent::MTE3_S>(0);
  const float before = box.GetValue(0);  // @fetch
  SetFlag<HardEvent::S_MTE3>(0);
  WaitFlag<HardEvent::S_MTE3>(0);
  Duplicate(t, before + 1.0f, 8);
  SetFlag<HardEvent::V_MTE3>(0);
  WaitFlag<HardEvent::V_MTE3>(0);
  PipeBarrier<PIPE_MTE3>();
  DataCopy(box, t, 8);  // @overwrite
  SetFlag<HardEvent::MTE3_S>(0);                                                               // @set_mte3_s
  WaitFlag<HardEvent::MTE3_S>(0);                                                              // @wait_mte3_s
  DataCacheCleanAndInvalid<float, CacheLine::SINGLE_CACHE_LINE, DcciDst::CACHELINE_OUT>(box);  // @invalidate
  const float after = box.GetValue(0);  // @refetch
  SetFlag<HardEvent::MTE3_V>(0);
  WaitFlag<HardEvent::MTE3_V>(0);
  PipeBarrier<PIPE_V>();
  Duplicate(t, after, 8);
  SetFlag<HardEvent::V_MTE3>(0);
  WaitFlag<HardEvent::V_MTE3>(0);
  DataCopy(out, t, 8);
}

// Each core writes one float, `P[0]` floats from its neighbour's. p[1]: 0 by SetValue, 1 by DataCopyPad, 2 core 1 by
// SetValue
TEST_KERNEL(gm_neighbours) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, 32);
  LocalTensor<float> t = buf.Get<float>();
  GlobalTensor<float> mine = Global<float>(io[0])[uint32_t(GetBlockIdx() * P[0])];
  if (P[1] == 0 || (P[1] == 2 && GetBlockIdx() == 1)) {
    mine.SetValue(0, float(GetBlockIdx()));  // @scalar_store
    DataCacheCleanAndInvalid<float, CacheLine::SINGLE_CACHE_LINE, DcciDst::CACHELINE_OUT>(mine);
  } else {
    Duplicate(t, float(GetBlockIdx()), 8);
    SetFlag<HardEvent::V_MTE3>(0);
    WaitFlag<HardEvent::V_MTE3>(0);
    DataCopyPad(mine, t, DataCopyExtParams(1, 4, 0, 0, 0));  // @dma_store
  }
}

// Both cores write the same 64 floats, in order or not.
TEST_KERNEL(gm_same_place) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  pipe.InitBuffer(buf, kRow * 4);
  LocalTensor<float> t = buf.Get<float>();
  Duplicate(t, float(GetBlockIdx()), kRow);
  SetFlag<HardEvent::V_MTE3>(0);
  WaitFlag<HardEvent::V_MTE3>(0);
  if (GetBlockIdx() == 1) SyncAll();        // @before
  DataCopy(Global<float>(io[0]), t, kRow);  // @write
  if (GetBlockIdx() == 0) SyncAll();        // @after
}

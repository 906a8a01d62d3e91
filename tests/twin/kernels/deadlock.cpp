// Kernels that never end by themselves.
#include "harness.h"

using namespace AscendC;

// The cube core and the vector cores each wait for the other first.
TEST_KERNEL(deadlock_cycle) {
  TPipe pipe;
  if ASCEND_IS_AIC {
    CrossCoreWaitFlag(1);  // @cube_waits
    CrossCoreSetFlag<2, PIPE_FIX>(0);
  }
  if ASCEND_IS_AIV {
    CrossCoreWaitFlag(0);  // @vector_waits
    CrossCoreSetFlag<2, PIPE_MTE3>(1);
  }
}

// Core 0 goes round for ever.
TEST_KERNEL(deadlock_endless) {
  TPipe pipe;
  while (GetBlockIdx() == 0) {
    PipeBarrier<PIPE_V>();  // @endless
  }
  SyncAll();  // @patient
}

// An error stops core 0; the others wait for it.
TEST_KERNEL(deadlock_after_error) {
  TPipe pipe;
  if (GetBlockIdx() == 0) {
    TQue<TPosition::VECIN, 1> que;
    pipe.InitBuffer(que, 1, 64);
    (void)que.DeQue<float>();  // @error
  }
  SyncAll();  // @wait_for_it
}

// p: steps of work
TEST_KERNEL(deadlock_finite) {
  TPipe pipe;
  for (int64_t i = 0; i < P[0]; ++i) PipeBarrier<PIPE_V>();
}

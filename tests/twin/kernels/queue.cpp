// TPipe, TQue and TBuf: a double-buffered stream that is right, and everything one must not do.
#include "harness.h"

using namespace AscendC;

namespace {

constexpr uint32_t kRow = 64;  // floats

template <int32_t depth>
void Stream(GM_ADDR* io, uint32_t rows, uint32_t buffers) {
  TPipe pipe;
  TQue<TPosition::VECIN, depth> in;
  TQue<TPosition::VECOUT, depth> out;
  pipe.InitBuffer(in, uint8_t(buffers), kRow * 4);
  pipe.InitBuffer(out, uint8_t(buffers), kRow * 4);
  for (uint32_t row = 0; row < rows; ++row) {
    LocalTensor<float> a = in.template AllocTensor<float>();
    DataCopy(a, Global<float>(io[0])[row * kRow], kRow);
    in.EnQue(a);
    LocalTensor<float> x = in.template DeQue<float>();
    LocalTensor<float> y = out.template AllocTensor<float>();
    Adds(y, x, 1.0f, kRow);
    in.FreeTensor(x);
    out.EnQue(y);
    LocalTensor<float> z = out.template DeQue<float>();
    DataCopy(Global<float>(io[1])[row * kRow], z, kRow);
    out.FreeTensor(z);
  }
}

}  // namespace

// p: rows, buffers per queue
TEST_KERNEL(queue_stream) { Stream<1>(io, uint32_t(P[0]), uint32_t(P[1])); }

// The same with the marks for deleting the queues' own events.
TEST_KERNEL(queue_marked) {
  TPipe pipe;
  TQue<TPosition::VECIN, 1> in;
  TQue<TPosition::VECOUT, 1> out;
  pipe.InitBuffer(in, 1, kRow * 4);   // @init_in
  pipe.InitBuffer(out, 1, kRow * 4);  // @init_out
  for (uint32_t row = 0; row < uint32_t(P[0]); ++row) {
    LocalTensor<float> a = in.AllocTensor<float>();              // @alloc_in
    DataCopy(a, Global<float>(io[0])[row * kRow], kRow);         // @load
    in.EnQue(a);                                                 // @enque_in
    LocalTensor<float> x = in.DeQue<float>();                    // @deque_in
    LocalTensor<float> y = out.AllocTensor<float>();             // @alloc_out
    Adds(y, x, 1.0f, kRow);                                      // @adds
    in.FreeTensor(x);                                            // @free_in
    out.EnQue(y);                                                // @enque_out
    LocalTensor<float> z = out.DeQue<float>();                   // @deque_out
    DataCopy(Global<float>(io[1])[row * kRow], z, kRow);         // @store
    out.FreeTensor(z);                                           // @free_out
  }
}

// Two loads in flight: depth 2.
TEST_KERNEL(queue_preload) {
  TPipe pipe;
  TQue<TPosition::VECIN, 2> in;
  TQue<TPosition::VECOUT, 1> out;
  pipe.InitBuffer(in, 2, kRow * 4);
  pipe.InitBuffer(out, 1, kRow * 4);
  for (uint32_t row = 0; row < 2; ++row) {
    LocalTensor<float> a = in.AllocTensor<float>();
    DataCopy(a, Global<float>(io[0])[row * kRow], kRow);
    in.EnQue(a);
  }
  for (uint32_t row = 0; row < 2; ++row) {
    LocalTensor<float> x = in.DeQue<float>();
    LocalTensor<float> y = out.AllocTensor<float>();
    Muls(y, x, 2.0f, kRow);
    in.FreeTensor(x);
    out.EnQue(y);
    LocalTensor<float> z = out.DeQue<float>();
    DataCopy(Global<float>(io[1])[row * kRow], z, kRow);
    out.FreeTensor(z);
  }
}

// Misuse, by P[0].
TEST_KERNEL(queue_misuse) {
  TPipe pipe;
  TQue<TPosition::VECIN, 1> in;
  TQue<TPosition::VECIN, 1> other;
  const auto load = [&](LocalTensor<float>& t) { DataCopy(t, Global<float>(io[0]), kRow); };
  if (P[0] == 1) (void)in.AllocTensor<float>();  // @alloc_before_init
  pipe.InitBuffer(in, 2, kRow * 4);              // @init
  pipe.InitBuffer(other, 1, kRow * 4);
  LocalTensor<float> a = in.AllocTensor<float>();  // @alloc
  load(a);
  switch (P[0]) {
    case 2:  // freed twice
      in.EnQue(a);
      a = in.DeQue<float>();
      in.FreeTensor(a);  // @free
      in.FreeTensor(a);  // @free_again
      return;
    case 3:  // used after it was freed
      in.EnQue(a);
      a = in.DeQue<float>();
      in.FreeTensor(a);  // @early_free
      Adds(a, a, 1.0f, kRow);  // @dead_use
      return;
    case 4: {  // another queue's tensor
      LocalTensor<float> b = other.AllocTensor<float>();
      other.FreeTensor(b);
      in.EnQue(a);
      a = in.DeQue<float>();
      other.FreeTensor(a);  // @foreign_free
      return;
    }
    case 5: (void)other.DeQue<float>(); return;  // @empty_deque
    case 6: return;  // allocated, never freed
    case 7: in.EnQue(a); return;  // @left_enqueued
    case 8: in.EnQue(a); a = in.DeQue<float>(); return;  // @left_dequeued
    case 9: {  // three tensors of two buffers
      LocalTensor<float> b = in.AllocTensor<float>();
      (void)b;
      (void)in.AllocTensor<float>();  // @alloc_third
      return;
    }
    case 10: {  // two in a queue of depth 1
      in.EnQue(a);  // @enque_first
      LocalTensor<float> b = in.AllocTensor<float>();
      load(b);
      in.EnQue(b);  // @enque_second
      for (int i = 0; i < 2; ++i) {
        LocalTensor<float> x = in.DeQue<float>();
        in.FreeTensor(x);
      }
      return;
    }
    case 11: in.EnQue(a); in.EnQue(a); return;  // @enque_twice
    case 12: {  // a second InitBuffer
      in.EnQue(a);
      a = in.DeQue<float>();
      in.FreeTensor(a);
      pipe.InitBuffer(in, 1, kRow * 4);  // @init_again
      return;
    }
    case 13: {
      in.EnQue(a);
      a = in.DeQue<float>();
      in.FreeTensor(a);
      TPipe second;  // @second_pipe
      return;
    }
  }
  in.EnQue(a);
  a = in.DeQue<float>();
  in.FreeTensor(a);
}

// No TPipe at all.
TEST_KERNEL(queue_without_pipe) {
  InitSocState();
  TQue<TPosition::VECIN, 1> in;
  {
    TPipe pipe;
    pipe.InitBuffer(in, 1, 64);
  }
  LocalTensor<float> a = in.AllocTensor<float>();  // @orphan
  (void)a;
}

// Budgets. p: 0 UB bytes in one TBuf; 1 L1 bytes; 2 count of buffers of 32 B; 3 live tensors at VECIN; 4 wrong memory
TEST_KERNEL(queue_budget) {
  TPipe pipe;
  const uint32_t n = uint32_t(P[1]);
  TBuf<TPosition::VECCALC> ub;
  TBuf<TPosition::A1> l1;
  if (P[0] == 0) pipe.InitBuffer(ub, n);  // @ub
  if (P[0] == 1) pipe.InitBuffer(l1, n);  // @l1
  if (P[0] == 2) {
    for (uint32_t i = 0; i < n; ++i) pipe.InitBuffer(ub, 32);  // @many
  }
  if (P[0] == 3) {
    TQue<TPosition::VECIN, 1> in;
    pipe.InitBuffer(in, uint8_t(n), 32);
    std::vector<LocalTensor<float>> live;
    for (uint32_t i = 0; i < n; ++i) live.push_back(in.AllocTensor<float>());  // @live
    for (LocalTensor<float>& t : live) {
      in.EnQue(t);
      LocalTensor<float> x = in.DeQue<float>();
      in.FreeTensor(x);
    }
  }
  if (P[0] == 4) {
    TBuf<TPosition::CO2> gm;
    pipe.InitBuffer(gm, 32);  // @gm
  }
}

// Buffers reused over two phases through Reset, and the life after it. p: 1 use a tensor of the first phase
TEST_KERNEL(queue_reset) {
  TPipe pipe;
  TBuf<TPosition::VECCALC> buf;
  TQue<TPosition::VECOUT, 1> out;
  pipe.InitBuffer(out, 2, 90 * 1024);
  LocalTensor<float> t = out.AllocTensor<float>();
  Duplicate(t, 3.0f, kRow);
  out.EnQue(t);
  t = out.DeQue<float>();
  DataCopy(Global<float>(io[0]), t, kRow);
  out.FreeTensor(t);
  pipe.Reset();  // @reset
  pipe.InitBuffer(buf, 180 * 1024);
  if (P[0] == 1) Adds(t, t, 1.0f, kRow);  // @after_reset
  LocalTensor<float> u = buf.Get<float>();
  Duplicate(u, 4.0f, kRow);
  SetFlag<HardEvent::V_MTE3>(0);
  WaitFlag<HardEvent::V_MTE3>(0);
  DataCopy(Global<float>(io[0])[kRow], u, kRow);
}

// The queues' own pending events at the end are TPipe's to wait for; flags raised by hand are the kernel's. p: 1 by hand
TEST_KERNEL(queue_end) {
  TPipe pipe;
  TQue<TPosition::VECIN, 1> in;
  TQue<TPosition::VECOUT, 1> out;
  pipe.InitBuffer(in, 2, kRow * 4);
  pipe.InitBuffer(out, 2, kRow * 4);
  for (uint32_t row = 0; row < 2; ++row) {
    LocalTensor<float> a = in.AllocTensor<float>();
    DataCopy(a, Global<float>(io[0])[row * kRow], kRow);
    in.EnQue(a);
    LocalTensor<float> x = in.DeQue<float>();
    LocalTensor<float> y = out.AllocTensor<float>();
    Adds(y, x, 1.0f, kRow);
    in.FreeTensor(x);
    out.EnQue(y);
    LocalTensor<float> z = out.DeQue<float>();
    DataCopy(Global<float>(io[1])[row * kRow], z, kRow);
    out.FreeTensor(z);
  }
  if (P[0] == 1) SetFlag<HardEvent::V_MTE2>(pipe.FetchEventID<HardEvent::V_MTE2>());  // @by_hand
}

// Flags of the kernel beside those of its queues. p: 1 raised while the queue takes an id, 2 after it took one,
// 3 two fetched ids at once, 4 two allocated ids at once
TEST_KERNEL(queue_clash) {
  TPipe pipe;
  TQue<TPosition::VECIN, 1> in;
  pipe.InitBuffer(in, 1, kRow * 4);
  LocalTensor<float> a = in.AllocTensor<float>();
  DataCopy(a, Global<float>(io[0]), kRow);
  if (P[0] == 1) SetFlag<HardEvent::MTE2_V>(0);  // @raised_by_hand
  in.EnQue(a);                                   // @enque
  if (P[0] == 1) WaitFlag<HardEvent::MTE2_V>(0);
  if (P[0] == 2) SetFlag<HardEvent::MTE2_V>(0);  // @raised_over_queue
  if (P[0] == 0) {                               // an immediate pair
    const TEventID id = pipe.FetchEventID<HardEvent::MTE2_V>();
    SetFlag<HardEvent::MTE2_V>(id);
    WaitFlag<HardEvent::MTE2_V>(id);
  }
  if (P[0] == 3) {
    const TEventID first = pipe.FetchEventID<HardEvent::V_MTE3>();
    SetFlag<HardEvent::V_MTE3>(first);  // @fetched
    const TEventID second = pipe.FetchEventID<HardEvent::V_MTE3>();
    SetFlag<HardEvent::V_MTE3>(second);  // @fetched_again
    WaitFlag<HardEvent::V_MTE3>(first);
  }
  if (P[0] == 4) {
    const TEventID first = pipe.AllocEventID<HardEvent::V_MTE3>(), second = pipe.AllocEventID<HardEvent::V_MTE3>();
    SetFlag<HardEvent::V_MTE3>(first);
    SetFlag<HardEvent::V_MTE3>(second);
    WaitFlag<HardEvent::V_MTE3>(first);
    WaitFlag<HardEvent::V_MTE3>(second);
    pipe.ReleaseEventID<HardEvent::V_MTE3>(first);
    pipe.ReleaseEventID<HardEvent::V_MTE3>(second);
  }
  a = in.DeQue<float>();
  Adds(a, a, 1.0f, kRow);
  in.FreeTensor(a);
}

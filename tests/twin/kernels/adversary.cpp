// A kernel that uses every pipe of both kinds of core and hands work back and forth: what the adversarial orders are
// tried on. The tests take its synchronisation away piece by piece.
#include "harness.h"

using namespace AscendC;

namespace {

constexpr uint32_t kSide = 32;                  // rows and columns of a tile
constexpr uint32_t kTile = kSide * kSide;       // elements
constexpr uint32_t kRing = 2;

// C = A * B for each tile, with double-buffered L1 and L0, to the workspace ring.
void Multiply(GM_ADDR* io, GM_ADDR workspace, uint32_t tiles) {
  TPipe pipe;
  TBuf<TPosition::A1> l1_buf;
  TBuf<TPosition::A2> a_buf;
  TBuf<TPosition::B2> b_buf;
  TBuf<TPosition::CO1> c_buf;
  pipe.InitBuffer(l1_buf, 2 * 2 * kTile * 2);
  pipe.InitBuffer(a_buf, kTile * 2);
  pipe.InitBuffer(b_buf, kTile * 2);
  pipe.InitBuffer(c_buf, 2 * kTile * 4);
  const Nd2NzParams rows(1, kSide, kSide, 0, kSide, kSide, 1, 0);
  for (int32_t half_of = 0; half_of < 2; ++half_of) {
    SetFlag<HardEvent::MTE1_MTE2>(half_of);
    SetFlag<HardEvent::FIX_M>(half_of);
  }
  SetFlag<HardEvent::M_MTE1>(3);
  for (uint32_t i = 0; i < tiles; ++i) {
    const int32_t turn = int32_t(i & 1);
    LocalTensor<half> a1 = l1_buf.Get<half>()[uint32_t(turn) * 2 * kTile], b1 = a1[kTile];
    LocalTensor<float> c = c_buf.Get<float>()[uint32_t(turn) * kTile];
    WaitFlag<HardEvent::MTE1_MTE2>(turn);                                      // @wait_l1_free
    DataCopy(a1, Global<half>(io[0])[i * kTile], rows);
    DataCopy(b1, Global<half>(io[1])[i * kTile], rows);
    SetFlag<HardEvent::MTE2_MTE1>(turn);                                       // @set_l1
    WaitFlag<HardEvent::MTE2_MTE1>(turn);                                      // @wait_l1
    WaitFlag<HardEvent::M_MTE1>(3);                                            // @wait_l0_free
    for (uint32_t m = 0; m < kSide / 16; ++m) {
      LoadData(a_buf.Get<half>()[m * 16 * kSide], a1, LoadData2DParams(m, kSide / 16, kSide / 16, 0, 0, false, 0));
    }
    for (uint32_t k = 0; k < kSide / 16; ++k) {
      LoadData(b_buf.Get<half>()[k * 16 * kSide], b1, LoadData2DParams(k, kSide / 16, kSide / 16, 0, 0, true, 0));
    }
    SetFlag<HardEvent::MTE1_MTE2>(turn);                                       // @set_l1_free
    SetFlag<HardEvent::MTE1_M>(0);                                             // @set_l0
    WaitFlag<HardEvent::MTE1_M>(0);                                            // @wait_l0
    WaitFlag<HardEvent::FIX_M>(turn);                                          // @wait_c_free
    Mmad(c, a_buf.Get<half>(), b_buf.Get<half>(), MmadParams(kSide, kSide, kSide, 0, false, true));
    SetFlag<HardEvent::M_MTE1>(3);                                             // @set_l0_free
    SetFlag<HardEvent::M_FIX>(turn);                                           // @set_c
    WaitFlag<HardEvent::M_FIX>(turn);                                          // @wait_c
    if (i >= kRing) CrossCoreWaitFlag(1);                                      // @wait_free
    Fixpipe<float, float, CFG_ROW_MAJOR>(Global<float>(workspace)[i % kRing * kTile], c,
                                         FixpipeParamsV220(kSide, kSide, kSide, kSide, false, NoQuant, 0, 1, 0, 0, 0));
    SetFlag<HardEvent::FIX_M>(turn);                                           // @set_c_free
    CrossCoreSetFlag<2, PIPE_FIX>(0);                                          // @set_ready
  }
  for (int32_t half_of = 0; half_of < 2; ++half_of) {
    WaitFlag<HardEvent::MTE1_MTE2>(half_of);
    WaitFlag<HardEvent::FIX_M>(half_of);
  }
  WaitFlag<HardEvent::M_MTE1>(3);
}

// Row sums of squares of each half tile, summed over the tiles; the last row through the scalar unit.
void Reduce(GM_ADDR out, GM_ADDR workspace, uint32_t tiles) {
  TPipe pipe;
  TQue<TPosition::VECIN, 1> in;
  TBuf<TPosition::VECCALC> square_buf, sum_buf, total_buf;
  constexpr uint32_t kRows = kSide / 2;
  pipe.InitBuffer(in, 2, kRows * kSide * 4);
  pipe.InitBuffer(square_buf, kRows * kSide * 4);
  pipe.InitBuffer(sum_buf, kRows * 4);
  pipe.InitBuffer(total_buf, kRows * 4);
  LocalTensor<float> square = square_buf.Get<float>(), sum = sum_buf.Get<float>(), total = total_buf.Get<float>();
  const uint32_t part = uint32_t(GetSubBlockIdx()) * kRows;
  Duplicate(total, 0.0f, kRows);
  for (uint32_t i = 0; i < tiles; ++i) {
    CrossCoreWaitFlag(0);                                                       // @wait_ready
    LocalTensor<float> x = in.AllocTensor<float>();                             // @alloc
    DataCopy(x, Global<float>(workspace)[i % kRing * kTile + part * kSide], kRows * kSide);
    in.EnQue(x);
    if (i + kRing < tiles) CrossCoreSetFlag<2, PIPE_MTE2>(1);                   // @set_free
    x = in.DeQue<float>();                                                      // @deque
    Mul(square, x, x, kRows * kSide);
    in.FreeTensor(x);
    PipeBarrier<PIPE_V>();                                                      // @barrier_square
    WholeReduceSum(sum, square, kSide, kRows, 1, 1, kSide / 8);
    PipeBarrier<PIPE_V>();                                                      // @barrier_sum
    Add(total, total, sum, kRows);
  }
  SetFlag<HardEvent::V_S>(0);
  WaitFlag<HardEvent::V_S>(0);                                                  // @wait_v_s
  total.SetValue(kRows - 1, total.GetValue(kRows - 1) + 1.0f);
  SetFlag<HardEvent::S_MTE3>(0);
  WaitFlag<HardEvent::S_MTE3>(0);                                               // @wait_s_mte3
  DataCopy(Global<float>(out)[part], total, kRows);
}

}  // namespace

// in: A and B, P[0] tiles of 32 x 32 halves each. out: 32 floats
TEST_KERNEL(adversary) {
  if ASCEND_IS_AIC {
    Multiply(io, workspace, uint32_t(P[0]));
  }
  if ASCEND_IS_AIV {
    Reduce(io[2], workspace, uint32_t(P[0]));
  }
}

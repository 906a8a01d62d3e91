// A dense product of halves as the public sample does it: base blocks of 128 x 256 x 64, a grid of cores, double-buffered
// L1 and L0, and optionally a GELU on the vector cores that takes each tile over while the cube works on the next.
#include "harness.h"

using namespace AscendC;

namespace {

constexpr uint32_t kM = 128, kN = 256, kStep = 64;  // of one product
constexpr uint32_t kPanel = 256;                    // columns of A and rows of B that L1 holds at once
constexpr uint32_t kRing = 2;                       // tiles between cube and vector cores

// p: m n k, cores along m, cores along n, 1 with GELU
struct Shape {
  uint32_t m, n, k, grid_m, grid_n;
  bool gelu;
  explicit Shape(const Params& P)
      : m(uint32_t(P[0])), n(uint32_t(P[1])), k(uint32_t(P[2])), grid_m(uint32_t(P[3])), grid_n(uint32_t(P[4])),
        gelu(P[5] != 0) {}
};

// The tiles of one core: a rectangle of the grid, row after row; the last rectangles take what is left.
template <typename Visit>
void ForTiles(const Shape& s, uint32_t core, Visit visit) {
  const auto split = [](uint32_t total, uint32_t parts, uint32_t i) {
    return std::min(total, (total + parts - 1) / parts * i);
  };
  const uint32_t i = core / s.grid_n, j = core % s.grid_n, tiles_m = s.m / kM, tiles_n = s.n / kN;
  uint32_t count = 0;
  for (uint32_t m = split(tiles_m, s.grid_m, i); m < split(tiles_m, s.grid_m, i + 1); ++m) {
    for (uint32_t n = split(tiles_n, s.grid_n, j); n < split(tiles_n, s.grid_n, j + 1); ++n) visit(m, n, count++);
  }
}

LoadData3DParamsV2<half> Block(uint32_t rows, uint32_t channels, uint32_t k_ext, uint32_t m_ext, uint32_t k0,
                               uint32_t m0) {
  LoadData3DParamsV2<half> p;
  p.l1H = 1;
  p.l1W = uint16_t(rows);
  p.channelSize = uint16_t(channels);
  p.kExtension = uint16_t(k_ext);
  p.mExtension = uint16_t(m_ext);
  p.kStartPt = uint16_t(k0);
  p.mStartPt = uint16_t(m0);
  p.strideW = p.strideH = p.filterW = p.filterH = p.dilationFilterW = p.dilationFilterH = 1;
  return p;
}

void Cube(GM_ADDR* io, GM_ADDR workspace, const Shape& s) {
  TPipe pipe;
  TBuf<TPosition::A1> a1_buf, b1_buf;
  TBuf<TPosition::A2> a2_buf;
  TBuf<TPosition::B2> b2_buf;
  TBuf<TPosition::CO1> c_buf;
  pipe.InitBuffer(a1_buf, 2 * kM * kPanel * 2);
  pipe.InitBuffer(b1_buf, 2 * kPanel * kN * 2);
  pipe.InitBuffer(a2_buf, 2 * kM * kStep * 2);
  pipe.InitBuffer(b2_buf, 2 * kStep * kN * 2);
  pipe.InitBuffer(c_buf, kM * kN * 4);
  LocalTensor<half> a1 = a1_buf.Get<half>(), b1 = b1_buf.Get<half>(), a2 = a2_buf.Get<half>(), b2 = b2_buf.Get<half>();
  LocalTensor<float> c = c_buf.Get<float>();
  GlobalTensor<half> a = Global<half>(io[0]), b = Global<half>(io[1]);
  uint32_t panel = 0, step = 0;
  for (int32_t turn = 0; turn < 2; ++turn) {
    SetFlag<HardEvent::MTE1_MTE2>(turn);
    SetFlag<HardEvent::M_MTE1>(3 + turn);
  }
  ForTiles(s, uint32_t(GetBlockIdx()), [&](uint32_t tile_m, uint32_t tile_n, uint32_t count) {
    for (uint32_t k = 0; k < s.k; k += kPanel, ++panel) {
      const uint32_t turn = panel & 1;
      const LocalTensor<half> al = a1[turn * kM * kPanel], bl = b1[turn * kPanel * kN];
      WaitFlag<HardEvent::MTE1_MTE2>(int32_t(turn));
      DataCopy(bl, b[uint64_t(k) * s.n + tile_n * kN], Nd2NzParams(1, kPanel, kN, 0, uint16_t(s.n), kPanel, 1, 0));
      DataCopy(al, a[uint64_t(tile_m) * kM * s.k + k], Nd2NzParams(1, kM, kPanel, 0, uint16_t(s.k), kM, 1, 0));
      SetFlag<HardEvent::MTE2_MTE1>(int32_t(turn));
      WaitFlag<HardEvent::MTE2_MTE1>(int32_t(turn));
      for (uint32_t k0 = 0; k0 < kPanel; k0 += kStep, ++step) {
        const uint32_t half_of = step & 1;
        const LocalTensor<half> a0 = a2[half_of * kM * kStep], b0 = b2[half_of * kStep * kN];
        WaitFlag<HardEvent::M_MTE1>(3 + int32_t(half_of));
        LoadData(a0, al, Block(kM, kPanel, kStep, kM, k0, 0));
        LoadData(b0, bl, Block(kPanel, kN, kN, kStep, 0, k0));
        SetFlag<HardEvent::MTE1_M>(int32_t(half_of));
        WaitFlag<HardEvent::MTE1_M>(int32_t(half_of));
        const bool last = k + k0 + kStep == s.k;
        Mmad(c, a0, b0, MmadParams(kM, kN, kStep, last ? 3 : 2, false, k + k0 == 0));
        SetFlag<HardEvent::M_MTE1>(3 + int32_t(half_of));
      }
      SetFlag<HardEvent::MTE1_MTE2>(int32_t(turn));
    }
    FixpipeParamsV220 fix(kN, kM, kM, s.gelu ? kN : s.n, false);
    fix.unitFlag = 3;
    if (!s.gelu) {
      fix.quantPre = F322F16;
      const uint64_t to = uint64_t(tile_m) * kM * s.n + tile_n * kN;
      Fixpipe<half, float, CFG_ROW_MAJOR>(Global<half>(io[2])[to], c, fix);
      return;
    }
    if (count >= kRing) CrossCoreWaitFlag(1);
    const uint64_t slot = uint64_t(GetBlockIdx()) * kRing + count % kRing;
    Fixpipe<float, float, CFG_ROW_MAJOR>(Global<float>(workspace)[slot * kM * kN], c, fix);
    CrossCoreSetFlag<2, PIPE_FIX>(0);
  });
  for (int32_t turn = 0; turn < 2; ++turn) {
    WaitFlag<HardEvent::MTE1_MTE2>(turn);
    WaitFlag<HardEvent::M_MTE1>(3 + turn);
  }
}

// x / (1 + exp(-1.5957691 (x + 0.044715 x^3))) over n floats, through scratch.
void Gelu(const LocalTensor<float>& y, const LocalTensor<float>& x, int32_t n) {
  Mul(y, x, x, n);
  PipeBarrier<PIPE_V>();
  Muls(y, y, -1.5957691f * 0.044715f, n);
  PipeBarrier<PIPE_V>();
  Adds(y, y, -1.5957691f, n);
  PipeBarrier<PIPE_V>();
  Mul(y, y, x, n);
  PipeBarrier<PIPE_V>();
  Exp(y, y, n);
  PipeBarrier<PIPE_V>();
  Adds(y, y, 1.0f, n);
  PipeBarrier<PIPE_V>();
  Div(y, x, y, n);
}

struct Strips {
  TPipe pipe;
  TQue<TPosition::VECIN, 1> in;
  TQue<TPosition::VECOUT, 1> out;
  TBuf<TPosition::VECCALC> spacer;
  explicit Strips(uint32_t n) {
    pipe.InitBuffer(in, 2, n * 4);
    pipe.InitBuffer(spacer, 256);
    pipe.InitBuffer(out, 2, n * 4);
  }
  // y = gelu(x) for rows x columns floats: rows are `from_pitch` and `to_pitch` apart.
  void Run(const GlobalTensor<float>& from, const GlobalTensor<float>& to, uint32_t rows, uint32_t columns,
           uint32_t from_pitch, uint32_t to_pitch) {
    LocalTensor<float> x = in.AllocTensor<float>();
    DataCopyPad(x, from, DataCopyExtParams(rows, columns * 4, (from_pitch - columns) * 4, 0, 0),
                DataCopyPadExtParams<float>());
    in.EnQue(x);
    x = in.DeQue<float>();
    LocalTensor<float> y = out.AllocTensor<float>();
    Gelu(y, x, int32_t(rows * columns));
    in.FreeTensor(x);
    out.EnQue(y);
    y = out.DeQue<float>();
    DataCopyPad(to, y, DataCopyExtParams(rows, columns * 4, 0, (to_pitch - columns) * 4, 0));
    out.FreeTensor(y);
  }
};

void Vector(GM_ADDR* io, GM_ADDR workspace, const Shape& s) {
  constexpr uint32_t kRows = 32;
  Strips strips(kRows * kN);
  const uint32_t core = uint32_t(GetBlockIdx() / GetTaskRatio()), part = uint32_t(GetSubBlockIdx()) * kM / 2;
  const auto tiles = [&](uint32_t* n) { ForTiles(s, core, [&](uint32_t, uint32_t, uint32_t) { ++*n; }); };
  uint32_t total = 0;
  tiles(&total);
  ForTiles(s, core, [&](uint32_t tile_m, uint32_t tile_n, uint32_t count) {
    CrossCoreWaitFlag(0);
    GlobalTensor<float> tile = Global<float>(workspace)[(uint64_t(core) * kRing + count % kRing) * kM * kN];
    GlobalTensor<float> out = Global<float>(io[2])[uint64_t(tile_m) * kM * s.n + tile_n * kN];
    for (uint32_t r = part; r < part + kM / 2; r += kRows) {
      strips.Run(tile[r * kN], out[uint64_t(r) * s.n], kRows, kN, kN, s.n);
    }
    if (count + kRing < total) CrossCoreSetFlag<2, PIPE_MTE2>(1);
  });
}

}  // namespace

TEST_KERNEL(matmul) {
  const Shape s(P);
  if ASCEND_IS_AIC {
    Cube(io, workspace, s);
  }
  if ASCEND_IS_AIV {
    if (s.gelu) Vector(io, workspace, s);
  }
}

// GELU of P[0] x P[1] floats, alone.
TEST_KERNEL(matmul_gelu_alone) {
  constexpr uint32_t kRows = 8, kColumns = 1024;
  Strips strips(kRows * kColumns);
  const uint32_t across = uint32_t(P[1]) / kColumns, total = uint32_t(P[0]) / kRows * across;
  for (uint32_t i = uint32_t(GetBlockIdx()); i < total; i += uint32_t(GetBlockNum())) {
    const uint64_t at = uint64_t(i / across) * kRows * uint64_t(P[1]) + uint64_t(i % across) * kColumns;
    strips.Run(Global<float>(io[0])[at], Global<float>(io[1])[at], kRows, kColumns, uint32_t(P[1]), uint32_t(P[1]));
  }
}

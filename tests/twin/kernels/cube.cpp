// One matrix product, with every way of loading its operands and of storing its result.
#include "harness.h"

using namespace AscendC;

namespace {

enum Load { k2d = 0, k2dTransposed, k3d, k3dTransposed, kWithTranspose };
enum Store { kRows = 0, kFractals, kToL1 };

// p: m n k, rows of a and of b in L1, load of a, load of b, bias (0 none, 1 float, 2 half), products accumulated,
//    store, result (0 float, 1 half, 2 bf16), relu, row pitch, columns and rows stored, first k and first m of a,
//    first k of b, columns of a and b in L1, bytes of the result
struct Call {
  uint32_t m, n, k, a_rows, b_rows;
  Load load_a, load_b;
  uint32_t bias, times;
  Store store;
  uint32_t out;
  bool relu;
  uint32_t pitch, n_out, m_out, a_k, a_m, b_k, a_cols, b_cols, out_bytes;
  explicit Call(const Params& P)
      : m(uint32_t(P[0])), n(uint32_t(P[1])), k(uint32_t(P[2])), a_rows(uint32_t(P[3])), b_rows(uint32_t(P[4])),
        load_a(Load(P[5])), load_b(Load(P[6])), bias(uint32_t(P[7])), times(uint32_t(P[8])), store(Store(P[9])),
        out(uint32_t(P[10])), relu(P[11] != 0), pitch(uint32_t(P[12])), n_out(uint32_t(P[13])), m_out(uint32_t(P[14])),
        a_k(uint32_t(P[15])), a_m(uint32_t(P[16])), b_k(uint32_t(P[17])), a_cols(uint32_t(P[18])),
        b_cols(uint32_t(P[19])), out_bytes(uint32_t(P[20])) {}
};

uint32_t Blocks(uint32_t v) { return (v + 15) / 16; }

template <typename T>
LoadData3DParamsV2<T> Block(uint32_t rows, uint32_t columns, uint32_t k_ext, uint32_t m_ext, uint32_t k0, uint32_t m0,
                            bool transpose) {
  LoadData3DParamsV2<T> p;
  p.l1H = 1;
  p.l1W = uint16_t(rows);
  p.channelSize = uint16_t(columns);
  p.kExtension = uint16_t(k_ext);
  p.mExtension = uint16_t(m_ext);
  p.kStartPt = uint16_t(k0);
  p.mStartPt = uint16_t(m0);
  p.enTranspose = transpose;
  return p;
}

// L0A: rows of fractals along m. A plain source holds [m, k], a transposed one [k, m].
template <typename T>
void LoadA(const Call& c, const LocalTensor<T>& a2, const LocalTensor<T>& a1) {
  const uint32_t kb = Blocks(c.k), rows = Blocks(c.a_rows);
  if (c.load_a == k3d) {
    LoadData(a2, a1, Block<T>(c.a_rows, c.a_cols, c.k, c.m, c.a_k, c.a_m, false));
    return;
  }
  if (c.load_a == k3dTransposed) {
    LoadData(a2, a1, Block<T>(c.a_rows, c.a_cols, c.m, c.k, c.a_m, c.a_k, true));
    return;
  }
  for (uint32_t i = 0; i < Blocks(c.m); ++i) {
    const LocalTensor<T> to = a2[i * kb * 256];
    if (c.load_a == k2d) LoadData(to, a1, LoadData2DParams(i, kb, rows, 0, 0, false, 0));
    if (c.load_a == k2dTransposed) LoadData(to, a1, LoadData2DParams(i * rows, kb, 1, 0, 0, true, 0));
    if (c.load_a == kWithTranspose) LoadDataWithTranspose(to, a1, LoadData2dTransposeParams(i * rows, kb, 1, 0, 0, 0));
  }
}

// L0B: rows of fractals along k, each transposed. A plain source holds [n, k], a transposed one [k, n].
template <typename T>
void LoadB(const Call& c, const LocalTensor<T>& b2, const LocalTensor<T>& b1) {
  const uint32_t nb = Blocks(c.n), rows = Blocks(c.b_rows);
  if (c.load_b == k3d) {
    LoadData(b2, b1, Block<T>(c.b_rows, c.b_cols, c.n, c.k, 0, c.b_k, false));
    return;
  }
  for (uint32_t i = 0; i < Blocks(c.k); ++i) {
    const LocalTensor<T> to = b2[i * nb * 256];
    if (c.load_b == k2d) LoadData(to, b1, LoadData2DParams(i * rows, nb, 1, 0, 0, false, 0));
    if (c.load_b == k2dTransposed) LoadData(to, b1, LoadData2DParams(i, nb, rows, 0, 0, true, 0));
    if (c.load_b == kWithTranspose) LoadDataWithTranspose(to, b1, LoadData2dTransposeParams(i, nb, rows, 0, 0, 0));
  }
}

template <typename Out, typename T>
void Save(const Call& c, GM_ADDR out, const LocalTensor<float>& result, const LocalTensor<T>& l1) {
  FixpipeParamsV220 p(c.n_out, c.m_out, Blocks(c.m) * 16, c.pitch, c.relu);
  p.quantPre = std::is_same<Out, float>::value ? NoQuant : std::is_same<Out, half>::value ? F322F16 : F322BF16;
  if (c.store == kRows) Fixpipe<Out, float, CFG_ROW_MAJOR>(Global<Out>(out), result, p);
  if (c.store == kFractals) Fixpipe<Out, float, CFG_NZ>(Global<Out>(out), result, p);
  if constexpr (!std::is_same<Out, float>::value) {
    if (c.store == kToL1) {
      Fixpipe<Out, float, CFG_NZ>(l1.template ReinterpretCast<Out>(), result, p);
      PipeBarrier<PIPE_ALL>();
      DataCopy(Global<Out>(out), l1.template ReinterpretCast<Out>(), c.out_bytes / uint32_t(sizeof(Out)));
    }
  }
}

template <typename T>
void Product(GM_ADDR* io, const Params& P) {
  const Call c(P);
  TPipe pipe;
  TBuf<TPosition::A1> a1_buf, b1_buf, c1_buf;
  TBuf<TPosition::A2> a2_buf;
  TBuf<TPosition::B2> b2_buf;
  TBuf<TPosition::C2> bias_buf;
  TBuf<TPosition::CO1> c_buf;
  const uint32_t a_size = c.a_rows * c.a_cols * uint32_t(sizeof(T)), b_size = c.b_rows * c.b_cols * uint32_t(sizeof(T));
  pipe.InitBuffer(a1_buf, a_size);
  pipe.InitBuffer(b1_buf, b_size);
  pipe.InitBuffer(c1_buf, 65536);
  pipe.InitBuffer(a2_buf, 65536);
  pipe.InitBuffer(b2_buf, 65536);
  pipe.InitBuffer(bias_buf, 1024);
  pipe.InitBuffer(c_buf, Blocks(c.m) * Blocks(c.n) * 1024);
  const LocalTensor<T> a1 = a1_buf.Get<T>(), b1 = b1_buf.Get<T>(), c1 = c1_buf.Get<T>();
  const LocalTensor<T> a2 = a2_buf.Get<T>(), b2 = b2_buf.Get<T>();
  const LocalTensor<float> bias = bias_buf.Get<float>(), result = c_buf.Get<float>();
  DataCopy(a1, Global<T>(io[0]), a_size / uint32_t(sizeof(T)));
  DataCopy(b1, Global<T>(io[1]), b_size / uint32_t(sizeof(T)));
  const uint32_t width = Blocks(c.n) * 16;
  if (c.bias == 1) DataCopy(c1.template ReinterpretCast<float>(), Global<float>(io[2]), width);
  if (c.bias == 2) DataCopy(c1.template ReinterpretCast<half>(), Global<half>(io[2]), width);
  PipeBarrier<PIPE_ALL>();
  if (c.bias == 1) DataCopy(bias, c1.template ReinterpretCast<float>(), DataCopyParams(1, width / 8, 0, 0));
  if (c.bias == 2) DataCopy(bias, c1.template ReinterpretCast<half>(), DataCopyParams(1, width / 16, 0, 0));
  LoadA(c, a2, a1);
  LoadB(c, b2, b1);
  PipeBarrier<PIPE_ALL>();
  for (uint32_t i = 0; i < c.times; ++i) {
    if (c.bias != 0 && i == 0) {
      Mmad(result, a2, b2, bias, MmadParams(c.m, c.n, c.k, 0, true, false));
    } else {
      Mmad(result, a2, b2, MmadParams(c.m, c.n, c.k, 0, false, i == 0));
    }
    PipeBarrier<PIPE_ALL>();
  }
  GM_ADDR out = io[3];
  if (c.out == 0) Save<float>(c, out, result, c1);
  if (c.out == 1) Save<half>(c, out, result, c1);
  if (c.out == 2) Save<bfloat16_t>(c, out, result, c1);
}

}  // namespace

TEST_KERNEL(product_half) { Product<half>(io, P); }
TEST_KERNEL(product_bf16) { Product<bfloat16_t>(io, P); }

// p: repeats, blocks, gap, bytes. L1 is filled as told over what was there before.
TEST_KERNEL(fill_l1) {
  TPipe pipe;
  TBuf<TPosition::A1> buf;
  pipe.InitBuffer(buf, uint32_t(P[3]));
  LocalTensor<half> l1 = buf.Get<half>();
  DataCopy(l1, Global<half>(io[0]), uint32_t(P[3] / 2));
  PipeBarrier<PIPE_ALL>();
  InitConstValue(l1, InitConstValueParams<half>(P[0], P[1], P[2], half(1.5f)));
  PipeBarrier<PIPE_ALL>();
  DataCopy(Global<half>(io[1]), l1, uint32_t(P[3] / 2));
}

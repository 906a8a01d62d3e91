// Matrix multiply: A from L0A (Zz), B from L0B (Zn), C in L0C (Nz). Products are exact, sums are fp32; the order of
// summation is the launch's choice, since the hardware's is not published.
#include <cstring>
#include <vector>

#include "launch.h"
#include "product.h"
#include "twin/cube.h"

namespace twin {

namespace {

uint32_t Up(uint32_t v, uint32_t to) { return (v + to - 1) / to; }

// Ranges of a matrix in fractals that hold real data: `rows` of every fractal row, `cols` of every fractal column.
// A fractal is `frac_rows` rows of 32 B with `frac_cols` elements each.
void FractalSpans(Instr& in, const TensorRef& t, uint32_t rows, uint32_t cols, uint32_t elem_bytes) {
  const uint32_t per_row = 32 / elem_bytes, col_blocks = Up(cols, per_row), full = cols / per_row;
  const uint32_t tail = (cols % per_row) * elem_bytes, whole_rows = rows / kTile;
  if (full && whole_rows) in.spans.push_back(Touch(t, 0, full * 512, false, whole_rows, int64_t(col_blocks) * 512));
  for (uint32_t i = tail ? 0 : whole_rows; i < Up(rows, kTile); ++i) {
    const uint32_t r = std::min(kTile, rows - i * kTile);
    const int64_t base = int64_t(i) * col_blocks * 512;
    if (full && r < kTile) in.spans.push_back(Touch(t, base, r * 32, false, full, 512));
    if (tail) in.spans.push_back(Touch(t, base + int64_t(full) * 512, tail, false, r, 32));
  }
}

// L0B is Zn: fractal rows run over k, and inside a fractal each 32 B row is one n.
void FractalSpansB(Instr& in, const TensorRef& t, uint32_t k, uint32_t n, uint32_t elem_bytes) {
  const uint32_t per_row = 32 / elem_bytes, n_blocks = Up(n, kTile), full = k / per_row;
  const uint32_t tail = (k % per_row) * elem_bytes;
  // n rows are contiguous over the fractals of one k block
  if (full) in.spans.push_back(Touch(t, 0, n * 32, false, full, int64_t(n_blocks) * 512));
  if (tail) in.spans.push_back(Touch(t, int64_t(full) * n_blocks * 512, tail, false, n, 32));
}

struct Shape {
  uint32_t m, n, k;
};

struct Product {
  Shape s;
  uint64_t a, b, c, bias;
  ElemType in;
  bool accumulate, has_bias;
  SumOrder order;
};

// Rows of 32 B, one after the other, as floats; rows beyond the memory's end, which are padding, are not.
void Unpack(Mem mem, uint64_t addr, ElemType type, size_t rows, float* out) {
  const uint8_t* const from = Raw(mem, addr);
  rows = std::min(rows, (Cur().state->bank[int(mem)].size - addr) / 32);
  if (type == ElemType::kFloat) {
    std::memcpy(out, from, rows * 32);
  } else if (type == ElemType::kHalf) {
    Arithmetic().from_half(from, uint32_t(rows) * kTile, out);
  } else {
    Arithmetic().from_bf16(from, uint32_t(rows) * kTile, out);
  }
}

void RunProduct(const Product& p) {
  const uint32_t elem = p.in == ElemType::kFloat ? 4 : 2, per_row = 32 / elem;
  const uint32_t k_blocks = Up(p.s.k, per_row), n_blocks = Up(p.s.n, kTile), m_pad = Up(p.s.m, kTile) * kTile;
  const uint32_t depth = k_blocks * per_row;
  static thread_local std::vector<float> a, b, rows_of;
  a.resize(size_t(m_pad) * depth);
  b.resize(size_t(depth) * n_blocks * kTile);
  rows_of.resize(b.size());
  Unpack(Mem::L0A, p.a, p.in, size_t(m_pad) * k_blocks, a.data());
  // A row of 32 B holds consecutive k of one n: transposed, a block is a piece of a panel.
  Unpack(Mem::L0B, p.b, p.in, size_t(n_blocks) * kTile * k_blocks, rows_of.data());
  for (uint32_t kb = 0; kb < k_blocks; ++kb) {
    const float* const from = &rows_of[size_t(kb) * n_blocks * kTile * per_row];
    if (per_row == kTile) {
      Arithmetic().transpose({from, &b[size_t(kb) * kTile * kTile], n_blocks, depth * kTile});
      continue;
    }
    for (uint32_t n = 0; n < n_blocks * kTile; ++n) {
      float* const to = &b[size_t(n / kTile) * depth * kTile + size_t(kb) * per_row * kTile + n % kTile];
      for (uint32_t k = 0; k < per_row; ++k) to[k * kTile] = from[n * per_row + k];
    }
  }
  float* const c = reinterpret_cast<float*>(Raw(Mem::L0C, p.c));
  const auto c_at = [&](uint32_t m, uint32_t n) { return c + (size_t(n / kTile) * m_pad + m) * kTile + n % kTile; };
  if (!p.accumulate) {
    for (uint32_t n = 0; n < p.s.n; n += kTile) {
      float start[kTile] = {};
      if (p.has_bias) std::memcpy(start, Raw(Mem::BT, p.bias + n * 4), std::min(kTile, p.s.n - n) * 4);
      for (uint32_t m = 0; m < p.s.m; ++m) std::memcpy(c_at(m, n), start, sizeof(start));
    }
  }
  // Whole blocks of 16 columns: those beyond n are as undefined afterwards as they were before.
  Arithmetic().multiply({p.s.m, p.s.n, p.s.k, per_row, depth, m_pad, a.data(), b.data(), c, p.order});
  // What the padding holds afterwards is undefined.
  const uint32_t n_pad = n_blocks * kTile;
  if (m_pad != p.s.m || n_pad != p.s.n) {
    for (uint32_t n = 0; n < n_pad; ++n) {
      for (uint32_t m = n < p.s.n ? p.s.m : 0; m < m_pad; ++m) Poison(reinterpret_cast<uint8_t*>(c_at(m, n)), 4);
    }
  }
  if (!Cur().launch->track_init) return;
  MarkUninit(Mem::L0C, p.c, uint64_t(m_pad) * n_pad * 4);
  for (uint32_t j = 0; j < n_blocks; ++j) {
    const uint32_t cols = std::min(kTile, p.s.n - j * kTile);
    const uint64_t base = p.c + uint64_t(j) * m_pad * 64;
    if (cols == kTile) {
      MarkInit(Mem::L0C, base, uint64_t(p.s.m) * 64);
    } else {
      for (uint32_t m = 0; m < p.s.m; ++m) MarkInit(Mem::L0C, base + m * 64, cols * 4);
    }
  }
}

}  // namespace

void MmadIssue(const TensorRef& c, const TensorRef& a, const TensorRef& b, const TensorRef* bias,
               const AscendC::MmadParams& p, ElemType in_type, ElemType out_type, Loc loc) {
  const char* name = "Mmad";
  if (!p.m || !p.n || !p.k) return;  // the hardware does nothing either
  if (c.mem != Mem::L0C || a.mem != Mem::L0A || b.mem != Mem::L0B || (bias && bias->mem != Mem::BT)) {
    Report(Rule::kPosition, "Mmad wants its result at CO1, its operands at A2 and B2, its bias at C2", loc);
    return;
  }
  if (out_type != ElemType::kFloat) {
    Report(Rule::kDtype, "the twin models Mmad with a float result only", loc);
    return;
  }
  if (p.m > 4095 || p.n > 4095 || p.k > 4095) {
    Report(Rule::kParameter, Format("Mmad m %u n %u k %u: each is at most 4095", uint32_t(p.m), uint32_t(p.n), uint32_t(p.k)),
           loc);
    return;
  }
  if (p.m == 1) {
    Report(Rule::kGemvTrap, "Mmad with m == 1 switches to GEMV mode and reads A as plain ND: use m >= 2", loc);
    return;
  }
  if (p.unitFlag != 0 && p.unitFlag != 2 && p.unitFlag != 3) {
    Report(Rule::kUnitFlag, Format("Mmad unitFlag %u: 0, 2 or 3", uint32_t(p.unitFlag)), loc);
  }
  CheckAligned(c, name, "the result", loc, 1024);
  CheckAligned(a, name, "A", loc);
  CheckAligned(b, name, "B", loc);
  if (bias) CheckAligned(*bias, name, "the bias", loc);
  const bool accumulate = !p.cmatrixInitVal && !bias && !p.cmatrixSource;
  if (p.cmatrixSource && !bias) {
    Report(Rule::kParameter, "Mmad with cmatrixSource takes the initial value from the bias table: use the overload with a bias",
           loc);
  }
  const uint32_t elem = in_type == ElemType::kFloat ? 4 : 2;
  const uint32_t m_blocks = Up(p.m, kTile), n_blocks = Up(p.n, kTile);
  Core& core = Cur();
  Instr in(Pipe::M, name, loc);
  const uint32_t c_bytes = m_blocks * n_blocks * kTile * kTile * 4;
  if (NeedSpans()) {
    FractalSpans(in, a, p.m, p.k, elem);
    FractalSpansB(in, b, p.k, p.n, elem);
    if (bias) in.spans.push_back(Touch(*bias, 0, p.n * 4, false));
    if (accumulate) {
      const uint32_t full = p.n / kTile, tail = p.n % kTile;
      if (full) in.spans.push_back(Touch(c, 0, p.m * 64, false, full, int64_t(m_blocks) * kTile * 64));
      if (tail) in.spans.push_back(Touch(c, int64_t(full) * m_blocks * kTile * 64, tail * 4, false, p.m, 64));
    }
    Span w = Touch(c, 0, c_bytes, true);
    w.copy = true;  // `run` knows which elements are real
    in.spans.push_back(w);
  }
  in.in_order = m_blocks * n_blocks >= 10;
  const uint32_t k_unit = in_type == ElemType::kFloat ? 4 : 16;  // fp32 at a quarter of the rate
  const uint64_t products = uint64_t(m_blocks) * n_blocks * Up(p.k, k_unit);
  in.cost.cycles = uint32_t(model::kMmadIssue + double(products));
  in.cost.latency = uint32_t(model::kMmadLatency);
  in.cost.macs_useful = uint64_t(p.m) * p.n * p.k;
  in.cost.macs_padded = uint64_t(m_blocks) * n_blocks * Up(p.k, kTile) * 4096;
  const Product product{{p.m, p.n, p.k}, a.addr, b.addr, c.addr, bias ? bias->addr : 0, in_type, accumulate,
                        bias != nullptr, SumOrder(core.launch->settings.mmad_order)};
  in.run = [product] { RunProduct(product); };
  UnitFlagBeforeMmad(core, p.unitFlag);
  Issue(std::move(in));
  UnitFlagAfterMmad(core, p.unitFlag, {c.addr, p.m, p.n}, loc);
}

void SetMmLayout(bool row_major, Loc loc) {
  Step(loc);
  (void)row_major;  // how the cube walks L0C; it changes timing and the unit flag's order, not the result
}

}  // namespace twin

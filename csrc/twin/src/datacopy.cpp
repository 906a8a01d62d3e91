// Moves between GM, UB, L1 and the tables, byte for byte, with the hardware's rounding and padding rules.
#include "twin/datacopy.h"

#include <cstring>

#include "copy.h"
#include "twin/system.h"

namespace twin {

namespace {

constexpr uint32_t kUnit = 32;
constexpr uint32_t kMaxBlocks = 4095;

bool Even(uint64_t a, uint64_t b) { return a % b == 0; }

void CheckCount(uint32_t count, const char* name, Loc loc) {
  if (count > kMaxBlocks) Report(Rule::kParameter, Format("%s: blockCount %u, the limit is 4095", name, count), loc);
}

// The operand a GM copy may touch: UB on a vector core, L1 on a cube core.
bool GmPartner(const TensorRef& t, bool in, const char* name, Loc loc) {
  if (t.mem == Mem::UB || t.mem == Mem::L1) return true;
  Report(Rule::kPosition, Format("%s %s %s does not exist", name, in ? "from GM to" : "to GM from", Name(t.mem)), loc);
  return false;
}

Cost GmCost(uint32_t len, uint32_t count) {
  Cost cost;
  cost.burst_bytes = len;
  cost.bursts = count;
  return cost;
}

}  // namespace

void AtomicStore(uint8_t* dst, const uint8_t* src, uint32_t bytes, Atomic mode, ElemType type) {
  const auto apply = [&](auto zero, auto to_float, auto from_float) {
    using T = decltype(zero);
    for (uint32_t i = 0; i < bytes / sizeof(T); ++i) {
      T a, b;
      std::memcpy(&a, dst + i * sizeof(T), sizeof(T));
      std::memcpy(&b, src + i * sizeof(T), sizeof(T));
      const auto x = to_float(a), y = to_float(b);
      const T r = from_float(mode == Atomic::kAdd ? x + y : mode == Atomic::kMax ? std::max(x, y) : std::min(x, y));
      std::memcpy(dst + i * sizeof(T), &r, sizeof(T));
    }
  };
  const auto whole = [](auto v) { return int64_t(v); };
  const auto real = [](auto v) { return float(v); };
  switch (type) {
    case ElemType::kFloat: apply(float{}, real, [](float v) { return v; }); break;
    case ElemType::kHalf: apply(half{}, real, [](float v) { return half(v); }); break;
    case ElemType::kBf16: apply(bfloat16_t{}, real, [](float v) { return bfloat16_t(v); }); break;
    case ElemType::kInt32: apply(int32_t{}, whole, [](int64_t v) { return int32_t(v); }); break;
    case ElemType::kInt16: apply(int16_t{}, whole, [](int64_t v) { return int16_t(v); }); break;
    default: apply(int8_t{}, whole, [](int64_t v) { return int8_t(v); }); break;
  }
}

Span GmWrite(const GlobalRef& dst, int64_t offset, uint32_t len, uint32_t count, int64_t stride, ElemType type,
             Loc loc) {
  Span s = Touch(dst, offset, len, true, count, stride);
  const SprState& spr = Cur().spr;
  s.atomic = spr.atomic != Atomic::kNone;
  s.copy = !s.atomic;
  if (s.atomic && spr.atomic_type != type) {
    Report(Rule::kDtype, Format("a copy of %s while the atomic mode was set for %s", Name(type), Name(spr.atomic_type)),
           loc, spr.atomic_loc);
  }
  return s;
}

// An atomic store reads what is there: it must have been written before.
void AddAtomicRead(Instr& in, const Span& write) {
  if (!write.atomic) return;
  Span r = write;
  r.write = false;
  in.spans.push_back(r);
}

BlockCopy CountCopy(uint64_t bytes, const char* name, Loc loc) {
  if (bytes % kUnit) {
    Report(Rule::kRoundsDown, Format("%s of %llu bytes copies only %llu: a count is rounded down to 32 bytes", name,
           static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(bytes / kUnit * kUnit)), loc);
  }
  return {1, uint32_t(bytes / kUnit * kUnit), 0, 0};
}

BlockCopy ParamsCopy(const AscendC::DataCopyParams& p, const char* name, Loc loc) {
  CheckCount(p.blockCount, name, loc);
  return {p.blockCount, uint32_t(p.blockLen) * kUnit, uint64_t(p.srcStride) * kUnit, uint64_t(p.dstStride) * kUnit};
}

void CopyIn(const TensorRef& dst, const GlobalRef& src, const BlockCopy& c, const char* name, Loc loc) {
  if (!GmPartner(dst, true, name, loc) || !c.count || !c.len) return;
  CheckAligned(dst, name, "the destination", loc);
  const int64_t from = int64_t(c.len + c.src_gap), to = int64_t(c.len + c.dst_gap);
  Instr in(Pipe::MTE2, name, loc);
  Span r = Touch(src, 0, c.len, false, c.count, from), w = Touch(dst, 0, c.len, true, c.count, to);
  r.copy = w.copy = true;
  in.spans.push_back(r);
  in.spans.push_back(w);
  in.cost = GmCost(c.len, c.count);
  in.run = [=] {
    MoveBytes({w.mem, w.addr, to}, {Mem::GM, r.addr, from}, c.len, c.count);
  };
  Issue(std::move(in));
}

void CopyOut(const GlobalRef& dst, const TensorRef& src, const BlockCopy& c, ElemType type, const char* name,
             Loc loc) {
  if (!GmPartner(src, false, name, loc) || !c.count || !c.len) return;
  CheckAligned(src, name, "the source", loc);
  const int64_t from = int64_t(c.len + c.src_gap), to = int64_t(c.len + c.dst_gap);
  Instr in(Pipe::MTE3, name, loc);
  Span r = Touch(src, 0, c.len, false, c.count, from);
  const Span w = GmWrite(dst, 0, c.len, c.count, to, type, loc);
  r.copy = !w.atomic;
  in.spans.push_back(r);
  AddAtomicRead(in, w);
  in.spans.push_back(w);
  in.cost = GmCost(c.len, c.count);
  const SprState spr = Cur().spr;
  in.run = [=, mode = spr.atomic] {
    for (uint32_t i = 0; i < c.count; ++i) {
      const uint64_t d = w.addr + uint64_t(i) * uint64_t(to), s = r.addr + uint64_t(i) * uint64_t(from);
      if (mode == Atomic::kNone) {
        MoveBytes(Mem::GM, d, r.mem, s, c.len);
      } else {
        AtomicStore(Raw(Mem::GM, d), Raw(r.mem, s), c.len, mode, type);
      }
    }
  };
  Issue(std::move(in));
}

void CopyLocal(const TensorRef& dst, const TensorRef& src, const BlockCopy& c, ElemType dst_type, ElemType src_type,
               Loc loc) {
  if (!c.count || !c.len) return;
  const bool table = src.mem == Mem::L1 && (dst.mem == Mem::BT || dst.mem == Mem::FB);
  if (!table && !(src.mem == Mem::UB && dst.mem == Mem::UB)) {
    Report(Rule::kPosition, Format("DataCopy from %s to %s does not exist on 2201", Name(src.mem), Name(dst.mem)), loc);
    return;
  }
  CheckAligned(src, "DataCopy", "the source", loc);
  CheckAligned(dst, "DataCopy", "the destination", loc);
  const Pipe pipe = dst.mem == Mem::BT ? Pipe::MTE1 : dst.mem == Mem::FB ? Pipe::FIX : Pipe::V;
  const bool widen = src_type == ElemType::kHalf && dst_type == ElemType::kFloat;
  if (src_type != dst_type && !(dst.mem == Mem::BT && widen)) {
    Report(Rule::kDtype, Format("DataCopy of %s into %s: the bias table takes half or float as float, int32 as int32",
           Name(src_type), Name(dst_type)), loc);
    return;
  }
  const uint32_t grow = widen ? 2 : 1;
  const uint32_t out_len = c.len * grow;
  if (dst.mem == Mem::BT && (out_len % 64 || c.dst_gap)) {
    Report(Rule::kParameter, Format("the bias table takes contiguous multiples of 64 bytes, not %u", out_len), loc);
  }
  const int64_t from = int64_t(c.len + c.src_gap), to = int64_t(out_len + c.dst_gap);
  Instr in(pipe, "DataCopy", loc);
  Span r = Touch(src, 0, c.len, false, c.count, from), w = Touch(dst, 0, out_len, true, c.count, to);
  r.copy = w.copy = !widen;
  in.spans.push_back(r);
  in.spans.push_back(w);
  in.cost.local_bytes = uint64_t(c.len) * c.count;
  in.cost.cycles = uint32_t(double(in.cost.local_bytes) / (table ? model::kTableBytes : 256.0)) + 1;
  in.cost.repeats = table ? 0 : in.cost.cycles;
  in.run = [=] {
    for (uint32_t i = 0; i < c.count; ++i) {
      const uint64_t d = w.addr + uint64_t(i) * uint64_t(to), s = r.addr + uint64_t(i) * uint64_t(from);
      if (!widen) {
        MoveBytes(w.mem, d, r.mem, s, c.len);
        continue;
      }
      for (uint32_t e = 0; e < c.len / 2; ++e) {
        half h;
        std::memcpy(&h, Raw(r.mem, s + e * 2), 2);
        const float f = float(h);
        std::memcpy(Raw(w.mem, d + e * 4), &f, 4);
      }
    }
  };
  Issue(std::move(in));
}

void CopyInPad(const TensorRef& dst, const GlobalRef& src, const AscendC::DataCopyExtParams& p, const PadSpec& pad,
               uint32_t elem_bytes, Loc loc) {
  const char* name = "DataCopyPad";
  const uint32_t count = p.blockCount, len = p.blockLen;
  if (!count || !len) return;
  if (dst.mem != Mem::UB) {
    Report(Rule::kPosition, Format("DataCopyPad from GM to %s does not exist on 2201", Name(dst.mem)), loc);
    return;
  }
  CheckCount(count, name, loc);
  CheckAligned(dst, name, "the destination", loc);
  if (len > 2097151) Report(Rule::kParameter, Format("DataCopyPad: blockLen %u, the limit is 2097151", len), loc);
  if (!Even(len, elem_bytes)) {
    Report(Rule::kParameter, Format("DataCopyPad: blockLen %u is no multiple of the element's %u bytes", len, elem_bytes), loc);
  }
  const uint32_t left = pad.left * elem_bytes, right = pad.right * elem_bytes;
  if (left > 32 || right > 32) Report(Rule::kParameter, "DataCopyPad: more than 32 bytes of padding on one side", loc);
  if (pad.pad && elem_bytes == 8 && pad.value) Report(Rule::kParameter, "DataCopyPad: 64-bit types pad with 0 only", loc);
  const uint32_t body = left + len + right;
  const uint32_t padded = (body + kUnit - 1) / kUnit * kUnit;
  const int64_t from = int64_t(len) + p.srcStride, to = int64_t(padded) + int64_t(p.dstStride) * kUnit;
  Instr in(Pipe::MTE2, name, loc);
  Span r = Touch(src, 0, len, false, count, from), w = Touch(dst, 0, padded, true, count, to);
  r.copy = w.copy = true;
  in.spans.push_back(r);
  in.spans.push_back(w);
  in.cost = GmCost(len, count);
  in.run = [=, is_pad = pad.pad, value = pad.value] {
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t d = w.addr + uint64_t(i) * uint64_t(to), s = r.addr + uint64_t(i) * uint64_t(from);
      // Without a pad value the hardware fills the paddings and the dummy tail with the block's first element.
      uint8_t fill[8];
      std::memcpy(fill, is_pad ? reinterpret_cast<const uint8_t*>(&value) : Raw(Mem::GM, s), elem_bytes);
      uint8_t* out = Raw(w.mem, d);
      for (uint32_t b = 0; b + elem_bytes <= padded; b += elem_bytes) {
        if (b < left || b >= left + len) std::memcpy(out + b, fill, elem_bytes);
      }
      MarkInit(w.mem, d, padded);
      MoveBytes(w.mem, d + left, Mem::GM, s, len);
    }
  };
  Issue(std::move(in));
}

void CopyOutPad(const GlobalRef& dst, const TensorRef& src, const AscendC::DataCopyExtParams& p, ElemType type,
                uint32_t elem_bytes, Loc loc) {
  const char* name = "DataCopyPad";
  const uint32_t count = p.blockCount, len = p.blockLen;
  if (!count || !len) return;
  if (src.mem != Mem::UB) {
    Report(Rule::kPosition, Format("DataCopyPad from %s to GM does not exist on 2201", Name(src.mem)), loc);
    return;
  }
  CheckCount(count, name, loc);
  CheckAligned(src, name, "the source", loc);
  if (!Even(len, elem_bytes)) {
    Report(Rule::kParameter, Format("DataCopyPad: blockLen %u is no multiple of the element's %u bytes", len, elem_bytes), loc);
  }
  const uint32_t padded = (len + kUnit - 1) / kUnit * kUnit;
  const BlockCopy c{count, len, uint64_t(padded - len) + uint64_t(p.srcStride) * kUnit, p.dstStride};
  CopyOut(dst, src, c, type, name, loc);
}

namespace {

// Rows of global memory are far apart and cold: asked for this many rows ahead. An address outside is harmless.
constexpr uint64_t kAhead = 6;
void PrefetchRow(uint64_t addr, uint32_t bytes) {
  for (uint32_t b = 0; b < bytes; b += 64) __builtin_prefetch(reinterpret_cast<const void*>(addr + b));
}

}  // namespace

void CopyNd2Nz(const TensorRef& dst, const GlobalRef& src, const AscendC::Nd2NzParams& p, uint32_t elem_bytes, Loc loc) {
  const char* name = "DataCopy(Nd2Nz)";
  const uint32_t matrices = p.ndNum, rows = p.nValue, cols = p.dValue;
  if (!matrices || !rows || !cols) return;
  if (dst.mem != Mem::L1) {
    Report(Rule::kPosition, Format("ND2NZ into %s: on 2201 it goes to L1", Name(dst.mem)), loc);
    return;
  }
  CheckAligned(dst, name, "the destination", loc);
  const uint32_t c0 = kUnit / elem_bytes;
  const auto range = [&](bool ok, const char* field, uint32_t value, const char* rule) {
    if (!ok) Report(Rule::kParameter, Format("%s: %s is %u, must be %s", name, field, value, rule), loc);
  };
  range(matrices <= 4095, "ndNum", matrices, "<= 4095");
  range(rows <= 16384, "nValue", rows, "<= 16384");
  range(p.srcDValue >= 1, "srcDValue", p.srcDValue, "1..65535");
  range(p.dstNzC0Stride >= 1 && p.dstNzC0Stride <= 16384, "dstNzC0Stride", p.dstNzC0Stride, "1..16384");
  range(p.dstNzNStride >= 1, "dstNzNStride", p.dstNzNStride, ">= 1");
  const uint32_t col_blocks = (cols + c0 - 1) / c0;
  range(col_blocks == 1 || p.dstNzC0Stride >= rows * p.dstNzNStride || p.dstNzNStride > 1, "dstNzC0Stride",
        p.dstNzC0Stride, "at least nValue: column blocks would overlap");
  const int64_t pitch = int64_t(p.srcDValue) * elem_bytes, row_step = int64_t(p.dstNzNStride) * kUnit;
  const int64_t col_step = int64_t(p.dstNzC0Stride) * kUnit;
  Instr in(Pipe::MTE2, name, loc);
  for (uint32_t k = 0; k < matrices; ++k) {
    const int64_t s0 = int64_t(k) * p.srcNdMatrixStride * elem_bytes, d0 = int64_t(k) * p.dstNzMatrixStride * elem_bytes;
    Span r = Touch(src, s0, cols * elem_bytes, false, rows, pitch);
    r.copy = true;
    in.spans.push_back(r);
    if (!NeedSpans() && !NeedRun()) continue;
    if (row_step == kUnit) {
      Span w = Touch(dst, d0, rows * kUnit, true, col_blocks, col_step);
      w.copy = true;
      in.spans.push_back(w);
    } else {
      for (uint32_t b = 0; b < col_blocks; ++b) {
        Span w = Touch(dst, d0 + b * col_step, kUnit, true, rows, row_step);
        w.copy = true;
        in.spans.push_back(w);
      }
    }
  }
  in.cost = GmCost(cols * elem_bytes, rows * matrices);
  // Rows shorter than 512 B and pitches off the 32 B grid cost more here than in a plain copy (section 1.5).
  const double length = std::min(512.0, std::max(128.0, double(cols) * elem_bytes));
  double factor = 0.72 + (0.946 - 0.72) * (std::log2(length) - 7.0) / 2.0;
  factor /= 0.92 + (0.96 - 0.92) * (std::log2(length) - 7.0) / 2.0;  // the plain copy's share is added in the model
  if (rows > 1 && pitch % kUnit) factor *= 0.72;  // and the plain copy's share
  in.cost.gm_factor_pct = uint32_t(100.0 / factor - 100.0);
  const uint64_t src_addr = uint64_t(reinterpret_cast<uintptr_t>(src.addr)), dst_addr = dst.addr;
  in.run = [=, q = p] {
    for (uint32_t k = 0; k < matrices; ++k) {
      const uint64_t s0 = src_addr + uint64_t(k) * q.srcNdMatrixStride * elem_bytes;
      const uint64_t d0 = dst_addr + uint64_t(k) * q.dstNzMatrixStride * elem_bytes;
      const uint32_t whole = cols / c0, rest = (cols % c0) * elem_bytes;
      for (uint32_t row = 0; row < rows; ++row) {
        const uint64_t d = d0 + uint64_t(row) * uint64_t(row_step), s = s0 + uint64_t(row) * uint64_t(pitch);
        PrefetchRow(s + kAhead * uint64_t(pitch), cols * elem_bytes);
        MoveBytes({Mem::L1, d, col_step}, {Mem::GM, s, kUnit}, kUnit, whole);
        if (!rest) continue;
        const uint64_t tail = d + uint64_t(whole) * uint64_t(col_step);
        MoveBytes(Mem::L1, tail, Mem::GM, s + uint64_t(whole) * kUnit, rest);
        std::memset(Raw(Mem::L1, tail + rest), 0, kUnit - rest);  // the last column block is filled up with zeros
        MarkInit(Mem::L1, tail + rest, kUnit - rest);
      }
    }
  };
  Issue(std::move(in));
}

void FillGlobal(const GlobalRef& g, uint64_t count, uint64_t value, uint32_t elem_bytes, ElemType type, Loc loc) {
  if (Cur().type != CoreType::AIV) {
    Report(Rule::kWrongCore, "InitOutput exists on vector cores only", loc);
    return;
  }
  const uint64_t bytes = count * elem_bytes;
  constexpr uint64_t kChunk = 1u << 20;
  for (uint64_t done = 0; done < bytes; done += kChunk) {
    const uint32_t len = uint32_t(std::min(kChunk, bytes - done));
    Instr in(Pipe::MTE3, "InitOutput", loc);
    Span w = GmWrite(g, int64_t(done), len, 1, 0, type, loc);
    w.copy = false;
    in.spans.push_back(w);
    in.cost = GmCost(len, 1);
    in.run = [=] {
      for (uint64_t b = 0; b + elem_bytes <= w.len; b += elem_bytes) {
        std::memcpy(Raw(Mem::GM, w.addr + b), &value, elem_bytes);
      }
    };
    Issue(std::move(in));
  }
}

}  // namespace twin

// Fixpipe: L0C (Nz, fp32) to GM or L1, converting, with ReLU, as rows or as Nz fractals, plain or atomic.
#include "twin/fixpipe.h"

#include <cstring>
#include <vector>

#include "copy.h"
#include "product.h"

namespace twin {

namespace {

struct FixJob {
  uint32_t n, m, src_stride, nd_num, src_nd, out_bytes;
  uint64_t dst_stride, dst_nd;
  bool relu, nz, split;
  ElemType out;
  float scale;  // int8 outputs
};

// Sixteen columns of one row, or fewer.
void Convert(const float* from, uint32_t count, const FixJob& j, uint8_t* out) {
  float v[kTile];
  for (uint32_t i = 0; i < count; ++i) v[i] = j.relu && !(from[i] > 0.0f) ? (from[i] != from[i] ? from[i] : 0.0f) : from[i];
  switch (j.out) {
    case ElemType::kHalf: Arithmetic().to_half(v, count, out); break;
    case ElemType::kBf16:
      for (uint32_t i = 0; i < count; ++i) {
        const uint16_t h = FloatToBf16Bits(v[i]);
        std::memcpy(out + i * 2, &h, 2);
      }
      break;
    case ElemType::kInt8:
      for (uint32_t i = 0; i < count; ++i) {
        const int8_t q = int8_t(std::min(127.0f, std::max(-128.0f, std::nearbyint(v[i] * j.scale))));
        std::memcpy(out + i, &q, 1);
      }
      break;
    case ElemType::kUint8:
      for (uint32_t i = 0; i < count; ++i) {
        const uint8_t q = uint8_t(std::min(255.0f, std::max(0.0f, std::nearbyint(v[i] * j.scale))));
        std::memcpy(out + i, &q, 1);
      }
      break;
    default: std::memcpy(out, v, count * sizeof(float));
  }
}

// Elements per 32 B row of an output fractal. fp32 keeps 16 columns (64 B rows) unless the channels are split into 8.
uint32_t OutColumns(const FixJob& j) { return j.out_bytes == 4 ? (j.split ? 8 : 16) : j.out_bytes == 2 ? 16 : 32; }

bool CheckParams(const AscendC::FixpipeParamsV220& p, bool nz, ElemType out, Loc loc) {
  bool ok = true;
  const auto require = [&](bool good, Rule rule, const char* what) {
    if (!good) {
      Report(rule, Format("Fixpipe: %s (nSize %u mSize %u srcStride %u dstStride %u ndNum %u)", what, uint32_t(p.nSize),
             uint32_t(p.mSize), uint32_t(p.srcStride), uint32_t(p.dstStride), uint32_t(p.ndNum)), loc);
      ok = false;
    }
  };
  require(p.nSize <= 4095, Rule::kParameter, "nSize is at most 4095");
  require(nz || p.mSize <= 8192, Rule::kParameter, "mSize is at most 8192 for row-major output");
  require(!nz || p.isChannelSplit || p.nSize % 16 == 0, Rule::kParameter, "NZ output needs nSize in multiples of 16");
  require(!p.isChannelSplit || (nz && p.nSize % 8 == 0 && out == ElemType::kFloat), Rule::kParameter,
          "isChannelSplit needs float NZ output and nSize in multiples of 8");
  require(p.srcStride % 16 == 0 && p.srcStride >= p.mSize, Rule::kStride, "srcStride must be M rounded up to 16");
  require(p.dstStride != 0, Rule::kStride, "dstStride must not be 0");
  require(p.ndNum >= 1, Rule::kParameter, "ndNum must be at least 1");
  require(p.ndNum <= 1 || (!nz && p.srcNdStride >= 1 && p.srcNdStride <= 512 && p.dstNdStride >= 1), Rule::kParameter,
          "ndNum above 1 needs row-major output, srcNdStride 1..512 and dstNdStride of at least 1");
  require(p.unitFlag == 0 || p.unitFlag == 2 || p.unitFlag == 3, Rule::kUnitFlag, "unitFlag is 0, 2 or 3");
  const QuantMode_t q = p.quantPre;
  const bool match = (out == ElemType::kFloat && q == NoQuant) || (out == ElemType::kHalf && q == F322F16) ||
                     (out == ElemType::kBf16 && q == F322BF16) ||
                     ((out == ElemType::kInt8 || out == ElemType::kUint8) && q == QF322B8_PRE);
  if (!match) {
    Report(Rule::kQuantMode, Format("Fixpipe to %s with quantPre %d: float wants NoQuant, half F322F16, bfloat16 F322BF16, "
           "int8 QF322B8_PRE", Name(out), int(q)), loc);
    ok = false;
  }
  return ok;
}

FixJob MakeJob(const AscendC::FixpipeParamsV220& p, bool nz, ElemType out) {
  const uint32_t bytes = out == ElemType::kFloat ? 4 : out == ElemType::kHalf || out == ElemType::kBf16 ? 2 : 1;
  return {p.nSize, p.mSize, p.srcStride, nz ? 1u : uint32_t(p.ndNum), p.srcNdStride, bytes,
          nz ? uint64_t(p.dstStride) * 32 : uint64_t(p.dstStride) * bytes, uint64_t(p.dstNdStride) * bytes,
          p.reluEn, nz, p.isChannelSplit, out, BitsFloat(uint32_t(p.deqScalar))};
}

// The bytes one matrix occupies at the destination: (offset, row length, rows, row step) groups.
struct DstGroup {
  int64_t offset;
  uint32_t len, count;
  int64_t step;
};
std::vector<DstGroup> DestinationGroups(const FixJob& j) {
  std::vector<DstGroup> groups;
  if (!j.nz) {
    for (uint32_t d = 0; d < j.nd_num; ++d) {
      groups.push_back({int64_t(d * j.dst_nd), j.n * j.out_bytes, j.m, int64_t(j.dst_stride)});
    }
    return groups;
  }
  const uint32_t cols = OutColumns(j), row = cols * j.out_bytes, blocks = (j.n + cols - 1) / cols;
  groups.push_back({0, j.m * row, blocks, int64_t(j.dst_stride)});
  return groups;
}

// A result of up to sixteen columns to where it belongs: 32 or 64 bytes as a rule, which is worth no call.
void Put(uint8_t* to, const uint8_t* bytes, uint32_t len) {
  if (len == 64) {
    std::memcpy(to, bytes, 64);
  } else if (len == 32) {
    std::memcpy(to, bytes, 32);
  } else {
    std::memcpy(to, bytes, len);
  }
}

void RunJob(const FixJob& j, uint64_t src, Mem dst_mem, uint64_t dst, Atomic atomic, ElemType atomic_type) {
  constexpr uint32_t kRows = 8;  // at a time: neighbours in L0C, whereas the next columns are far away
  const bool track = Cur().launch->track_init;
  const uint32_t cols = j.nz ? OutColumns(j) : j.n;
  uint8_t* const out = Raw(dst_mem, dst);
  alignas(64) uint8_t converted[kTile * sizeof(float)];
  for (uint32_t d = 0; d < j.nd_num; ++d) {
    const uint8_t* const base = Raw(Mem::L0C, src + uint64_t(d) * j.src_nd * 1024);
    for (uint32_t m0 = 0; m0 < j.m; m0 += kRows) {
      for (uint32_t n = 0, count; n < j.n; n += count) {
        count = std::min({kTile - n % kTile, cols - n % cols, j.n - n});
        const uint32_t len = count * j.out_bytes;
        for (uint32_t m = m0; m < std::min(m0 + kRows, j.m); ++m) {
          float v[kTile];
          const uint8_t* const from = base + (size_t(n / kTile) * j.src_stride + m) * 64 + n % kTile * 4;
          std::memcpy(v, from, count * sizeof(float));
          Convert(v, count, j, converted);
          const uint64_t at = uint64_t(d) * j.dst_nd + uint64_t(n % cols) * j.out_bytes +
                              (j.nz ? uint64_t(n / cols) * j.dst_stride + uint64_t(m) * cols * j.out_bytes
                                    : uint64_t(m) * j.dst_stride);
          if (atomic == Atomic::kNone) {
            Put(out + at, converted, len);
            if (track) MarkInit(dst_mem, dst + at, len);
          } else {
            AtomicStore(out + at, converted, len, atomic, atomic_type);
          }
        }
      }
    }
  }
}

void Launch220(Instr&& in, const TensorRef& src, const AscendC::FixpipeParamsV220& p, const FixJob& j, Loc loc) {
  CheckAligned(src, in.name, "the source", loc);
  for (uint32_t d = 0; d < j.nd_num; ++d) {
    const uint32_t full = j.n / kTile, tail = j.n % kTile;
    const int64_t base = int64_t(d) * j.src_nd * 1024;
    if (full) in.spans.push_back(Touch(src, base, j.m * 64, false, full, int64_t(j.src_stride) * 64));
    if (tail) in.spans.push_back(Touch(src, base + int64_t(full) * j.src_stride * 64, tail * 4, false, j.m, 64));
  }
  const uint64_t elements = uint64_t(j.n) * j.m * j.nd_num;
  in.cost.fix_elements = elements;
  in.cost.cycles =
      uint32_t(std::max(double(elements) / model::kFixElements, double(elements * j.out_bytes) / model::kFixBytes)) + 1;
  in.cost.latency = uint32_t(model::kFixLatency);
  in.cost.burst_bytes = j.nz ? j.m * OutColumns(j) * j.out_bytes : j.n * j.out_bytes;
  in.cost.bursts = j.nz ? (j.n + OutColumns(j) - 1) / OutColumns(j) : j.m * j.nd_num;
  Core& core = Cur();
  const UnitShape shape{src.addr, j.m, j.n};
  UnitFlagBeforeFixpipe(core, p.unitFlag, shape, loc);
  Issue(std::move(in));
  UnitFlagAfterFixpipe(core, p.unitFlag);
}

bool Begin(const TensorRef& src, const AscendC::FixpipeParamsV220& p, bool nz, ElemType out, ElemType in_type, Loc loc) {
  if (!p.nSize || !p.mSize) return false;
  if (src.mem != Mem::L0C) {
    Report(Rule::kPosition, Format("Fixpipe reads %s; its source is CO1", Name(src.mem)), loc);
    return false;
  }
  if (in_type != ElemType::kFloat) {
    Report(Rule::kDtype, Format("the twin models Fixpipe from float, not %s", Name(in_type)), loc);
    return false;
  }
  return CheckParams(p, nz, out, loc);
}

}  // namespace

void FixpipeIssue(const GlobalRef& dst, const TensorRef& src, const AscendC::FixpipeParamsV220& p, bool nz,
                  ElemType out, ElemType in_type, Loc loc) {
  if (!Begin(src, p, nz, out, in_type, loc)) return;
  const FixJob j = MakeJob(p, nz, out);
  if (nz && reinterpret_cast<uintptr_t>(dst.addr) % 32) {
    Report(Rule::kMisaligned, "Fixpipe with CFG_NZ wants a destination aligned to 32 bytes", loc);
  }
  Instr in(Pipe::FIX, "Fixpipe", loc);
  for (const DstGroup& g : DestinationGroups(j)) {
    const Span w = GmWrite(dst, g.offset, g.len, g.count, g.step, out, loc);
    AddAtomicRead(in, w);
    in.spans.push_back(w);
  }
  const SprState spr = Cur().spr;
  const uint64_t to = uint64_t(reinterpret_cast<uintptr_t>(dst.addr)), from = src.addr;
  in.run = [=] { RunJob(j, from, Mem::GM, to, spr.atomic, spr.atomic_type); };
  Launch220(std::move(in), src, p, j, loc);
}

void FixpipeIssue(const TensorRef& dst, const TensorRef& src, const AscendC::FixpipeParamsV220& p, bool nz,
                  ElemType out, ElemType in_type, Loc loc) {
  if (!Begin(src, p, nz, out, in_type, loc)) return;
  if (dst.mem != Mem::L1) {
    Report(Rule::kPosition, Format("Fixpipe to %s does not exist on 2201", Name(dst.mem)), loc);
    return;
  }
  CheckAligned(dst, "Fixpipe", "the destination", loc);
  const FixJob j = MakeJob(p, nz, out);
  Instr in(Pipe::FIX, "Fixpipe", loc);
  for (const DstGroup& g : DestinationGroups(j)) {
    Span w = Touch(dst, g.offset, g.len, true, g.count, g.step);
    w.copy = true;
    in.spans.push_back(w);
  }
  const uint64_t to = dst.addr, from = src.addr;
  in.run = [=] { RunJob(j, from, Mem::L1, to, Atomic::kNone, ElemType::kFloat); };
  Launch220(std::move(in), src, p, j, loc);
}

}  // namespace twin

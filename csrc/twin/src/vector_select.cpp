// Compare and Select.
#include "twin/vector_select.h"

#include "vector_walk.h"

namespace twin {

namespace {

using AscendC::CMPMODE;
using AscendC::SELMODE;

double Load(const uint8_t* p, ElemType type) {
  switch (type) {
    case ElemType::kHalf: return HalfBitsToFloat(*reinterpret_cast<const uint16_t*>(p));
    case ElemType::kInt32: return *reinterpret_cast<const int32_t*>(p);
    default: return *reinterpret_cast<const float*>(p);
  }
}

bool Holds(CMPMODE mode, double a, double b) {
  switch (mode) {
    case CMPMODE::LT: return a < b;
    case CMPMODE::GT: return a > b;
    case CMPMODE::EQ: return a == b;
    case CMPMODE::LE: return a <= b;
    case CMPMODE::GE: return a >= b;
    case CMPMODE::NE: return a != b;
  }
  return false;
}

struct Walked {
  uint32_t addr, blk, rep;
};

}  // namespace

void IssueCompare(const TensorRef& dst, const VecArg& src0, const VecArg* src1, double scalar, CMPMODE mode,
                  const VecMask& mask, const char* api, Loc loc) {
  const uint32_t bytes = src0.bytes;
  if (src0.type == ElemType::kInt32 && mode != CMPMODE::EQ) {
    Report(Rule::kDtype, Format("%s: int32 compares for equality only", api), loc);
  }
  if (mask.kind == VecMask::Kind::kCount && mask.low * bytes % kRepeatBytes != 0) {
    Report(Rule::kParameter, Format("%s: %llu elements are %llu bytes, not a multiple of 256", api,
                                    static_cast<unsigned long long>(mask.low),
                                    static_cast<unsigned long long>(mask.low * bytes)), loc);
  }
  const VecShape shape = ResolveMask(mask, bytes, api, loc);
  if (mask.kind != VecMask::Kind::kCount && shape.repeats != 0 && shape.ActiveLanes() != uint64_t(shape.repeats) * shape.lanes) {
    Report(Rule::kMask, Format("%s: every lane writes its bit, a partial mask has no effect", api), loc);
  }
  VecArg args[2] = {src0, src1 ? *src1 : src0};
  for (VecArg& a : args) {  // a check of sources only: dst has its own layout
    if (!CheckVector(&a, 1, shape, Overlap::kExact, api, loc)) return;
  }
  if (!CheckUb(dst, api, "dst", loc) || !CheckAligned(dst, api, "dst", loc)) return;
  const uint32_t out = shape.repeats * shape.lanes / 8;

  Instr instr(Pipe::V, api, loc);
  const VecShape full = FullShape(bytes, shape.repeats);
  if (NeedSpans()) {
    for (size_t i = 0; i < (src1 ? 2u : 1u); ++i) {
      const LaneRuns runs = RunsOf(full, full.lanes, &args[i], 1);
      AddSpans(instr, args[i], full, runs, runs, false);
    }
    AddRange(instr, dst, 0, out, true);
  }
  instr.cost = VectorCost(shape.repeats, 1, shape.ActiveLanes());
  if (NeedRun()) {
    instr.run = [d = dst.addr, a = Walked{args[0].ref.addr, args[0].blk, args[0].rep},
                 b = Walked{args[1].ref.addr, args[1].blk, args[1].rep}, has_tensor = src1 != nullptr, scalar, mode,
                 type = src0.type, bytes, full] {
      uint8_t* bits = Raw(Mem::UB, d);
      for (uint32_t r = 0; r < full.repeats; ++r) {
        for (uint32_t l = 0; l < full.lanes; ++l) {
          const double x = Load(Raw(Mem::UB, a.addr + LaneOffset(bytes, a.blk, a.rep, r, l)), type);
          const double y = has_tensor ? Load(Raw(Mem::UB, b.addr + LaneOffset(bytes, b.blk, b.rep, r, l)), type) : scalar;
          const uint32_t i = r * full.lanes + l;
          if (i % 8 == 0) bits[i / 8] = 0;
          if (Holds(mode, x, y)) bits[i / 8] |= static_cast<uint8_t>(1u << (i % 8));
        }
      }
    };
  }
  Issue(std::move(instr));
}

void IssueSelect(const VecArg& dst, const TensorRef& bits, const VecArg& src0, const VecArg* src1, double scalar,
                 SELMODE mode, const VecMask& mask, Loc loc) {
  const bool wants_scalar = mode == SELMODE::VSEL_TENSOR_SCALAR_MODE;
  if (wants_scalar == (src1 != nullptr)) {
    Report(Rule::kParameter, wants_scalar ? "Select: VSEL_TENSOR_SCALAR_MODE takes a scalar src1"
                                          : "Select: a scalar src1 needs VSEL_TENSOR_SCALAR_MODE", loc);
    return;
  }
  const VecShape shape = ResolveMask(mask, dst.bytes, "Select", loc);
  VecArg args[3] = {dst, src0, src1 ? *src1 : src0};
  if (!CheckVector(args, src1 ? 3 : 2, shape, Overlap::kExact, "Select", loc) || !CheckUb(bits, "Select", "selMask", loc) ||
      !CheckAligned(bits, "Select", "selMask", loc)) {
    return;
  }
  const bool same_bits = mode == SELMODE::VSEL_CMPMASK_SPR;
  const uint32_t bit_count = same_bits ? shape.lanes : (shape.repeats - 1) * shape.lanes + shape.tail;

  Instr instr(Pipe::V, "Select", loc);
  if (NeedSpans()) {
    const size_t n = src1 ? 3 : 2;
    const LaneRuns full = RunsOf(shape, shape.lanes, args, n), tail = RunsOf(shape, shape.tail, args, n);
    AddRange(instr, bits, 0, (bit_count + 7) / 8, false);
    for (size_t i = 1; i < n; ++i) AddSpans(instr, args[i], shape, full, tail, false);
    AddSpans(instr, args[0], shape, full, tail, true);
  }
  // Modes 1 and 2 reload the comparison mask for every repeat.
  instr.cost = VectorCost(args, src1 ? 3 : 2, shape, same_bits ? 1 : 2);
  if (NeedRun()) {
    instr.run = [d = Walked{dst.ref.addr, dst.blk, dst.rep}, a = Walked{args[1].ref.addr, args[1].blk, args[1].rep},
                 b = Walked{args[2].ref.addr, args[2].blk, args[2].rep}, m = bits.addr, has_tensor = src1 != nullptr, scalar,
                 bytes = uint32_t(dst.bytes), shape, same_bits] {
      const uint8_t* select = Raw(Mem::UB, m);
      for (uint32_t r = 0; r < shape.repeats; ++r) {
        const uint32_t active = r + 1 == shape.repeats ? shape.tail : shape.lanes;
        for (uint32_t l = 0; l < active; ++l) {
          if (!shape.Lane(l)) continue;
          const uint32_t i = (same_bits ? 0 : r * shape.lanes) + l;
          uint8_t* to = Raw(Mem::UB, d.addr + LaneOffset(bytes, d.blk, d.rep, r, l));
          if (select[i / 8] >> (i % 8) & 1) {
            std::memcpy(to, Raw(Mem::UB, a.addr + LaneOffset(bytes, a.blk, a.rep, r, l)), bytes);
          } else if (has_tensor) {
            std::memcpy(to, Raw(Mem::UB, b.addr + LaneOffset(bytes, b.blk, b.rep, r, l)), bytes);
          } else if (bytes == 2) {
            const half v(static_cast<float>(scalar));
            std::memcpy(to, &v, 2);
          } else {
            const float v = static_cast<float>(scalar);
            std::memcpy(to, &v, 4);
          }
        }
      }
    };
  }
  Issue(std::move(instr));
}

}  // namespace twin

// Masks, strides, overlap, spans and cost of repeat-structured vector instructions.
#include "twin/vector_core.h"

#include <algorithm>
#include <vector>

namespace twin {

namespace {

uint64_t LowBits(uint64_t n) { return n >= 64 ? ~0ull : (1ull << n) - 1; }

void SetPrefix(VecShape& shape, uint64_t n) {
  shape.low = LowBits(n);
  shape.high = n > 64 ? LowBits(n - 64) : 0;
}

VecShape CountShape(uint64_t count, uint32_t lanes) {
  VecShape shape;
  shape.lanes = lanes;
  shape.repeats = static_cast<uint32_t>((count + lanes - 1) / lanes);
  shape.tail = count == 0 ? lanes : static_cast<uint32_t>(count - uint64_t(shape.repeats - 1) * lanes);
  SetPrefix(shape, lanes);
  return shape;
}

int PopCount(uint64_t v) { return __builtin_popcountll(v); }

// Blocks (index of 32 B in UB) an operand touches in one repeat, one entry per block of lanes; -1 where no lane of
// the block is active.
void BlocksOf(const VecArg& arg, const VecShape& shape, uint32_t r, int64_t (&blocks)[16]) {
  const uint32_t per_block = kBlockBytes / arg.bytes;
  const uint32_t active = r + 1 == shape.repeats ? shape.tail : shape.lanes;
  for (uint32_t b = 0; b < 16; ++b) {
    blocks[b] = -1;
    const uint32_t first = b * per_block;
    if (first >= active) continue;
    bool any = false;
    for (uint32_t l = first; l < std::min(first + per_block, active) && !any; ++l) any = shape.Lane(l);
    if (any) blocks[b] = int64_t(arg.ref.addr / kBlockBytes) + int64_t(r) * arg.rep + int64_t(b) * arg.blk;
  }
}

struct Extent {
  uint64_t lo, hi;
};
Extent ExtentOf(const VecArg& arg, const VecShape& shape) {
  uint32_t top = shape.repeats == 1 ? shape.tail : shape.lanes;
  while (top > 1 && !shape.Lane(top - 1)) --top;
  const uint64_t last =
      LaneOffset(arg.bytes, arg.blk, arg.rep, shape.repeats - 1, 0) + LaneOffset(arg.bytes, arg.blk, 0, 0, top - 1);
  return {arg.ref.addr, arg.ref.addr + last + arg.bytes};
}

bool SameWalk(const VecArg& a, const VecArg& b) {
  return a.ref.addr == b.ref.addr && a.blk == b.blk && a.rep == b.rep && a.bytes == b.bytes;
}

// Walks all repeats in order and looks for a read of what an earlier repeat wrote, a lane that reads another lane's
// result inside a repeat, or two repeats that write the same place.
void CheckWalk(const VecArg* args, size_t n, const VecShape& shape, Overlap overlap, const char* api, Loc loc) {
  const Extent written = ExtentOf(args[0], shape);
  const int64_t first = int64_t(written.lo / kBlockBytes), last = int64_t((written.hi - 1) / kBlockBytes);
  std::vector<int> writers(size_t(last - first + 1), -1);  // the repeat that wrote each block of dst
  const auto writer = [&](int64_t block) -> int {
    return block < first || block > last ? -1 : writers[size_t(block - first)];
  };
  int64_t mine[16], theirs[16];
  for (uint32_t r = 0; r < shape.repeats; ++r) {
    BlocksOf(args[0], shape, r, mine);
    for (size_t i = 1; i < n; ++i) {
      if (overlap == Overlap::kAccumulate && i == 2 && SameWalk(args[0], args[2])) continue;
      BlocksOf(args[i], shape, r, theirs);
      for (uint32_t b = 0; b < 16; ++b) {
        if (theirs[b] < 0) continue;
        if (writer(theirs[b]) >= 0) {
          Report(Rule::kOverlap, Format("%s: repeat %u of %s reads what repeat %d wrote", api, r, args[i].name,
                                        writer(theirs[b])), loc);
          return;
        }
        if (overlap == Overlap::kConvert) continue;
        for (uint32_t d = 0; d < 16; ++d) {
          if (mine[d] == theirs[b] && (d != b || args[0].bytes != args[i].bytes)) {
            Report(Rule::kOverlap, Format("%s: %s overlaps dst without being equal to it", api, args[i].name), loc);
            return;
          }
        }
      }
    }
    for (uint32_t b = 0; b < 16; ++b) {
      if (mine[b] < 0) continue;
      if (writer(mine[b]) >= 0 && args[0].rep != 0) {
        Report(Rule::kStride, Format("%s: repeats %d and %u write the same block of dst (repeat stride %u)", api,
                                     writer(mine[b]), r, args[0].rep), loc);
        return;
      }
      writers[size_t(mine[b] - first)] = int(r);
    }
  }
}

}  // namespace

uint64_t VecShape::ActiveLanes() const {
  if (repeats == 0) return 0;
  const uint64_t per_repeat = PopCount(low) + PopCount(high);
  uint64_t last = per_repeat;
  if (tail != lanes) {
    last = 0;
    for (uint32_t l = 0; l < tail; ++l) last += Lane(l);
  }
  return per_repeat * (repeats - 1) + last;
}

VecShape FullShape(uint32_t bytes, uint32_t repeats) {
  VecShape shape;
  shape.lanes = shape.tail = kRepeatBytes / bytes;
  shape.repeats = repeats;
  SetPrefix(shape, shape.lanes);
  return shape;
}

VecShape ResolveMask(const VecMask& mask, uint32_t bytes, const char* api, Loc loc) {
  SprState& spr = Cur().spr;
  const uint32_t lanes = kRepeatBytes / bytes;
  const bool counter = spr.mask_mode == AscendC::MaskMode::COUNTER;
  if (mask.kind == VecMask::Kind::kCount) {
    // The count form sets counter mode, the count, normal mode and the full mask, whatever was there before.
    spr.mask_mode = AscendC::MaskMode::NORMAL;
    spr.mask_low = spr.mask_high = ~0ull;
    spr.mask_changed = false;
    return CountShape(mask.low, lanes);
  }
  VecShape shape;
  shape.lanes = shape.tail = lanes;
  shape.repeats = mask.repeats;
  if (mask.repeats > 255) {
    Report(Rule::kFieldRange, Format("%s: repeatTime %u, the limit is 255", api, mask.repeats), loc);
    shape.repeats = 255;
  }
  switch (mask.kind) {
    case VecMask::Kind::kLanes:
      if (counter) {
        spr.mask_count = mask.low;
        return CountShape(mask.low, lanes);
      }
      if (mask.low > lanes) {
        Report(Rule::kMask, Format("%s: mask %llu, but a repeat has %u lanes of %u bytes", api,
                                   static_cast<unsigned long long>(mask.low), lanes, bytes), loc);
      }
      SetPrefix(shape, std::min<uint64_t>(mask.low, lanes));
      spr.mask_low = shape.low;
      spr.mask_high = shape.high;
      break;
    case VecMask::Kind::kBitmap:
      if (counter) Report(Rule::kMask, Format("%s: a bitmap mask in counter mode", api), loc);
      if (lanes <= 64 && mask.high != 0) {
        Report(Rule::kMask, Format("%s: mask[1] must be 0, a repeat has %u lanes of %u bytes", api, lanes, bytes),
               loc);
      }
      shape.low = spr.mask_low = mask.low;
      shape.high = spr.mask_high = mask.high;
      break;
    default:
      if (counter) return CountShape(spr.mask_count, lanes);
      shape.low = spr.mask_low;
      shape.high = spr.mask_high;
      break;
  }
  if (lanes <= 64) {
    shape.low &= LowBits(lanes);
    shape.high = 0;
  }
  if (shape.low == 0 && shape.high == 0) shape.repeats = 0;
  return shape;
}

LaneRuns RunsOf(const VecShape& shape, uint32_t limit, const VecArg* args, size_t n) {
  uint32_t cut = 1u << 30;
  for (size_t i = 0; i < n; ++i) {
    if (args[i].blk != 1) cut = std::min<uint32_t>(cut, kBlockBytes / args[i].bytes);
  }
  LaneRuns runs;
  const uint64_t low = LowBits(std::min(limit, 64u)), high = LowBits(limit - std::min(limit, 64u));
  if ((shape.low & low) == low && (shape.high & high) == high) {  // the usual case: all of them
    for (uint32_t l = 0; l < limit; l += cut) runs.push_back({l, std::min(cut, limit - l)});
    return runs;
  }
  for (uint32_t l = 0; l < limit;) {
    if (!shape.Lane(l)) {
      ++l;
      continue;
    }
    uint32_t end = l + 1;
    while (end < limit && end % cut != 0 && shape.Lane(end)) ++end;
    runs.push_back({l, end - l});
    l = end;
  }
  return runs;
}

bool CheckUb(const TensorRef& t, const char* api, const char* operand, Loc loc) {
  if (IsAic()) {
    Report(Rule::kWrongCore, Format("%s: the cube core has no vector unit", api), loc);
    return false;
  }
  if (t.mem != Mem::UB) {
    Report(Rule::kPosition, Format("%s: %s is in %s, vector instructions work on UB", api, operand, Name(t.mem)), loc);
    return false;
  }
  return true;
}

bool CheckVector(const VecArg* args, size_t n, const VecShape& shape, Overlap overlap, const char* api, Loc loc) {
  for (size_t i = 0; i < n; ++i) {
    if (!CheckUb(args[i].ref, api, args[i].name, loc)) return false;
    if (!CheckAligned(args[i].ref, api, args[i].name, loc)) return false;
  }
  if (shape.repeats == 0) return false;
  const VecArg& dst = args[0];
  if (!dst.write) return true;  // a source may stand still, and nothing here overwrites it
  int64_t blocks[16];
  BlocksOf(dst, shape, 0, blocks);
  const int active_blocks = 16 - int(std::count(blocks, blocks + 16, -1));
  if (dst.blk == 0 && active_blocks > 1) {
    Report(Rule::kStride, Format("%s: dstBlkStride 0 is undefined", api), loc);
    return false;
  }
  const bool accumulates = overlap == Overlap::kAccumulate && n > 2 && SameWalk(dst, args[2]);
  if (shape.repeats > 1 && dst.rep == 0 && !accumulates) {
    Report(Rule::kStride, Format("%s: dstRepStride 0 lets %u repeats write the same place; only an accumulation with "
                                 "dst == src1 may", api, shape.repeats), loc);
  }
  bool walk = shape.repeats > 1 && dst.rep != 0 && dst.rep < shape.lanes * dst.bytes / kBlockBytes * dst.blk;
  const Extent d = ExtentOf(dst, shape);
  for (size_t i = 1; i < n; ++i) {
    const Extent s = ExtentOf(args[i], shape);
    if (s.hi <= d.lo || d.hi <= s.lo) continue;
    const bool same = SameWalk(dst, args[i]);
    if (overlap == Overlap::kNone) {
      walk = false;
      Report(Rule::kOverlap, Format("%s: dst and %s must not overlap", api, args[i].name), loc);
    } else if (overlap == Overlap::kConvert && !same && dst.ref.addr == args[i].ref.addr && dst.bytes > args[i].bytes) {
      Report(Rule::kOverlap, Format("%s: widening in place; put the source in the upper half of the buffer", api), loc);
    } else if (!same || (shape.repeats > 1 && dst.rep == 0 && !(accumulates && i == 2))) {
      walk = true;
    }
  }
  if (walk) CheckWalk(args, n, shape, overlap, api, loc);
  return true;
}

void CheckDisjoint(const TensorRef& a, uint64_t a_bytes, const TensorRef& b, uint64_t b_bytes, const char* api,
                   const char* what, Loc loc) {
  if (a.mem == b.mem && a.addr < b.addr + b_bytes && b.addr < a.addr + a_bytes) {
    Report(Rule::kOverlap, Format("%s: %s must not overlap", api, what), loc);
  }
}

void AddRange(Instr& instr, const TensorRef& t, uint64_t offset, uint64_t bytes, bool write) {
  if (bytes != 0) instr.spans.push_back(Touch(t, int64_t(offset), uint32_t(bytes), write));
}

namespace {

struct Piece {
  uint64_t offset;
  uint32_t len;
};

void AddRepeats(Instr& instr, const VecArg& arg, const LaneRuns& runs, uint32_t first, uint32_t repeats, bool write) {
  if (repeats == 0) return;
  SmallVector<Piece, 16> pieces;
  for (const LaneRun& run : runs) {
    const uint64_t offset = LaneOffset(arg.bytes, arg.blk, 0, 0, run.lane);
    const uint32_t len = run.count * arg.bytes;
    if (!pieces.empty() && pieces.back().offset == offset && pieces.back().len == len) continue;  // a broadcast block
    if (!pieces.empty() && pieces.back().offset + pieces.back().len == offset) {
      pieces.back().len += len;
    } else {
      pieces.push_back({offset, len});
    }
  }
  const uint64_t start = uint64_t(first) * arg.rep * kBlockBytes, stride = uint64_t(arg.rep) * kBlockBytes;
  const uint32_t count = arg.rep == 0 ? 1 : repeats;
  // Evenly spaced pieces whose spacing continues into the next repeat are one regular set.
  if (pieces.size() > 1) {
    const uint64_t gap = pieces[1].offset - pieces[0].offset;
    bool even = gap * pieces.size() == stride || count == 1;
    for (size_t i = 0; i < pieces.size() && even; ++i) {
      even = pieces[i].len == pieces[0].len && pieces[i].offset == pieces[0].offset + i * gap;
    }
    if (even) {
      instr.spans.push_back(Touch(arg.ref, int64_t(start + pieces[0].offset), pieces[0].len, write,
                                  uint32_t(pieces.size()) * count, int64_t(gap)));
      return;
    }
  }
  for (const Piece& p : pieces) {
    if (count == 1 || p.len == stride) {
      instr.spans.push_back(Touch(arg.ref, int64_t(start + p.offset), p.len * count, write));
    } else {
      instr.spans.push_back(Touch(arg.ref, int64_t(start + p.offset), p.len, write, count, int64_t(stride)));
    }
  }
}

// Cycles one repeat needs because of the UB banks, at least 1: in a cycle each of the 16 bank groups serves one block
// of each direction, and a bank (a group inside 64 KB) either reads or writes.
uint32_t RepeatConflict(const VecArg* args, size_t n, const VecShape& shape, uint32_t r) {
  uint8_t reads[48] = {}, writes[48] = {};
  int64_t blocks[16], dst[16];
  BlocksOf(args[0], shape, r, dst);
  const auto bank = [](int64_t block) { return int((block & 15) + 16 * ((block >> 11) % 3)); };
  for (int64_t b : dst) {
    if (b >= 0) ++writes[bank(b)];
  }
  uint32_t worst = 1;
  for (size_t i = 1; i < n; ++i) {
    BlocksOf(args[i], shape, r, blocks);
    const bool in_place = SameWalk(args[0], args[i]);
    int64_t before = -1;
    for (int64_t b : blocks) {
      if (b < 0 || b == before) continue;
      before = b;
      ++reads[bank(b)];
      if (!in_place && writes[bank(b)] != 0) worst = std::max<uint32_t>(worst, 1u + writes[bank(b)]);
    }
  }
  for (int g = 0; g < 16; ++g) {
    worst = std::max<uint32_t>(worst, uint32_t(reads[g]) + reads[g + 16] + reads[g + 32]);
    worst = std::max<uint32_t>(worst, uint32_t(writes[g]) + writes[g + 16] + writes[g + 32]);
  }
  return worst;
}

}  // namespace

void AddSpans(Instr& instr, const VecArg& arg, const VecShape& shape, const LaneRuns& full, const LaneRuns& tail,
              bool write) {
  const bool partial = shape.tail != shape.lanes;
  const uint32_t whole = partial ? shape.repeats - 1 : shape.repeats;
  AddRepeats(instr, arg, full, 0, whole, write);
  if (partial) AddRepeats(instr, arg, tail, whole, 1, write);
}

Cost VectorCost(uint32_t repeats, uint32_t cycles_per_repeat, uint64_t lanes) {
  Cost cost;
  cost.repeats = repeats;
  cost.lanes = lanes;
  cost.cycles = kVectorStartup + repeats * cycles_per_repeat;
  cost.latency = kVectorLatency;
  return cost;
}

Cost VectorCost(const VecArg* args, size_t n, const VecShape& shape, uint32_t cycles_per_repeat) {
  if (!NeedCost()) return Cost{};
  Cost cost = VectorCost(shape.repeats, cycles_per_repeat, shape.ActiveLanes());
  // Relative bank positions repeat at least every 16 repeats: a sample of the first ones stands for all.
  constexpr uint32_t kSample = 4;
  const uint32_t sample = std::min(shape.repeats, kSample);
  uint64_t extra = 0;
  for (uint32_t r = 0; r < sample; ++r) extra += RepeatConflict(args, n, shape, r) - 1;
  cost.conflict_cycles = static_cast<uint32_t>(extra * shape.repeats / std::max(1u, sample));
  cost.cycles += cost.conflict_cycles;
  return cost;
}

}  // namespace twin

// Fills, broadcasts, gathers, copies and transposes inside UB.
#include "twin/vector_move.h"

#include <algorithm>
#include <cstring>

#include "launch.h"
#include "vector_walk.h"

namespace twin {

namespace {

bool Tracking() { return Cur().launch->track_init; }
bool AllInit(uint64_t addr, uint64_t len) {
  return Cur().state->bank[int(Mem::UB)].init.FirstClear(addr, len) == addr + len;
}

// Moves a few bytes with their history when that is followed, and plainly when it is not.
void Move(uint64_t dst, uint64_t src, uint32_t bytes, bool track) {
  if (track) {
    MoveBytes(Mem::UB, dst, Mem::UB, src, bytes);
  } else {
    std::memmove(Raw(Mem::UB, dst), Raw(Mem::UB, src), bytes);
  }
}

// Spans added from `first` on belong to a move: `run` carries the history.
void MarkCopies(Instr& instr, size_t first = 0) {
  for (size_t i = first; i < instr.spans.size(); ++i) instr.spans[i].copy = true;
}

}  // namespace

void IssueDuplicate(const VecArg& dst, uint64_t bits, const VecMask& mask, Loc loc) {
  const VecShape shape = ResolveMask(mask, dst.bytes, "Duplicate", loc);
  if (!CheckVector(&dst, 1, shape, Overlap::kExact, "Duplicate", loc)) return;
  Instr instr(Pipe::V, "Duplicate", loc);
  if (NeedSpans()) {
    AddSpans(instr, dst, shape, RunsOf(shape, shape.lanes, &dst, 1), RunsOf(shape, shape.tail, &dst, 1), true);
  }
  instr.cost = VectorCost(&dst, 1, shape, 1);
  if (NeedRun()) {
    instr.run = [walk = Walk(shape, &dst, 1), bits, bytes = dst.bytes] {
      walk.ForRuns<1>([&](uint8_t** p, uint32_t n) {
        if (bytes == 2) {
          std::fill_n(reinterpret_cast<uint16_t*>(p[0]), n, static_cast<uint16_t>(bits));
        } else {
          std::fill_n(reinterpret_cast<uint32_t*>(p[0]), n, static_cast<uint32_t>(bits));
        }
      });
    };
  }
  Issue(std::move(instr));
}

void IssueBrcb(const VecArg& dst, const VecArg& src, uint32_t repeats, Loc loc) {
  const VecShape shape = FullShape(dst.bytes, repeats);
  if (!CheckVector(&dst, 1, shape, Overlap::kExact, "Brcb", loc) || !CheckUb(src.ref, "Brcb", "src0", loc) ||
      !CheckAligned(src.ref, "Brcb", "src0", loc)) {
    return;
  }
  const uint32_t read = repeats * 8 * src.bytes;
  const uint64_t extent = LaneOffset(dst.bytes, dst.blk, dst.rep, repeats - 1, shape.lanes - 1) + dst.bytes;
  CheckDisjoint(dst.ref, extent, src.ref, read, "Brcb", "dst and src0", loc);
  Instr instr(Pipe::V, "Brcb", loc);
  if (NeedSpans()) {
    const LaneRuns runs = RunsOf(shape, shape.lanes, &dst, 1);
    AddRange(instr, src.ref, 0, read, false);
    AddSpans(instr, dst, shape, runs, runs, true);
    MarkCopies(instr);
  }
  instr.cost = VectorCost(&dst, 1, shape, 1);
  if (NeedRun()) {
    instr.run = [d = dst.ref.addr, s = src.ref.addr, bytes = uint32_t(dst.bytes), blk = dst.blk, rep = dst.rep, repeats] {
      const bool track = Tracking() && !AllInit(s, repeats * 8 * bytes);
      for (uint32_t i = 0; i < repeats * 8; ++i) {
        const uint64_t to = d + uint64_t(i / 8) * rep * kBlockBytes + uint64_t(i % 8) * blk * kBlockBytes;
        for (uint32_t o = 0; o < kBlockBytes; o += bytes) Move(to + o, s + i * bytes, bytes, track);
        if (!track && Tracking()) MarkInit(Mem::UB, to, kBlockBytes);
      }
    };
  }
  Issue(std::move(instr));
}

void IssueIndex(const VecArg& dst, double first, uint32_t count, Loc loc) {
  const VecShape shape = ResolveMask(VecMask::Count(count), dst.bytes, "CreateVecIndex", loc);
  if (!CheckVector(&dst, 1, shape, Overlap::kExact, "CreateVecIndex", loc)) return;
  Instr instr(Pipe::V, "CreateVecIndex", loc);
  if (NeedSpans()) AddRange(instr, dst.ref, 0, uint64_t(count) * dst.bytes, true);
  instr.cost = VectorCost(&dst, 1, shape, 2);
  if (NeedRun()) {
    instr.run = [addr = dst.ref.addr, type = dst.type, first, count] {
      uint8_t* p = Raw(Mem::UB, addr);
      for (uint32_t i = 0; i < count; ++i) {
        const double v = first + i;
        switch (type) {
          case ElemType::kInt16: reinterpret_cast<int16_t*>(p)[i] = static_cast<int16_t>(static_cast<int64_t>(v)); break;
          case ElemType::kHalf: reinterpret_cast<half*>(p)[i] = half(static_cast<float>(v)); break;
          case ElemType::kInt32: reinterpret_cast<int32_t*>(p)[i] = static_cast<int32_t>(static_cast<int64_t>(v)); break;
          default: reinterpret_cast<float*>(p)[i] = static_cast<float>(v); break;
        }
      }
    };
  }
  Issue(std::move(instr));
}

void IssueGather(const VecArg& dst, const TensorRef& src, const TensorRef& offsets, uint32_t base, const VecMask& mask,
                 Loc loc) {
  const VecShape shape = ResolveMask(mask, dst.bytes, "Gather", loc);
  if (!CheckVector(&dst, 1, shape, Overlap::kExact, "Gather", loc) || !CheckUb(src, "Gather", "src", loc) ||
      !CheckUb(offsets, "Gather", "srcOffset", loc) || !CheckAligned(offsets, "Gather", "srcOffset", loc)) {
    return;
  }
  const uint32_t reach = (shape.repeats - 1) * shape.lanes + shape.tail;  // offsets are packed, repeat after repeat
  const uint64_t extent = LaneOffset(dst.bytes, 1, dst.rep, shape.repeats - 1, shape.tail - 1) + dst.bytes;
  CheckDisjoint(dst.ref, extent, src, src.hi - src.addr, "Gather", "dst and src", loc);
  CheckDisjoint(dst.ref, extent, offsets, uint64_t(reach) * 4, "Gather", "dst and srcOffset", loc);
  Instr instr(Pipe::V, "Gather", loc);
  if (NeedSpans()) {
    AddRange(instr, offsets, 0, uint64_t(reach) * 4, false);
    const size_t moved = instr.spans.size();
    AddRange(instr, src, 0, src.hi - src.addr, false);  // which part is known only when it runs
    AddSpans(instr, dst, shape, RunsOf(shape, shape.lanes, &dst, 1), RunsOf(shape, shape.tail, &dst, 1), true);
    MarkCopies(instr, moved);
  }
  instr.cost = VectorCost(&dst, 1, shape, 8);  // one block per cycle at best
  if (NeedRun()) {
    instr.run = [d = dst.ref.addr, rep = dst.rep, bytes = uint32_t(dst.bytes), s = src.addr, hi = src.hi, o = offsets.addr,
                 base, shape, loc] {
      const uint32_t* offset = reinterpret_cast<const uint32_t*>(Raw(Mem::UB, o));
      const bool track = Tracking();
      for (uint32_t r = 0; r < shape.repeats; ++r) {
        const uint32_t active = r + 1 == shape.repeats ? shape.tail : shape.lanes;
        for (uint32_t l = 0; l < active; ++l) {
          if (!shape.Lane(l)) continue;
          const uint64_t at = uint64_t(base) + offset[r * shape.lanes + l];
          if (at % bytes != 0 || s + at + bytes > hi) {
            Report(at % bytes != 0 ? Rule::kMisaligned : Rule::kOutOfBounds,
                   Format("Gather: offset %llu of lane %u, the source has %u bytes",
                          static_cast<unsigned long long>(at), r * shape.lanes + l, hi - s), loc);
            continue;
          }
          Move(d + LaneOffset(bytes, 1, rep, r, l), s + at, bytes, track);
        }
      }
    };
  }
  Issue(std::move(instr));
}

void IssueGatherBlocks(const VecArg& dst, const TensorRef& src, const TensorRef& offsets, uint32_t repeats, Loc loc) {
  const VecShape shape = FullShape(dst.bytes, repeats);
  if (!CheckVector(&dst, 1, shape, Overlap::kExact, "Gatherb", loc) || !CheckUb(src, "Gatherb", "src0", loc) ||
      !CheckUb(offsets, "Gatherb", "offset", loc) || !CheckAligned(offsets, "Gatherb", "offset", loc) ||
      !CheckAligned(src, "Gatherb", "src0", loc)) {
    return;
  }
  Instr instr(Pipe::V, "Gatherb", loc);
  if (NeedSpans()) {
    const LaneRuns runs = RunsOf(shape, shape.lanes, &dst, 1);
    AddRange(instr, offsets, 0, uint64_t(repeats) * 8 * 4, false);
    const size_t moved = instr.spans.size();
    AddRange(instr, src, 0, src.hi - src.addr, false);
    AddSpans(instr, dst, shape, runs, runs, true);
    MarkCopies(instr, moved);
  }
  instr.cost = VectorCost(&dst, 1, shape, 1);
  if (NeedRun()) {
    instr.run = [d = dst.ref.addr, blk = dst.blk, rep = dst.rep, s = src.addr, hi = src.hi, o = offsets.addr, repeats,
                 loc] {
      const uint32_t* offset = reinterpret_cast<const uint32_t*>(Raw(Mem::UB, o));
      const bool track = Tracking();
      for (uint32_t i = 0; i < repeats * 8; ++i) {
        if (offset[i] % kBlockBytes != 0 || s + uint64_t(offset[i]) + kBlockBytes > hi) {
          Report(offset[i] % kBlockBytes != 0 ? Rule::kMisaligned : Rule::kOutOfBounds,
                 Format("Gatherb: offset %u of block %u, the source has %u bytes", offset[i], i, hi - s), loc);
          continue;
        }
        Move(d + uint64_t(i / 8) * rep * kBlockBytes + uint64_t(i % 8) * blk * kBlockBytes, s + offset[i], kBlockBytes, track);
      }
    };
  }
  Issue(std::move(instr));
}

uint64_t IssueGatherMask(const VecArg& dst, const VecArg& src, uint32_t pattern, bool reduce_mode, uint32_t mask,
                         const AscendC::GatherMaskParams& p, Loc loc) {
  if (pattern < 1 || pattern > 7) {
    Report(Rule::kParameter, Format("GatherMask: pattern %u, the built-in ones are 1..7", pattern), loc);
    return 0;
  }
  const uint32_t repeats = p.repeatTimes, lanes = kRepeatBytes / src.bytes;
  const uint32_t per_repeat = reduce_mode ? mask : lanes;  // may exceed a repeat: counter mode walks on
  if (repeats == 0 || per_repeat == 0) return 0;
  if (!CheckUb(dst.ref, "GatherMask", "dst", loc) || !CheckUb(src.ref, "GatherMask", "src0", loc) ||
      !CheckAligned(dst.ref, "GatherMask", "dst", loc) || !CheckAligned(src.ref, "GatherMask", "src0", loc)) {
    return 0;
  }
  // 1: even lanes, 2: odd lanes, 3..6: every fourth lane from lane 0..3, 7: all of them.
  const auto selects = [pattern](uint32_t l) {
    return pattern == 7 || (pattern <= 2 ? l % 2 == pattern - 1 : l % 4 == pattern - 3);
  };
  uint64_t selected = 0;
  for (uint32_t l = 0; l < per_repeat; ++l) selected += selects(l);
  const uint64_t total = selected * repeats;
  Instr instr(Pipe::V, "GatherMask", loc);
  const uint32_t per_block = kBlockBytes / src.bytes;
  if (NeedSpans()) {
    for (uint32_t l = 0; l < per_repeat; l += per_block) {
      const uint32_t n = std::min(per_block, per_repeat - l);
      instr.spans.push_back(Touch(src.ref, int64_t(l / per_block) * src.blk * kBlockBytes, n * src.bytes, false, repeats,
                                  int64_t(src.rep) * kBlockBytes));
    }
    AddRange(instr, dst.ref, 0, total * dst.bytes, true);
    MarkCopies(instr);
  }
  instr.cost = VectorCost(repeats * ((per_repeat + lanes - 1) / lanes), 1, total);
  if (NeedRun()) {
    instr.run = [d = dst.ref.addr, s = src.ref.addr, bytes = uint32_t(src.bytes), blk = src.blk, rep = src.rep, repeats,
                 per_repeat, selects] {
      const bool track = Tracking();
      uint64_t to = d;
      for (uint32_t r = 0; r < repeats; ++r) {
        for (uint32_t l = 0; l < per_repeat; ++l) {
          if (!selects(l)) continue;
          Move(to, s + LaneOffset(bytes, blk, rep, r, l), bytes, track);
          to += bytes;
        }
      }
    };
  }
  Issue(std::move(instr));
  return total;
}

void IssueCopy(const VecArg* args, const VecMask& mask, Loc loc) {
  // Unlike everywhere else, the mask of counter mode counts the elements of one repeat.
  const SprState before = Cur().spr;
  VecShape shape;
  if (before.mask_mode == AscendC::MaskMode::COUNTER) {
    const uint64_t count = mask.kind == VecMask::Kind::kLanes ? mask.low : before.mask_count;
    shape = FullShape(args[0].bytes, mask.repeats);
    shape.low = count >= 64 ? ~0ull : (1ull << count) - 1;
    shape.high = count > 64 ? (count >= 128 ? ~0ull : (1ull << (count - 64)) - 1) : 0;
    if (shape.lanes <= 64) shape.high = 0;
    if (count > shape.lanes) Report(Rule::kMask, "Copy: more elements than a repeat holds", loc);
    if (count == 0) shape.repeats = 0;
  } else {
    shape = ResolveMask(mask, args[0].bytes, "Copy", loc);
  }
  if (!CheckVector(args, 2, shape, Overlap::kExact, "Copy", loc)) return;
  Instr instr(Pipe::V, "Copy", loc);
  if (NeedSpans()) {
    const LaneRuns full = RunsOf(shape, shape.lanes, args, 2), tail = RunsOf(shape, shape.tail, args, 2);
    AddSpans(instr, args[1], shape, full, tail, false);
    AddSpans(instr, args[0], shape, full, tail, true);
    MarkCopies(instr);
  }
  instr.cost = VectorCost(args, 2, shape, 1);
  if (NeedRun()) {
    instr.run = [walk = Walk(shape, args, 2), bytes = uint32_t(args[0].bytes)] {
      const bool track = Tracking();
      const uint8_t* ub = Raw(Mem::UB, 0);
      walk.ForRuns<2>([&](uint8_t** p, uint32_t n) {
        Move(uint64_t(p[0] - ub), uint64_t(p[1] - ub), n * bytes, track);
      });
    };
  }
  Issue(std::move(instr));
}

void IssueTranspose16(const TensorRef& dst, const TensorRef& src, Loc loc) {
  if (!CheckUb(dst, "Transpose", "dst", loc) || !CheckUb(src, "Transpose", "src", loc) ||
      !CheckAligned(dst, "Transpose", "dst", loc) || !CheckAligned(src, "Transpose", "src", loc)) {
    return;
  }
  if (dst.addr != src.addr) CheckDisjoint(dst, 512, src, 512, "Transpose", "dst and src", loc);
  Instr instr(Pipe::V, "Transpose", loc);
  if (NeedSpans()) {
    AddRange(instr, src, 0, 512, false);
    AddRange(instr, dst, 0, 512, true);
  }
  instr.cost = VectorCost(2, 8, 256);
  if (NeedRun()) {
    instr.run = [d = dst.addr, s = src.addr] {
      uint16_t tile[16][16];
      std::memcpy(tile, Raw(Mem::UB, s), sizeof(tile));
      uint16_t* out = reinterpret_cast<uint16_t*>(Raw(Mem::UB, d));
      for (int r = 0; r < 16; ++r) {
        for (int c = 0; c < 16; ++c) out[c * 16 + r] = tile[r][c];
      }
    };
  }
  Issue(std::move(instr));
}

void IssueTransData(const TensorRef (&dst)[16], const TensorRef (&src)[16], uint32_t bytes,
                    const AscendC::TransDataTo5HDParams& p, Loc loc) {
  const uint32_t repeats = p.repeatTimes, dst_rep = p.dstRepStride, src_rep = p.srcRepStride;
  if (repeats == 0) return;
  for (int i = 0; i < 16; ++i) {
    if (!CheckUb(dst[i], "TransDataTo5HD", "dst", loc) || !CheckUb(src[i], "TransDataTo5HD", "src", loc) ||
        !CheckAligned(dst[i], "TransDataTo5HD", "dst", loc) || !CheckAligned(src[i], "TransDataTo5HD", "src", loc)) {
      return;
    }
  }
  for (const TensorRef& d : dst) {
    for (const TensorRef& s : src) {
      if (d.addr == s.addr) {
        Report(Rule::kOverlap, "TransDataTo5HD: a block is both source and destination", loc);
        return;
      }
    }
  }
  if (repeats == 1 && (dst_rep != 0 || src_rep != 0)) {
    Report(Rule::kStride, "TransDataTo5HD: with one repeat both repeat strides must be 0", loc);
  }
  Instr instr(Pipe::V, "TransDataTo5HD", loc);
  if (NeedSpans()) {
    const auto add = [&](const TensorRef& t, uint32_t rep, bool write) {
      instr.spans.push_back(Touch(t, 0, kBlockBytes, write, rep == 0 ? 1 : repeats, int64_t(rep) * kBlockBytes));
    };
    for (const TensorRef& t : src) add(t, src_rep, false);
    for (const TensorRef& t : dst) add(t, dst_rep, true);
    MarkCopies(instr);
  }
  instr.cost = VectorCost(repeats * 2, 8, uint64_t(repeats) * 512 / bytes);
  if (NeedRun()) {
    struct Lists {
      uint32_t dst[16], src[16];
    } lists;
    for (int i = 0; i < 16; ++i) {
      lists.dst[i] = dst[i].addr;
      lists.src[i] = src[i].addr;
    }
    instr.run = [lists, bytes, repeats, dst_rep, src_rep] {
      const bool track = Tracking();
      const uint32_t columns = kBlockBytes / bytes;  // of a source block
      for (uint32_t r = 0; r < repeats; ++r) {
        for (uint32_t row = 0; row < 16; ++row) {
          for (uint32_t c = 0; c < columns; ++c) {
            // Output row c has 16 elements: one block of b16, two blocks (2c, 2c + 1) of b32.
            const uint32_t block = bytes == 2 ? c : 2 * c + row / 8, lane = bytes == 2 ? row : row % 8;
            Move(lists.dst[block] + uint64_t(r) * dst_rep * kBlockBytes + lane * bytes,
                 lists.src[row] + uint64_t(r) * src_rep * kBlockBytes + c * bytes, bytes, track);
          }
        }
      }
    };
  }
  Issue(std::move(instr));
}

}  // namespace twin

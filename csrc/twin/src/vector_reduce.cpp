// Reductions. Lanes the mask leaves out contribute nothing; where nothing at all contributes, the hardware's result is
// not specified, so the twin leaves "never written" there.
#include "twin/vector_reduce.h"

#include <algorithm>
#include <cmath>

#include "launch.h"
#include "vector_walk.h"

namespace twin {

namespace {

using AscendC::ReduceOrder;

// Cycles per repeat: the upper end of "two to five times an addition" for a whole repeat, less for the narrower trees;
// with start-up and latency this reproduces the public micro-measurements of reference 3.4 within a third.
uint32_t CyclesOf(ReduceScope scope) { return scope == ReduceScope::kWhole ? 5 : 2; }

struct Found {
  float value;
  uint32_t lane;
  bool any;
};

template <typename T>
Found ReduceLanes(ReduceKind kind, const T* values, const bool* active, uint32_t n) {
  if (kind == ReduceKind::kSum) {
    T sum[128];
    bool any = false;
    for (uint32_t i = 0; i < n; ++i) {
      sum[i] = active[i] ? values[i] : T(0.0f);
      any = any || active[i];
    }
    for (uint32_t m = n; m > 1; m = (m + 1) / 2) {
      for (uint32_t i = 0; i < m / 2; ++i) sum[i] = T(float(sum[2 * i]) + float(sum[2 * i + 1]));
      if (m % 2) sum[m / 2] = sum[m - 1];
    }
    return {float(sum[0]), 0, any};
  }
  Found found{0, 0, false};
  for (uint32_t i = 0; i < n; ++i) {
    if (!active[i]) continue;
    const float v = float(values[i]);
    if (!found.any || (kind == ReduceKind::kMax ? v > found.value : v < found.value)) found = {v, i, true};
  }
  return found;
}

// One repeat, gathered into lane order.
template <typename T>
struct Lanes {
  T value[128];
  bool active[128];
  uint32_t count;
};
template <typename T>
void Gather(Lanes<T>& lanes, const VecShape& shape, uint32_t addr, uint32_t blk, uint32_t rep, uint32_t r,
            bool check_nan, const char* api, Loc loc) {
  constexpr uint32_t per_block = kBlockBytes / sizeof(T);
  const uint32_t live = r + 1 == shape.repeats ? shape.tail : shape.lanes;
  lanes.count = shape.lanes;
  bool nan = false;
  for (uint32_t b = 0; b * per_block < shape.lanes; ++b) {
    const T* p = b * per_block < live
        ? reinterpret_cast<const T*>(Raw(Mem::UB, addr + uint64_t(r) * rep * kBlockBytes + uint64_t(b) * blk * kBlockBytes))
        : nullptr;
    for (uint32_t i = 0; i < per_block; ++i) {
      const uint32_t l = b * per_block + i;
      lanes.active[l] = l < live && shape.Lane(l);
      if (!lanes.active[l]) continue;
      lanes.value[l] = p[i];
      nan = nan || std::isnan(float(p[i]));
    }
  }
  if (nan && check_nan) Report(Rule::kNanInput, Format("%s: what a NaN does here is not specified", api), loc);
}

// The index goes into the bits of T.
template <typename T>
T IndexBits(uint32_t index) {
  if constexpr (sizeof(T) == 2) {
    return T::FromBits(static_cast<uint16_t>(index));
  } else {
    return BitsFloat(index);
  }
}

void Undefined(uint8_t* p, uint64_t addr, uint32_t bytes) {
  Poison(p, bytes);
  if (Cur().launch->track_init) MarkUninit(Mem::UB, addr, bytes);
}

struct Job {
  VecShape shape;
  ReduceKind kind;
  ReduceScope scope;
  ReduceOrder order;
  uint32_t dst, src, blk, rep, dst_step;  // dst_step: bytes from repeat to repeat
  const char* api;
  Loc loc;
};

template <typename T>
void RunReduce(const Job& j) {
  Lanes<T> lanes;
  const uint32_t group = j.scope == ReduceScope::kWhole ? j.shape.lanes : j.scope == ReduceScope::kBlock
      ? kBlockBytes / uint32_t(sizeof(T)) : 2;
  for (uint32_t r = 0; r < j.shape.repeats; ++r) {
    Gather(lanes, j.shape, j.src, j.blk, j.rep, r, j.kind != ReduceKind::kSum, j.api, j.loc);
    const uint64_t at = j.dst + uint64_t(r) * j.dst_step;
    T* out = reinterpret_cast<T*>(Raw(Mem::UB, at));
    for (uint32_t g = 0; g < j.shape.lanes / group; ++g) {
      const Found f = ReduceLanes(j.kind, lanes.value + g * group, lanes.active + g * group, group);
      if (!f.any) {
        Undefined(reinterpret_cast<uint8_t*>(out + g), at + g * sizeof(T), sizeof(T));
        continue;
      }
      switch (j.order) {
        case ReduceOrder::ORDER_ONLY_VALUE: out[g] = T(f.value); break;
        case ReduceOrder::ORDER_ONLY_INDEX: out[g] = IndexBits<T>(f.lane); break;
        case ReduceOrder::ORDER_VALUE_INDEX:
          out[0] = T(f.value);
          out[1] = IndexBits<T>(f.lane);
          break;
        case ReduceOrder::ORDER_INDEX_VALUE:
          out[0] = IndexBits<T>(f.lane);
          out[1] = T(f.value);
          break;
      }
    }
  }
}

template <typename T>
void RunReduceAll(const Job& j, bool index, bool sequential) {
  Lanes<T> lanes;
  std::vector<T> partial;
  Found best{0, 0, false};
  for (uint32_t r = 0; r < j.shape.repeats; ++r) {
    Gather(lanes, j.shape, j.src, j.blk, j.rep, r, j.kind != ReduceKind::kSum, j.api, j.loc);
    const Found f = ReduceLanes(j.kind, lanes.value, lanes.active, lanes.count);
    if (j.kind == ReduceKind::kSum) {
      partial.push_back(T(f.value));
    } else if (f.any && (!best.any || (j.kind == ReduceKind::kMax ? f.value > best.value : f.value < best.value))) {
      best = {f.value, r * j.shape.lanes + f.lane, true};
    }
  }
  T* out = reinterpret_cast<T*>(Raw(Mem::UB, j.dst));
  if (j.kind != ReduceKind::kSum) {
    out[0] = T(best.value);
    if (index) out[1] = IndexBits<T>(best.lane);
    return;
  }
  if (sequential) {
    T sum = partial[0];
    for (size_t i = 1; i < partial.size(); ++i) sum = T(float(sum) + float(partial[i]));
    out[0] = sum;
    return;
  }
  // Trees over the partial sums, a repeat of them at a time, until one is left.
  while (partial.size() > 1) {
    std::vector<T> next;
    for (size_t i = 0; i < partial.size(); i += j.shape.lanes) {
      const uint32_t n = uint32_t(std::min<size_t>(j.shape.lanes, partial.size() - i));
      bool all[128];
      std::fill_n(all, n, true);
      next.push_back(T(ReduceLanes(ReduceKind::kSum, partial.data() + i, all, n).value));
    }
    partial.swap(next);
  }
  out[0] = partial[0];
}

uint32_t RoundUp(uint32_t n, uint32_t to) { return (n + to - 1) / to * to; }

// Elements of temporary space (reference 3.4): repeat results, for an index those of every round.
uint32_t TmpElements(ReduceKind kind, bool index, uint32_t repeats, uint32_t bytes, bool count_form) {
  const uint32_t per_repeat = kRepeatBytes / bytes, per_block = kBlockBytes / bytes;
  if (kind == ReduceKind::kSum) return count_form ? 0 : RoundUp(repeats, per_block);
  uint32_t total = RoundUp(2 * repeats, per_block);
  for (uint32_t n = total; index && n > per_repeat;) {
    n = RoundUp(2 * ((n + per_repeat - 1) / per_repeat), per_block);
    total += n;
  }
  return total;
}

}  // namespace

uint32_t CheckedRange(int64_t value, int64_t limit, const char* api, const char* what, Loc loc) {
  if (value < 0 || value > limit) {
    Report(Rule::kFieldRange, Format("%s: %s is %lld, expected 0..%lld", api, what, static_cast<long long>(value),
                                     static_cast<long long>(limit)), loc);
    return 0;
  }
  return static_cast<uint32_t>(value);
}

void IssueReduce(ReduceKind kind, ReduceScope scope, ReduceOrder order, const VecArg& dst, const VecArg& src,
                 const VecMask& mask, int64_t dst_rep, const char* api, Loc loc) {
  const VecShape shape = ResolveMask(mask, src.bytes, api, loc);
  const uint32_t bytes = src.bytes;
  const bool pair = order == ReduceOrder::ORDER_VALUE_INDEX || order == ReduceOrder::ORDER_INDEX_VALUE;
  // What a repeat writes is also the unit of dstRepStride and the alignment of dst, except that pairs of neighbours
  // fill half a repeat.
  const uint32_t results = scope == ReduceScope::kWhole ? (pair ? 2 : 1) : scope == ReduceScope::kBlock ? 8 : shape.lanes / 2;
  const uint32_t unit = results * bytes;
  const uint32_t align = scope == ReduceScope::kWhole ? bytes : scope == ReduceScope::kBlock ? unit : kBlockBytes;
  const uint32_t step = CheckedRange(dst_rep, 65535, api, "dstRepStride", loc) * unit;
  if (!CheckVector(&src, 1, shape, Overlap::kExact, api, loc) || !CheckUb(dst.ref, api, "dst", loc) ||
      !CheckAligned(dst.ref, api, "dst", loc, align)) {
    return;
  }
  if (shape.repeats > 1 && step < unit) {
    Report(Rule::kStride, Format("%s: dstRepStride 0 lets %u repeats write the same place", api, shape.repeats), loc);
  }
  // In place is fine as long as no repeat writes what a later one still has to read.
  uint32_t top = shape.lanes;
  while (!shape.Lane(top - 1)) --top;
  const uint64_t src_extent = LaneOffset(bytes, src.blk, src.rep, shape.repeats - 1, top - 1) + bytes;
  const bool trails = dst.ref.addr <= src.ref.addr && (shape.repeats == 1 || step <= src.rep * kBlockBytes);
  if (!trails) {
    CheckDisjoint(dst.ref, uint64_t(shape.repeats - 1) * step + unit, src.ref, src_extent, api, "dst and src", loc);
  }

  Instr instr(Pipe::V, api, loc);
  if (NeedSpans()) {
    AddSpans(instr, src, shape, RunsOf(shape, shape.lanes, &src, 1), RunsOf(shape, shape.tail, &src, 1), false);
    if (step == unit) {
      AddRange(instr, dst.ref, 0, uint64_t(shape.repeats) * unit, true);
    } else {
      instr.spans.push_back(Touch(dst.ref, 0, unit, true, step == 0 ? 1 : shape.repeats, int64_t(step)));
    }
  }
  instr.cost = VectorCost(&src, 1, shape, CyclesOf(scope));
  if (NeedRun()) {
    const Job job{shape, kind, scope, order, dst.ref.addr, src.ref.addr, src.blk, src.rep, step, api, loc};
    if (bytes == 2) {
      instr.run = [job] { RunReduce<half>(job); };
    } else {
      instr.run = [job] { RunReduce<float>(job); };
    }
  }
  Issue(std::move(instr));
}

void IssueReduceAll(ReduceKind kind, bool index, const VecArg& dst, const VecArg& src, const TensorRef& tmp,
                    const VecMask& mask, bool count_form, const char* api, Loc loc) {
  const VecShape shape = ResolveMask(mask, src.bytes, api, loc);
  const uint32_t bytes = src.bytes;
  if (!CheckVector(&src, 1, shape, Overlap::kExact, api, loc) || !CheckUb(dst.ref, api, "dst", loc) ||
      !CheckAligned(dst.ref, api, "dst", loc)) {
    return;
  }
  const uint32_t need = TmpElements(kind, index, shape.repeats, bytes, count_form) * bytes;
  if (need != 0) {
    if (!CheckUb(tmp, api, "sharedTmpBuffer", loc) || !CheckAligned(tmp, api, "sharedTmpBuffer", loc)) return;
    if (tmp.hi < tmp.addr + need) {
      Report(Rule::kTempSize, Format("%s: the temporary buffer has %u bytes, %u are needed", api, tmp.hi - tmp.addr, need),
             loc);
      return;
    }
  }
  Instr instr(Pipe::V, api, loc);
  if (NeedSpans()) {
    AddSpans(instr, src, shape, RunsOf(shape, shape.lanes, &src, 1), RunsOf(shape, shape.tail, &src, 1), false);
    if (need != 0) AddRange(instr, tmp, 0, need, true);
    AddRange(instr, dst.ref, 0, (index ? 2u : 1u) * bytes, true);
  }
  instr.cost = VectorCost(&src, 1, shape, CyclesOf(ReduceScope::kWhole));
  // The rounds after the first depend on it.
  instr.cost.cycles += kVectorStartup + kVectorLatency + CyclesOf(ReduceScope::kWhole);
  if (NeedRun()) {
    const Job job{shape, kind, ReduceScope::kWhole, ReduceOrder::ORDER_ONLY_VALUE, dst.ref.addr, src.ref.addr, src.blk,
                  src.rep, 0, api, loc};
    instr.run = [job, index, count_form, t = tmp.addr, need] {
      if (job.shape.lanes == 128) {
        RunReduceAll<half>(job, index, count_form);
      } else {
        RunReduceAll<float>(job, index, count_form);
      }
      // What a reduction leaves in its temporary space is nobody's business (and it may be the source itself).
      const bool holds_dst = job.dst >= t && job.dst < t + need;
      if (need != 0 && !holds_dst) Undefined(Raw(Mem::UB, t), t, need);
    };
  }
  Issue(std::move(instr));
}

}  // namespace twin

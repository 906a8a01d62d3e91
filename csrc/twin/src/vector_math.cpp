// Erf and Tanh.
#include "twin/vector_math.h"

#include <algorithm>
#include <cmath>

namespace twin {

namespace {

struct FnInfo {
  const char* name;
  uint32_t instructions;              // vector instructions it is composed of
  uint32_t tmp_float, tmp_half;       // temporary space, multiples of max(256 B, the data)
};
// About 25 instructions for Erf (a rational approximation behind a clamp); Tanh is an exponential and a division.
FnInfo InfoOf(MathFn fn) { return fn == MathFn::kErf ? FnInfo{"Erf", 25, 3, 8} : FnInfo{"Tanh", 10, 1, 4}; }

template <typename T>
void Run(MathFn fn, uint32_t dst, uint32_t src, uint32_t count) {
  T* d = reinterpret_cast<T*>(Raw(Mem::UB, dst));
  const T* s = reinterpret_cast<const T*>(Raw(Mem::UB, src));
  for (uint32_t i = 0; i < count; ++i) {
    const float x = static_cast<float>(s[i]);
    d[i] = T(fn == MathFn::kErf ? std::erf(x) : std::tanh(x));
  }
}

}  // namespace

void IssueMath(MathFn fn, const VecArg& dst, const VecArg& src, const TensorRef& tmp, uint32_t count, Loc loc) {
  const FnInfo info = InfoOf(fn);
  const VecArg args[] = {dst, src};
  const VecShape shape = ResolveMask(VecMask::Count(count), dst.bytes, info.name, loc);
  if (!CheckVector(args, 2, shape, Overlap::kNone, info.name, loc) || !CheckUb(tmp, info.name, "sharedTmpBuffer", loc) ||
      !CheckAligned(tmp, info.name, "sharedTmpBuffer", loc)) {
    return;
  }
  const uint32_t bytes = count * dst.bytes;
  const uint32_t need = std::max(kRepeatBytes, bytes) * (dst.bytes == 4 ? info.tmp_float : info.tmp_half);
  if (tmp.hi < tmp.addr + need) {
    Report(Rule::kTempSize, Format("%s: the temporary buffer has %u bytes, %u are needed for %u elements", info.name,
                                   tmp.hi - tmp.addr, need, count), loc);
    return;
  }
  CheckDisjoint(dst.ref, bytes, tmp, need, info.name, "dst and sharedTmpBuffer", loc);
  CheckDisjoint(src.ref, bytes, tmp, need, info.name, "src and sharedTmpBuffer", loc);

  Instr instr(Pipe::V, info.name, loc);
  if (NeedSpans()) {
    AddRange(instr, src.ref, 0, bytes, false);
    AddRange(instr, tmp, 0, need, true);
    AddRange(instr, dst.ref, 0, bytes, true);
  }
  instr.cost = VectorCost(shape.repeats, info.instructions, shape.ActiveLanes());
  instr.cost.cycles += (info.instructions - 1) * (kVectorStartup + kVectorLatency);  // each depends on the one before
  if (NeedRun()) {
    instr.run = [fn, d = dst.ref.addr, s = src.ref.addr, wide = dst.bytes == 4, count, t = tmp.addr, need] {
      if (wide) {
        Run<float>(fn, d, s, count);
      } else {
        Run<half>(fn, d, s, count);
      }
      MarkUninit(Mem::UB, t, need);  // what is left in the temporary space is unspecified
    };
  }
  Issue(std::move(instr));
}

}  // namespace twin

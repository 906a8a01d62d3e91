// What all repeat-structured vector instructions share. A repeat is 8 blocks of 32 B; an operand walks from block to
// block and from repeat to repeat by its own strides; a mask says which lanes take part. The functions here turn an
// API call into that form, check the rules that hold for all of them, list the bytes touched and estimate the cost.
#pragma once

#include <cstdint>

#include "twin/vector_params.h"

namespace twin {

constexpr uint32_t kBlockBytes = 32;    // bytes
constexpr uint32_t kRepeatBytes = 256;  // bytes of one repeat of the widest operand

// One operand: where it starts, how wide its elements are, how it walks (strides in 32 B blocks).
struct VecArg {
  TensorRef ref;
  ElemType type = ElemType::kFloat;
  uint8_t bytes = 4;  // of one element
  bool write = false;
  uint32_t blk = 1, rep = 8;
  const char* name = "";
};

template <typename T>
VecArg Arg(const AscendC::LocalTensor<T>& t, const char* name, bool write = false, uint32_t blk = 1,
           uint32_t rep = 8) {
  VecArg a;
  a.ref = t.Ref();
  a.type = ElemTypeOf<T>();
  a.bytes = sizeof(T);
  a.write = write;
  a.blk = blk;
  a.rep = rep;
  a.name = name;
  return a;
}

// How the caller asked for lanes.
struct VecMask {
  enum class Kind : uint8_t { kCount, kLanes, kBitmap, kRegister } kind = Kind::kCount;
  uint64_t low = 0, high = 0;  // kCount, kLanes: the number in `low`
  uint32_t repeats = 1;
  static VecMask Count(int64_t n) { return {Kind::kCount, n < 0 ? 0 : static_cast<uint64_t>(n), 0, 1}; }
  // With set = false the mask comes from the register, whatever was passed.
  static VecMask Lanes(uint64_t n, uint32_t repeats, bool set) {
    return {set ? Kind::kLanes : Kind::kRegister, n, 0, repeats};
  }
  static VecMask Bits(const uint64_t mask[], uint32_t repeats, bool set) {
    return {set ? Kind::kBitmap : Kind::kRegister, set ? mask[0] : 0, set ? mask[1] : 0, repeats};
  }
};

// The lanes an instruction works on: `repeats` times the lanes of the bitmap, of which the last repeat only has the
// first `tail`.
struct VecShape {
  uint32_t lanes = 0;  // in a repeat
  uint32_t repeats = 0;
  uint32_t tail = 0;   // == lanes: the last repeat is like the others
  uint64_t low = 0, high = 0;
  bool Lane(uint32_t l) const { return ((l < 64 ? low >> l : high >> (l - 64)) & 1u) != 0; }
  uint64_t ActiveLanes() const;
};

// A stretch of lanes of one repeat that is contiguous in memory for every operand.
struct LaneRun {
  uint32_t lane, count;
};
using LaneRuns = SmallVector<LaneRun, 16>;

// The address of lane `l` of repeat `r`, relative to the operand's start.
inline uint64_t LaneOffset(uint32_t bytes, uint32_t blk, uint32_t rep, uint32_t r, uint32_t l) {
  const uint32_t per_block = kBlockBytes / bytes;
  return uint64_t(r) * rep * kBlockBytes + uint64_t(l / per_block) * blk * kBlockBytes + uint64_t(l % per_block) * bytes;
}

// Every lane of `repeats` repeats of elements of `bytes`.
VecShape FullShape(uint32_t bytes, uint32_t repeats);
// Resolves the mask for elements of `bytes` (the widest operand's) and leaves the mask register as the call does.
VecShape ResolveMask(const VecMask& mask, uint32_t bytes, const char* api, Loc loc);
// The contiguous stretches of the active lanes below `lanes`, cut where any of the strides is not 1.
LaneRuns RunsOf(const VecShape& shape, uint32_t lanes, const VecArg* args, size_t n);

// What an operation may do with overlapping operands.
enum class Overlap : uint8_t {
  kExact,       // dst may be a source, lane for lane
  kAccumulate,  // and, as src1, be read again by the next repeat (repeat strides 0)
  kConvert,     // lanes change width: no repeat may read what an earlier one wrote
  kNone,        // no byte in common
};
// Position, alignment, strides, overlap. args[0] is the destination, or a source that is alone. False: nothing sensible can be
// executed.
bool CheckVector(const VecArg* args, size_t n, const VecShape& shape, Overlap overlap, const char* api, Loc loc);
// UB, on a vector core. False after a report.
bool CheckUb(const TensorRef& t, const char* api, const char* operand, Loc loc);
// Reports when two byte ranges of UB meet.
void CheckDisjoint(const TensorRef& a, uint64_t a_bytes, const TensorRef& b, uint64_t b_bytes, const char* api,
                   const char* what, Loc loc);

// Spans of one operand over all repeats.
void AddSpans(Instr& instr, const VecArg& arg, const VecShape& shape, const LaneRuns& full, const LaneRuns& tail,
              bool write);
// A plain contiguous range; vector instructions whose access is irregular list these themselves.
void AddRange(Instr& instr, const TensorRef& t, uint64_t offset, uint64_t bytes, bool write);

// Cycles of a vector instruction (reference 1.5, 6.3). The start-up is the difference between the measured and the
// ideal vector time of the streaming addition of 1.5 per instruction; start-up and latency together are the shortest
// time between dependent small instructions of 3.4.
constexpr uint32_t kVectorStartup = 10;
constexpr uint32_t kVectorLatency = 65;
Cost VectorCost(const VecArg* args, size_t n, const VecShape& shape, uint32_t cycles_per_repeat);
Cost VectorCost(uint32_t repeats, uint32_t cycles_per_repeat, uint64_t lanes);

}  // namespace twin

// The one door every modelled instruction goes through. An API function checks its own parameters, lists the
// byte ranges it touches, says what it costs, packs the data movement into `run`, and calls Issue(). Everything
// else (bounds, lifetime, initialised data, happens-before, adversarial order, counters, time) happens behind it.
#pragma once

#include <cstdint>
#include <string>

#include "twin/small.h"

namespace twin {

// Where in the kernel source a call was made: the trailing, defaulted parameter of every device API.
struct Loc {
  const char* file = "";
  uint32_t line = 0;
  static constexpr Loc Current(const char* file = __builtin_FILE(), uint32_t line = __builtin_LINE()) {
    return Loc{file, line};
  }
  bool Known() const { return line != 0; }
};

enum class Pipe : uint8_t { S, V, M, MTE1, MTE2, MTE3, FIX };
constexpr int kPipes = 7;
const char* Name(Pipe pipe);

enum class Mem : uint8_t { GM, UB, L1, L0A, L0B, L0C, BT, FB };
constexpr int kMems = 8;
const char* Name(Mem mem);

struct Buffer;  // one allocation of TPipe (queue.h)

// A set of byte ranges an instruction touches: `count` ranges of `len` bytes, `stride` bytes from start to start.
// Make them with Touch() of tensor.h, which fills the bounds from the tensor.
struct Span {
  Mem mem = Mem::UB;
  bool write = false;
  bool atomic = false;      // read-modify-write in GM; unordered with other atomics
  bool copy = false;        // moves bytes unseen: reading uninitialised bytes is no error, `run` carries the init bits
  uint32_t len = 0;
  uint64_t addr = 0;        // byte address inside the memory; GM: host address
  uint32_t count = 1;
  int64_t stride = 0;
  uint64_t lo = 0, hi = 0;  // the tensor's bounds; hi == 0: only the memory's own size is checked
  const Buffer* buffer = nullptr;
  uint32_t generation = 0;  // of the buffer when the tensor was made
};

// What an instruction costs. The GM time comes from the GM spans; `cycles` is the time the pipe is busy apart from it.
struct Cost {
  uint32_t cycles = 0;
  uint32_t latency = 0;      // cycles after the pipe is free again until a dependent instruction may start
  uint32_t burst_bytes = 0;  // length of one contiguous GM row
  uint32_t bursts = 0;
  uint32_t gm_factor_pct = 0;  // extra GM time in per cent (short or unaligned rows), set by the data movers
  uint64_t macs_useful = 0, macs_padded = 0;
  uint64_t lanes = 0;        // vector lanes that did useful work
  uint32_t repeats = 0;
  uint32_t conflict_cycles = 0;  // UB bank conflicts, part of `cycles`
  uint64_t local_bytes = 0;  // bytes moved between on-chip memories
  uint64_t fix_elements = 0;
};

struct Instr {
  Pipe pipe = Pipe::V;
  const char* name = "";
  Loc loc;
  SmallVector<Span, 6> spans;
  Task run;   // the arithmetic or the move, on raw bytes; captures by value everything it needs, masks and modes too
  Cost cost;
  bool in_order = false;  // its dependence on the previous instruction of the same pipe needs no PipeBarrier
  Instr() = default;
  Instr(Pipe p, const char* n, Loc l) : pipe(p), name(n), loc(l) {}
};

// Checks, schedules and runs (or queues) one instruction on the current core.
void Issue(Instr&& instr);

// Whether anyone looks at local spans / at data / at the cost. The cost-only mode needs neither of the first two, the
// adversarial modes keep no time: skip building them when false.
bool NeedSpans();
bool NeedRun();
bool NeedCost();

// The rules strict mode knows; the report carries the kebab-case name (Name(Rule)).
enum class Rule : uint8_t {
  kOutOfBounds, kMisaligned, kUninitialisedRead, kUseAfterFree, kMissingSync, kMissingBarrier, kCrossCoreRace,
  kQueueMisuse, kQueueLeak, kFlagLeft, kDoubleSet, kWaitWithoutSet, kEventId, kEventLeak, kCrossCoreOverflow,
  kCrossCoreUnread, kCrossCoreId, kCrossCorePipe, kDeadlock, kStepLimit, kMaskLeft, kAtomicLeft,
  kStaleScalar, kDirtyLine, kFieldRange, kParameter, kRoundsDown, kPosition, kWrongCore, kDtype, kOverlap, kMask,
  kStride, kTempSize, kNanInput, kGemvTrap, kQuantMode, kUnitFlag, kCapacity, kBufferCount, kLiveTensors,
  kOutputUnwritten, kInputWritten, kInitState, kKernelType, kMixedStatic,
};
const char* Name(Rule rule);

// Records a violation (strict mode; once per rule and pair of places) and returns.
void Report(Rule rule, const std::string& message, Loc here, Loc other = {});
// Records a remark: redundant synchronisation, avoidable slowness. Never a failure.
void Note(const std::string& kind, const std::string& message, Loc here);
// Records a violation after which this core cannot continue, and unwinds it.
[[noreturn]] void Fatal(Rule rule, const std::string& message, Loc here, Loc other = {});

// The current core's memory at a byte address (GM: the address itself). Null-free only when NeedRun().
uint8_t* Raw(Mem mem, uint64_t addr);

// Moves bytes together with their "was this ever written" bits; for `run` of copy spans.
void MoveBytes(Mem dst_mem, uint64_t dst, Mem src_mem, uint64_t src, uint64_t len);
// The same for `count` pieces, each so many bytes after the one before; all of a side in one tensor.
struct Pieces {
  Mem mem;
  uint64_t addr;
  int64_t step;
};
void MoveBytes(const Pieces& dst, const Pieces& src, uint64_t len, uint32_t count);
// Declares bytes written / never written; Issue() does it for write spans without `copy`.
void MarkInit(Mem mem, uint64_t addr, uint64_t len);
void MarkUninit(Mem mem, uint64_t addr, uint64_t len);

// printf into a string, for messages.
std::string Format(const char* fmt, ...) __attribute__((format(printf, 1, 2)));

// An integer field of the hardware: converting a value that does not fit is reported, not truncated.
template <typename T>
class checked {
 public:
  constexpr checked() = default;
  template <typename U, typename = std::enable_if_t<std::is_integral<U>::value || std::is_enum<U>::value>>
  constexpr checked(U v, Loc loc = Loc::Current()) : value_(static_cast<T>(v)) {  // NOLINT: implicit on purpose
    if (static_cast<__int128>(v) != static_cast<__int128>(value_)) Overflow(static_cast<long long>(v), loc);
  }
  constexpr operator T() const { return value_; }  // NOLINT: implicit on purpose

 private:
  static void Overflow(long long value, Loc loc) {
    Report(Rule::kFieldRange, Format("%lld does not fit a %d-bit %s field", value, int(sizeof(T) * 8),
                                     std::is_signed<T>::value ? "signed" : "unsigned"), loc);
  }
  T value_ = 0;
};

}  // namespace twin

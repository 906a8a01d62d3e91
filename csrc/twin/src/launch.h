// One run of a kernel: the cores with their memories, clocks and queues, the global memory, the settings and what was
// found. Private to the twin.
#pragma once

#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "clock.h"
#include "estimate.h"
#include "fiber.h"
#include "memory.h"
#include "pipes.h"
#include "shadow.h"
#include "twin/core.h"
#include "twin/queue.h"
#include "twin/registry.h"

namespace twin {

enum class Mode : uint8_t { kEager, kLate, kRandom, kCost };

struct Settings {
  Mode mode = Mode::kEager;
  bool strict = true;
  uint64_t seed = 0;
  uint64_t max_steps = 400'000'000;  // API calls over all cores
  int mmad_order = 0;                // 0 sequential, 1 tree of 16, 2 reversed
  bool timeline = false;
  // Sites of synchronisation to skip and of InitBuffers to halve: "file:line" or "file:line:what", as Site says. The
  // file may be cut at any '/'.
  std::set<std::string> mute;
};

constexpr int kEvents = int(AscendC::HardEvent::MAX);
constexpr int kEventIds = 8;

struct Flag {
  bool set = false;
  Loc set_loc;
  Clock clock;
  double time = 0;
};

// One set of a cross-core flag on its way to one waiter.
struct Token {
  Snapshot snapshot;
  double time = 0;
  Loc loc;
};

struct CacheLineCopy {
  uint32_t stamp = 0;  // launch-wide write stamp when the line was fetched
  bool dirty = false;
  Loc loc;
};

// A place in the kernel that synchronises or allocates. Its name is "file:line:what", where `what` tells apart calls
// that share a line: "SetFlag<MTE2_V>", "PipeBarrier<PIPE_V>", "InitBuffer".
struct Site {
  const char* kind = "";
  Loc loc;
  bool muted = false;
  uint64_t executions = 0, useless = 0;
};

struct Diagnostic {
  Rule rule;
  std::string message, core;
  Loc here, other;
  uint64_t count = 1;
};

struct NoteText {
  std::string kind, message;
  Loc here;
};

// Unwinds a core; caught at the fiber's entry. Abort() throws it.
struct CoreAbort {};
[[noreturn]] void Abort(Core& core);

// The tile of L0C that a unit flag guards.
struct UnitShape {
  uint64_t addr = 0;
  uint32_t m = 0, n = 0;
};

struct CoreState {
  Bank bank[kMems];
  LocalShadow shadow[kMems];
  std::array<uint32_t, kClock> seq{};       // instructions issued per pipe
  Clock known[kPipes];                      // what each pipe knows of this core
  std::vector<Clock> foreign;               // what all pipes know of the other cores
  std::vector<Loc> where[kPipes];           // source line of each instruction, by sequence number
  Flag flag[kEvents][kEventIds];
  uint8_t event_used[kEvents] = {};         // taken by AllocEventID or a queue
  Loc event_loc[kEvents][kEventIds];
  std::vector<std::deque<Token>> inbox[3][kCrossFlags];  // [mode][id][source]
  std::unordered_map<uint64_t, CacheLineCopy> dcache;    // 64 B lines of GM
  uint32_t barrier_at[kPipes] = {};         // sequence number at the last PipeBarrier
  PipeQueues queues;                        // adversarial modes
  std::deque<Buffer> buffers;
  uint32_t allocated[kMems] = {};
  uint32_t peak[kMems] = {};
  int live[int(AscendC::TPosition::MAX)] = {};  // tensors allocated per position
  int live_buffers = 0;
  bool buffers_reset = false;               // TPipe::Reset: queues may be initialised again
  bool used_static = false, used_pipe = false;
  Loc static_loc;
  Clock unit_written, unit_drained;         // unitFlag: what the last Mmad / Fixpipe hands on
  double unit_written_time = 0, unit_drained_time = 0;
  bool unit_full = false, unit_empty = false;  // a result waits for Fixpipe; a drained tile for Mmad
  UnitShape unit_shape;
  Loc unit_loc;
  CoreTime time;
  Counters counters;
  uint64_t sync_all_count = 0;
  int soft_rounds = 0;
  std::vector<Core*> peers[3];              // the cores that a cross-core set of this mode reaches, and is awaited from
  std::unique_ptr<Fiber> fiber;
  bool aborted = false;
  const std::function<bool()>* ready = nullptr;              // while blocked: whether it may go on
  const std::function<std::string()>* waiting_for = nullptr; // while blocked
  Loc waiting_loc;
  Loc stands_at;                            // the last API call
  int waiting_flag = -1;                    // the cross-core flag it waits for
};

struct Launch {
  Platform platform{};
  Settings settings;
  Plan plan;
  std::vector<Core> cores;
  std::vector<std::unique_ptr<CoreState>> states;
  std::vector<GmRegion> regions;
  Pages memories;            // of all cores, one after the other
  bool track_init = false;   // eager + strict
  bool hazards = false;      // strict, not cost
  bool strict = false;
  bool priced = true;        // time and counters are kept: not in the adversarial modes, whose order is no schedule
  uint64_t steps = 0;
  uint32_t write_stamp = 0;
  std::unordered_map<uint64_t, Epoch> scalar_lines;  // 64 B lines of GM by address: the last SetValue into each
  std::vector<Diagnostic> diagnostics;
  std::map<std::string, size_t> seen;       // diagnostics and notes by key
  std::vector<NoteText> notes;
  std::map<std::string, Site> sites;        // by name
  std::unordered_map<uint64_t, Site*> site_index;  // by the pointers and the line of the call
  std::vector<TraceEvent> trace;
  uint64_t random = 0;
  Temper temper[kPipes] = {};               // of a random run
  std::vector<std::unique_ptr<Instr>> spare;  // instructions that have run, for the next ones
  bool stopping = false;                    // deadlock, step limit or failure: every core unwinds
  std::exception_ptr failure;               // rethrown to the caller
  uint64_t progress = 0;                    // bumped whenever a token is delivered
  double horizon = 0;  // cost mode: no core goes far beyond this time before the others have come there
  struct Barrier {
    uint64_t round = 0;
    int arrived = 0, expected = 0;
    std::vector<Clock> joined;
    double time = 0;
    std::vector<Clock> released;
    double released_time = 0;
    std::set<int> here;                     // cores that have arrived
  } barrier[2];                             // [0] vector cores only, [1] everyone
  int declared_type = -1;
  uint32_t l2_fills = 0;                    // lines that have come into L2 so far
  double reading_cycles = 0;                // spent by all cores on reading global memory

  GmRegion* FindRegion(uint64_t addr);
  uint32_t Random(uint32_t n);              // uniform in [0, n)
  bool Eager() const { return settings.mode == Mode::kEager; }
  bool Cost() const { return settings.mode == Mode::kCost; }
  bool Deferred() const { return settings.mode == Mode::kLate || settings.mode == Mode::kRandom; }
};

// Counts one API call; unwinds the core when the launch is over its step bound.
void Step(Loc loc);
// Records that synchronisation was seen at a place; `muted` when the run is told to do without. Both texts must be
// literals or live as long.
Site& SyncSite(const char* kind, Loc loc, const char* detail = "");
void CountUseless(Site& site, bool useless);
std::string PlaceOf(Loc loc);  // "file:line"
// Runs `core` as the current one for a while (draining another core's queues).
class AsCurrent {
 public:
  explicit AsCurrent(Core& core);
  ~AsCurrent();

 private:
  Core* saved_;
};
void SetCurrent(Core* core);
// Blocks the current fiber until `ready` returns true; `what` says for what and whom it waits, asked at a deadlock.
void BlockUntil(const std::function<bool()>& ready, const std::function<std::string()>& what, Loc loc);
// What a core is doing, for a deadlock's report: "ended", "stopped by an error", "waits at file:line", ...
std::string StateOf(const Core& core);

// The pieces of the end-of-kernel checks.
void CheckQueuesAtEnd(Core& core, Loc loc);
void CheckFlagsAtEnd(Core& core);
void CheckCrossFlagsAtEnd(Launch& launch);

// A cross-core set that has taken effect: its tokens reach the waiting cores.
void DeliverCrossSet(Core& core, int mode, int id, const Token& token);

// Whether the TPipe of this core keeps a flag for itself (queue.cpp).
bool KeptByPipe(const Core& core, AscendC::HardEvent event, int id);
// unitFlag of Mmad and Fixpipe (unitflag.cpp).
void UnitFlagBeforeMmad(Core& core, uint32_t unit_flag);
void UnitFlagAfterMmad(Core& core, uint32_t unit_flag, const UnitShape& shape, Loc loc);
void UnitFlagBeforeFixpipe(Core& core, uint32_t unit_flag, const UnitShape& shape, Loc loc);
void UnitFlagAfterFixpipe(Core& core, uint32_t unit_flag);

// The flag operations behind SetFlag/WaitFlag and the queues' own events.
void RaiseFlag(Core& core, AscendC::HardEvent event, int id, Loc loc);
void AwaitFlag(Core& core, AscendC::HardEvent event, int id, Site& site, Loc loc);
void BarrierAll(Core& core);

// Happens-before helpers shared by flags, queues and cross-core code.
Clock CompletedClock(Core& core, Pipe pipe);    // what is finished once `pipe` has drained to here
bool JoinAll(Core& core, const Clock& clock);   // the scalar unit waited: every later instruction is after it
void CheckHazards(Core& core, const Instr& instr, uint32_t seq);

void InitCoreMemories(Launch& launch, Core& core, uint8_t* data);
// Runs the launch to its end.
void RunLaunch(Launch& launch, EntryFn entry);

}  // namespace twin

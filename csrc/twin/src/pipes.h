// Deferred execution for the adversarial modes: each pipe of a core has its queue, and an entry runs only when
// something forces it (late) or when chance picks it (random), never before what the flags demand.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "clock.h"
#include "twin/issue.h"

namespace twin {

struct Core;
struct Launch;

struct QueueItem {
  enum class Kind : uint8_t { kExec, kSet, kWait, kBarrier, kCrossSet };
  Kind kind = Kind::kExec;
  std::unique_ptr<Instr> instr;  // kExec; apart, since entries change places and most of them are no instruction
  int flag = 0;                // kSet, kWait: index of event and id
  int mode = 0, cross_id = 0;  // kCrossSet
  Snapshot snapshot;
  double time = 0;
  Loc loc;
};

constexpr int kCrossFlags = 16;  // ids of cross-core flags

// Flags the queues know: the HardEvent flags by event * 8 + id, then the unit flag in both directions.
constexpr int kUnitFull = 64 * 8, kUnitEmpty = kUnitFull + 1, kQueueFlags = kUnitFull + 2;

struct PipeQueues {
  std::deque<QueueItem> items[kPipes];
  uint64_t base[kPipes] = {};      // index of items[p].front()
  uint16_t pending[kQueueFlags] = {};  // sets executed and not yet waited for
  uint16_t queued[kQueueFlags] = {};   // sets among the items
  uint32_t queued_cross[kCrossFlags] = {};  // cross-core sets among the items, by id
};

// How a pipe of a random run behaves: it lags until forced, wanders, or runs ahead whenever it may.
enum class Temper : uint8_t { kLags, kWanders, kHurries };
void DrawTempers(Launch& launch);

// Entries at the end of a pipe's queue.
void DeferInstr(Core& core, Instr&& instr);
void Defer(Core& core, Pipe pipe, QueueItem&& item);
void DeferSet(Core& core, Pipe pipe, int flag);
void DeferWait(Core& core, Pipe pipe, int flag);  // pipe S: runs what the wait needs, now
void DeferBarrier(Core& core, Pipe pipe);
// Runs every queued entry of the core.
void Drain(Core& core);
void DrainPipe(Core& core, Pipe pipe);
// Runs up to the first queued set of this cross-core flag; false when there is none.
bool ForceCrossSet(Core& core, int mode, int id);
// In random mode: now and then runs something that may run.
void Stir(Core& core);

}  // namespace twin

// The deferred queues. Entries of one pipe leave in order, except that up to the next wait or barrier an instruction
// may overtake others as the hardware allows it to: never writing what the other still has to read. Sets do not hold
// it up: they only say that what was issued before them is done.
#include "pipes.h"

#include "launch.h"

namespace twin {

namespace {

constexpr size_t kLongestQueue = 512;  // a pipe cannot lag further than this behind issue
constexpr size_t kOvertake = 4;        // how far an instruction may jump forward

bool MayOverlap(const Span& a, const Span& b) {
  if (a.mem != b.mem) return false;
  const auto extent = [](const Span& s) {
    const int64_t last = int64_t(s.count ? s.count - 1 : 0) * s.stride;
    return std::pair<uint64_t, uint64_t>(s.addr + uint64_t(std::min<int64_t>(0, last)),
                                         s.addr + uint64_t(std::max<int64_t>(0, last)) + s.len);
  };
  const auto [ab, ae] = extent(a);
  const auto [bb, be] = extent(b);
  return ab < be && bb < ae;
}

// Whether `later` may run before `earlier`: it must not destroy what `earlier` reads. Hardware that keeps two
// instructions in order by itself (accumulating products, atomics, unit flags) is left in order.
bool MayOvertake(const Instr& later, const Instr& earlier) {
  if (later.in_order || earlier.in_order) return false;
  for (const Span& w : later.spans) {
    if (!w.write) continue;
    for (const Span& e : earlier.spans) {
      if ((!e.write || (w.atomic && e.atomic)) && MayOverlap(w, e)) return false;
    }
  }
  return true;
}

void Execute(Core& core, QueueItem& item) {
  AsCurrent as(core);
  switch (item.kind) {
    case QueueItem::Kind::kExec:
      if (item.instr->run) item.instr->run();
      core.launch->spare.push_back(std::move(item.instr));
      break;
    case QueueItem::Kind::kSet:
      --core.state->queues.queued[item.flag];
      ++core.state->queues.pending[item.flag];
      break;
    case QueueItem::Kind::kWait:
      if (core.state->queues.pending[item.flag]) --core.state->queues.pending[item.flag];
      break;
    case QueueItem::Kind::kBarrier:
      break;
    case QueueItem::Kind::kCrossSet:
      --core.state->queues.queued_cross[item.cross_id];
      DeliverCrossSet(core, item.mode, item.cross_id, {item.snapshot, item.time, item.loc});
      break;
  }
}

void RunFront(Core& core, Pipe pipe) {
  PipeQueues& q = core.state->queues;
  QueueItem item = std::move(q.items[int(pipe)].front());
  q.items[int(pipe)].pop_front();
  ++q.base[int(pipe)];
  Execute(core, item);
}

// The absolute index, in any pipe, of the first queued set of this flag.
bool FindSet(const PipeQueues& q, int flag, int* pipe, uint64_t* index) {
  if (!q.queued[flag]) return false;
  for (int p = 0; p < kPipes; ++p) {
    for (size_t i = 0; i < q.items[p].size(); ++i) {
      if (q.items[p][i].kind == QueueItem::Kind::kSet && q.items[p][i].flag == flag) {
        *pipe = p;
        *index = q.base[p] + i;
        return true;
      }
    }
  }
  return false;
}

// Runs `pipe` until the entry with absolute index `target` has run, and only what that demands elsewhere.
void Force(Core& core, int pipe, uint64_t target) {
  PipeQueues& q = core.state->queues;
  struct Goal {
    int pipe;
    uint64_t index;
  };
  SmallVector<Goal, 16> goals{{pipe, target}};
  while (!goals.empty()) {
    const auto [p, index] = goals.back();
    if (q.base[p] > index || q.items[p].empty()) {
      goals.pop_back();
      continue;
    }
    const QueueItem& front = q.items[p].front();
    int sp = 0;
    uint64_t si = 0;
    if (front.kind == QueueItem::Kind::kWait && q.pending[front.flag] == 0 && FindSet(q, front.flag, &sp, &si) &&
        goals.size() < 4096) {
      goals.push_back({sp, si});
      continue;
    }
    RunFront(core, Pipe(p));
  }
}

bool Ready(const PipeQueues& q, const QueueItem& item) {
  return item.kind != QueueItem::Kind::kWait || q.pending[item.flag] || !q.queued[item.flag];
}

// Moves one of the first few instructions of a pipe to the front when the hardware could have run it first.
void Shuffle(Core& core, int pipe) {
  auto& items = core.state->queues.items[pipe];
  size_t candidates[kOvertake], n = 0;
  for (size_t i = 0; i < items.size() && n < kOvertake; ++i) {
    if (items[i].kind == QueueItem::Kind::kWait || items[i].kind == QueueItem::Kind::kBarrier) break;
    if (items[i].kind == QueueItem::Kind::kExec) candidates[n++] = i;
  }
  if (n < 2) return;
  const size_t pick = core.launch->Random(uint32_t(n));
  for (size_t i = 0; i < pick; ++i) {
    if (!MayOvertake(*items[candidates[pick]].instr, *items[candidates[i]].instr)) return;
  }
  for (size_t i = candidates[pick]; i > 0; --i) std::swap(items[i], items[i - 1]);
}

Temper TemperOf(uint64_t seed, int pipe) {
  uint64_t h = (seed * kPipes + uint64_t(pipe) + 1) * 0x9e3779b97f4a7c15ull;
  h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9ull;
  return Temper((h >> 40) % 3);
}

}  // namespace

void DrawTempers(Launch& launch) {
  for (int p = 0; p < kPipes; ++p) launch.temper[p] = TemperOf(launch.settings.seed, p);
}

void DeferInstr(Core& core, Instr&& instr) {
  auto& spare = core.launch->spare;
  QueueItem item;
  const Pipe pipe = instr.pipe;
  if (spare.empty()) {
    item.instr = std::make_unique<Instr>(std::move(instr));
  } else {
    item.instr = std::move(spare.back());
    spare.pop_back();
    *item.instr = std::move(instr);
  }
  Defer(core, pipe, std::move(item));
}

void Defer(Core& core, Pipe pipe, QueueItem&& item) {
  PipeQueues& q = core.state->queues;
  if (item.kind == QueueItem::Kind::kSet) ++q.queued[item.flag];
  if (item.kind == QueueItem::Kind::kCrossSet) ++q.queued_cross[item.cross_id];
  q.items[int(pipe)].push_back(std::move(item));
  if (q.items[int(pipe)].size() > kLongestQueue) Force(core, int(pipe), q.base[int(pipe)]);
}

void DeferSet(Core& core, Pipe pipe, int flag) {
  QueueItem item;
  item.kind = QueueItem::Kind::kSet;
  item.flag = flag;
  Defer(core, pipe, std::move(item));
}

void DeferWait(Core& core, Pipe pipe, int flag) {
  QueueItem item;
  item.kind = QueueItem::Kind::kWait;
  item.flag = flag;
  Defer(core, pipe, std::move(item));
  PipeQueues& q = core.state->queues;
  if (pipe == Pipe::S) Force(core, int(Pipe::S), q.base[int(Pipe::S)] + q.items[int(Pipe::S)].size() - 1);
}

void DeferBarrier(Core& core, Pipe pipe) {
  QueueItem item;
  item.kind = QueueItem::Kind::kBarrier;
  Defer(core, pipe, std::move(item));
}

void DrainPipe(Core& core, Pipe pipe) {
  PipeQueues& q = core.state->queues;
  if (!q.items[int(pipe)].empty()) Force(core, int(pipe), q.base[int(pipe)] + q.items[int(pipe)].size() - 1);
}

void Drain(Core& core) {
  // Consumers first: a producer without a flag then comes too late.
  int order[kPipes] = {int(Pipe::FIX), int(Pipe::MTE3), int(Pipe::M), int(Pipe::V), int(Pipe::MTE1), int(Pipe::MTE2),
                       int(Pipe::S)};
  if (core.launch->settings.mode == Mode::kRandom) {
    for (int i = kPipes - 1; i > 0; --i) std::swap(order[i], order[core.launch->Random(uint32_t(i + 1))]);
  }
  for (int p : order) DrainPipe(core, Pipe(p));
}

bool ForceCrossSet(Core& core, int mode, int id) {
  PipeQueues& q = core.state->queues;
  for (int p = 0; p < kPipes && q.queued_cross[id]; ++p) {
    for (size_t i = 0; i < q.items[p].size(); ++i) {
      const QueueItem& item = q.items[p][i];
      if (item.kind == QueueItem::Kind::kCrossSet && item.cross_id == id && (mode < 0 || item.mode == mode)) {
        Force(core, p, q.base[p] + i);
        return true;
      }
    }
  }
  return false;
}

void Stir(Core& core) {
  Launch& launch = *core.launch;
  if (launch.settings.mode != Mode::kRandom) return;
  const auto run = [&](int p, uint32_t most) {
    auto& items = core.state->queues.items[p];
    if (items.empty()) return;
    Shuffle(core, p);
    for (uint32_t i = 0; i < most && !items.empty() && Ready(core.state->queues, items.front()); ++i) {
      RunFront(core, Pipe(p));
    }
  };
  const int first = int(launch.Random(kPipes));
  for (int i = 0; i < kPipes; ++i) {
    const int p = (first + i) % kPipes;
    const Temper temper = launch.temper[p];
    if (temper == Temper::kHurries && launch.Random(4)) run(p, 1 + launch.Random(8));
    if (temper == Temper::kWanders && launch.Random(4) == 0) run(p, 1 + launch.Random(4));
  }
}

}  // namespace twin

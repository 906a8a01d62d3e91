// Flags and barriers between cores. A set travels as one token per waiting core and source, carrying what the setter
// knew; a wait consumes one token from every source its mode demands.
#include "launch.h"
#include "twin/sync.h"

namespace twin {

namespace {

// The cores a set of this mode reaches. Mode 0: all of the setter's kind; 1: the AIVs of its AI Core; 2: across.
const std::vector<Core*>& Targets(const Core& c, int mode) { return c.state->peers[mode]; }

bool TokensComplete(Core& c, int mode, int id) {
  auto& box = c.state->inbox[mode][id];
  if (box.empty()) return false;
  const std::vector<Core*>& sources = Targets(c, mode);  // the relation is symmetric
  if (sources.empty()) return false;
  for (Core* s : sources) {
    if (box[size_t(s->index)].empty()) return false;
  }
  return true;
}

void JoinSnapshot(Core& c, const std::vector<Clock>& from, bool* moved) {
  CoreState& st = *c.state;
  for (size_t i = 0; i < from.size(); ++i) *moved |= st.foreign[i].Join(from[i]);
  *moved |= JoinAll(c, from[size_t(c.index)]);
}

Snapshot TakeSnapshot(Core& c, Pipe pipe) {
  auto s = std::make_shared<std::vector<Clock>>(c.state->foreign);
  (*s)[size_t(c.index)] = CompletedClock(c, pipe);
  return s;
}

// Who has set the flag this core waits for, and who has not.
std::string DescribeFlag(Core& c, int id) {
  for (int mode = 2; mode >= 0; --mode) {
    const auto& box = c.state->inbox[mode][id];
    if (box.empty()) continue;
    std::string set, missing;
    for (Core* s : Targets(c, mode)) {
      std::string& list = box[size_t(s->index)].empty() ? missing : set;
      list += (list.empty() ? "" : ", ") + NameOf(*s) + (&list == &missing ? " (" + StateOf(*s) + ")" : "");
    }
    if (!set.empty()) return Format("cross-core flag %d: %s set it, missing %s", id, set.c_str(), missing.c_str());
  }
  std::string others;
  for (Core& o : c.launch->cores) {
    if (o.block != c.block || o.index == c.index) continue;
    others += (others.empty() ? "; " : ", ") + NameOf(o) + " " + StateOf(o);
  }
  return Format("cross-core flag %d, which nobody has set%s", id, others.c_str());
}

bool CheckId(int id, const char* api, Loc loc) {
  if (id >= kCrossFlags) {
    Report(Rule::kCrossCoreId, Format("%s(%d): flag ids are 0..15", api, id), loc);
    return false;
  }
  if (id > 10) Report(Rule::kCrossCoreId, Format("%s(%d): use 0..10, the others serve SyncAll and Matmul", api, id), loc);
  return true;
}

}  // namespace

void DeliverCrossSet(Core& core, int mode, int id, const Token& token) {
  for (Core* target : Targets(core, mode)) {
    auto& box = target->state->inbox[mode][id];
    if (box.empty()) box.resize(core.launch->cores.size());
    auto& queue = box[size_t(core.index)];
    queue.push_back(token);
    if (queue.size() > 15) {
      Report(Rule::kCrossCoreOverflow, Format("cross-core flag %d of %s holds %zu sets that nobody waited for; the "
             "counter ends at 15", id, NameOf(*target).c_str(), queue.size()), token.loc, queue.front().loc);
    }
  }
  ++core.launch->progress;
}

void CrossCoreSetFlag(int mode, pipe_t pipe, int id, Loc loc) {
  Core& c = Cur();
  Step(loc);
  AccountScalar(c, model::kScalarIssue);
  if (SyncSite("CrossCoreSetFlag", loc).muted || !CheckId(id, "CrossCoreSetFlag", loc)) return;
  if (mode > 2) {
    Report(Rule::kCrossCoreId, Format("CrossCoreSetFlag mode %d does not exist on 2201", mode), loc);
    return;
  }
  const Pipe p = PipeOf(pipe);
  const bool aic_pipe = p == Pipe::M || p == Pipe::MTE1 || p == Pipe::MTE2 || p == Pipe::MTE3 || p == Pipe::FIX;
  const bool aiv_pipe = p == Pipe::V || p == Pipe::MTE2 || p == Pipe::MTE3;
  if (pipe == PIPE_ALL || !(c.type == CoreType::AIC ? aic_pipe : aiv_pipe)) {
    Report(Rule::kCrossCorePipe, Format("CrossCoreSetFlag on %s, which %s does not have", Name(p), NameOf(c).c_str()),
           loc);
    return;
  }
  if (Targets(c, mode).empty()) {
    Report(Rule::kCrossCoreId, Format("CrossCoreSetFlag mode %d reaches no core in this launch", mode), loc);
    return;
  }
  ++c.state->counters.cross_sets;
  const Token token{c.launch->hazards ? TakeSnapshot(c, p) : nullptr, c.state->time.pipe[int(p)].done + model::kCrossCore,
                    loc};
  if (!c.launch->Deferred()) {
    DeliverCrossSet(c, mode, id, token);
    return;
  }
  QueueItem item;
  item.kind = QueueItem::Kind::kCrossSet;
  item.mode = mode;
  item.cross_id = id;
  item.snapshot = token.snapshot;
  item.time = token.time;
  item.loc = loc;
  Defer(c, p, std::move(item));
  Stir(c);
}

void CrossCoreWaitFlag(int id, Loc loc) {
  Core& c = Cur();
  Step(loc);
  AccountScalar(c, model::kScalarIssue);
  Site& site = SyncSite("CrossCoreWaitFlag", loc);
  if (site.muted || !CheckId(id, "CrossCoreWaitFlag", loc)) return;
  ++c.state->counters.cross_waits;
  int mode = -1;
  c.state->waiting_flag = id;
  BlockUntil(
      [&] {
        for (int m = 2; m >= 0 && mode < 0; --m) {
          if (TokensComplete(c, m, id)) mode = m;
        }
        return mode >= 0;
      },
      [&] { return DescribeFlag(c, id); }, loc);
  c.state->waiting_flag = -1;
  bool moved = false;
  for (Core* s : Targets(c, mode)) {
    auto& queue = c.state->inbox[mode][id][size_t(s->index)];
    const Token token = std::move(queue.front());
    queue.pop_front();
    if (token.snapshot) JoinSnapshot(c, *token.snapshot, &moved);
    double& t = c.state->time.scalar();
    t = std::max(t, token.time);
  }
  CountUseless(site, !moved);
}

namespace {

std::string DescribeBarrier(Launch& launch, const Launch::Barrier& b) {
  std::string missing;
  int more = 0;
  for (const Core& o : launch.cores) {
    if (b.here.count(o.index) || (&b == &launch.barrier[0] && o.type == CoreType::AIC)) continue;
    if (missing.size() < 200) {
      missing += (missing.empty() ? "" : ", ") + NameOf(o) + " (" + StateOf(o) + ")";
    } else {
      ++more;
    }
  }
  return Format("SyncAll: %d of %d cores have arrived, missing %s%s", b.arrived, b.expected, missing.c_str(),
                more ? Format(" and %d more", more).c_str() : "");
}

void Arrive(Core& c, Launch::Barrier& b, int expected, Loc loc) {
  Launch& launch = *c.launch;
  if (b.arrived == 0) {
    b.expected = expected;
    b.joined.assign(launch.cores.size(), Clock{});
    b.here.clear();
    b.time = 0;
  }
  b.here.insert(c.index);
  const Snapshot mine = TakeSnapshot(c, Pipe::S);
  for (size_t i = 0; i < mine->size(); ++i) b.joined[i].Join((*mine)[i]);
  b.time = std::max(b.time, c.state->time.scalar());
  const uint64_t round = b.round;
  if (++b.arrived == b.expected) {
    b.released = b.joined;
    b.released_time = b.time + model::kSyncAll;
    b.arrived = 0;
    ++b.round;
    ++launch.progress;
  }
  BlockUntil([&] { return b.round > round; }, [&] { return DescribeBarrier(launch, b); }, loc);
  bool moved = false;
  JoinSnapshot(c, b.released, &moved);
  for (PipeClock& p : c.state->time.pipe) p.free = std::max(p.free, b.released_time);
}

}  // namespace

void SyncAll(bool vector_only, Loc loc) {
  Core& c = Cur();
  Step(loc);
  Launch& launch = *c.launch;
  if (SyncSite("SyncAll", loc).muted) return;
  ++c.state->sync_all_count;
  const KernelMode mode = launch.plan.mode;
  if (mode == KernelMode::AIV_ONLY || mode == KernelMode::AIC_ONLY) {
    Report(Rule::kKernelType, "SyncAll in an AIV_ONLY or AIC_ONLY kernel: the launch must be of a MIX type", loc);
  }
  int vectors = 0, cubes = 0;
  for (const Core& o : launch.cores) (o.type == CoreType::AIV ? vectors : cubes)++;
  if (vector_only && c.type == CoreType::AIC) return;  // the vector-only barrier does not concern the cube cores
  BarrierAll(c);
  Arrive(c, launch.barrier[vector_only ? 0 : 1], vector_only ? vectors : vectors + cubes, loc);
}

// The software barrier: every core adds to its slot in GM and polls the others.
void SyncAllSoft(const GlobalRef& gm, const TensorRef& ub, int used_cores, Loc loc) {
  Core& c = Cur();
  Step(loc);
  Launch& launch = *c.launch;
  if (SyncSite("SyncAll", loc).muted) return;
  if (c.type != CoreType::AIV) {
    Report(Rule::kWrongCore, "the software SyncAll exists on vector cores only", loc);
    return;
  }
  int vectors = 0;
  for (const Core& o : launch.cores) vectors += o.type == CoreType::AIV;
  const int expected = used_cores ? used_cores : vectors;
  const uint64_t need = uint64_t(vectors) * 32;
  GmRegion* region = launch.FindRegion(reinterpret_cast<uintptr_t>(gm.addr));
  const uint64_t offset = region ? uint64_t(gm.addr - region->base) : 0;
  if (!region || offset + need > region->bytes || (gm.bytes && gm.bytes < need)) {
    Report(Rule::kTempSize, Format("SyncAll needs %llu bytes of global workspace", static_cast<unsigned long long>(need)),
           loc);
  } else if (launch.track_init && region->init.FirstClear(offset, need) != offset + need) {
    Report(Rule::kUninitialisedRead, "SyncAll's global workspace was not zeroed", loc);
  }
  if (ub.hi - ub.addr < need) {
    Report(Rule::kTempSize, Format("SyncAll needs %llu bytes of UB workspace", static_cast<unsigned long long>(need)),
           loc);
  }
  BarrierAll(c);
  Arrive(c, launch.barrier[0], expected, loc);
}

void CheckCrossFlagsAtEnd(Launch& launch) {
  for (Core& c : launch.cores) {
    AsCurrent as(c);
    for (auto& per_mode : c.state->inbox) {
      for (int id = 0; id < kCrossFlags; ++id) {
        for (auto& queue : per_mode[id]) {
          if (queue.empty()) continue;
          Report(Rule::kCrossCoreUnread, Format("cross-core flag %d: %zu sets reached %s and were never waited for", id,
                 queue.size(), NameOf(c).c_str()), queue.front().loc);
        }
      }
    }
  }
}

}  // namespace twin

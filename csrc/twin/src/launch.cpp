// Running a launch: cores as fibers under a deterministic round-robin scheduler, deadlock and step bounds, and the
// checks that only make sense when a core or the whole launch has ended.
#include "launch.h"

#include <stdexcept>

#include "run.h"

namespace twin {

namespace {

// Memories as the hardware has them; the framework's own share is taken off in the budget of TPipe (queue.cpp).
constexpr size_t kUbBytes = 192 * 1024, kL1Bytes = 512 * 1024, kL0Bytes = 64 * 1024, kL0cBytes = 128 * 1024,
                 kTableBytes = 1024, kFixBufferBytes = 2048;
const std::vector<std::pair<Mem, size_t>>& MemoriesOf(CoreType type) {
  static const std::vector<std::pair<Mem, size_t>> vector{{Mem::UB, kUbBytes}};
  static const std::vector<std::pair<Mem, size_t>> cube{
      {Mem::L1, kL1Bytes}, {Mem::L0A, kL0Bytes}, {Mem::L0B, kL0Bytes},
      {Mem::L0C, kL0cBytes}, {Mem::BT, kTableBytes}, {Mem::FB, kFixBufferBytes}};
  return type == CoreType::AIV ? vector : cube;
}
size_t MemoryBytes(CoreType type) {
  size_t bytes = 0;
  for (const auto& [mem, size] : MemoriesOf(type)) bytes += size;
  return bytes;
}

bool MuteMatches(const std::set<std::string>& mute, const std::string& name) {
  if (mute.empty()) return false;
  if (mute.count(name)) return true;
  for (size_t i = name.find('/'); i != std::string::npos; i = name.find('/', i + 1)) {
    if (mute.count(name.substr(i + 1))) return true;
  }
  return false;
}

void CheckCoreAtEnd(Core& c) {
  CoreState& st = *c.state;
  const SprState& spr = c.spr;
  if (c.pipe) Report(Rule::kQueueMisuse, "TPipe is alive after the kernel returned", Loc{});
  if (spr.mask_mode != AscendC::MaskMode::NORMAL) {
    Report(Rule::kMaskLeft, "the kernel ends in counter mask mode: SetMaskNorm is missing", spr.mask_loc);
  }
  if (spr.mask_changed) {
    Report(Rule::kMaskLeft, "the kernel ends with a vector mask set: ResetMask is missing", spr.mask_loc);
  }
  if (spr.atomic != Atomic::kNone) {
    Report(Rule::kAtomicLeft, "the kernel ends in atomic mode: SetAtomicNone is missing", spr.atomic_loc);
  }
  CheckFlagsAtEnd(c);
  for (int e = 0; e < kEvents; ++e) {
    for (int id = 0; id < kEventIds; ++id) {
      if (st.event_used[e] >> id & 1) {
        Report(Rule::kEventLeak, Format("event id %d of %s was allocated and never released", id,
               Name(AscendC::HardEvent(e))), st.event_loc[e][id]);
      }
    }
  }
  for (const auto& [line, copy] : st.dcache) {
    (void)line;
    if (copy.dirty) {
      Report(Rule::kDirtyLine, "SetValue into global memory that DataCacheCleanAndInvalid never wrote back", copy.loc);
    }
  }
  if (st.unit_full) Report(Rule::kUnitFlag, "an Mmad with unitFlag 3 that no Fixpipe drained", st.unit_loc);
  if (st.used_static && !st.used_pipe) {
    for (int p = 1; p < kPipes; ++p) {
      if (st.seq[p] > st.known[int(Pipe::S)].at[p]) {
        Report(Rule::kMissingBarrier, "a kernel without TPipe must end with PipeBarrier<PIPE_ALL>", st.static_loc);
        break;
      }
    }
  }
}

void CoreBody(Core& core, EntryFn entry, const std::vector<GM_ADDR>& args) {
  try {
    std::vector<GM_ADDR> copy = args;
    entry(copy);
    if (core.launch->Deferred()) Drain(core);
    CheckCoreAtEnd(core);
  } catch (const CoreAbort&) {
    core.pipe = nullptr;
  } catch (...) {  // the twin's own trouble (out of memory): no exception may leave a fiber
    core.state->aborted = true;
    core.launch->stopping = true;
    if (!core.launch->failure) core.launch->failure = std::current_exception();
  }
}

void ReportDeadlock(Launch& launch) {
  for (Core& c : launch.cores) {
    if (c.state->fiber->done()) continue;
    AsCurrent as(c);
    const bool strict = launch.strict;
    launch.strict = true;
    Report(Rule::kDeadlock, NameOf(c) + " waits for ever for " + (*c.state->waiting_for)(), c.state->waiting_loc);
    launch.strict = strict;
  }
}

// Nothing can run: in the deferred modes a queued cross-core set may still be pending.
bool ForceSomeCrossSet(Launch& launch) {
  const size_t n = launch.cores.size(), first = launch.settings.mode == Mode::kRandom ? launch.Random(uint32_t(n)) : 0;
  const size_t together = n / launch.plan.blocks;  // the cores of a block follow one another
  for (size_t i = 0; i < n; ++i) {
    const Core& waiter = launch.cores[(first + i) % n];
    if (waiter.state->fiber->done() || waiter.state->waiting_flag < 0) continue;
    for (size_t j = 0; j < together; ++j) {
      Core& setter = launch.cores[size_t(waiter.block) * together + (first + j) % together];
      if (ForceCrossSet(setter, -1, waiter.state->waiting_flag)) return true;
    }
    for (Core& setter : launch.cores) {
      if (ForceCrossSet(setter, 0, waiter.state->waiting_flag)) return true;
    }
  }
  return false;
}

// What L2 holds depends on who came first: in cost mode the cores advance through simulated time together.
constexpr double kTogether = 2000;  // cycles

void Schedule(Launch& launch) {
  const size_t n = launch.cores.size();
  std::vector<size_t> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = i;
  for (;;) {
    bool all_done = true;
    const uint64_t before = launch.progress + launch.steps;
    bool ended = false;
    if (launch.settings.mode == Mode::kRandom) {
      for (size_t i = n - 1; i > 0; --i) std::swap(order[i], order[launch.Random(uint32_t(i + 1))]);
    }
    for (size_t i : order) {
      Core& c = launch.cores[i];
      if (c.state->fiber->done()) continue;
      all_done = false;
      // A blocked core is asked, not woken: changing to its stack and back costs more.
      if (c.state->ready && !launch.stopping && !(*c.state->ready)()) continue;
      SetCurrent(&c);
      c.state->fiber->Resume();
      ended |= c.state->fiber->done();
    }
    SetCurrent(nullptr);
    if (all_done) return;
    if (ended || launch.progress + launch.steps != before || launch.stopping) continue;
    if (launch.Deferred() && ForceSomeCrossSet(launch)) continue;
    double latest = 0;
    for (const Core& c : launch.cores) {
      if (c.state->fiber->done()) continue;
      for (const PipeClock& p : c.state->time.pipe) latest = std::max(latest, p.free);
    }
    if (launch.Cost() && latest > launch.horizon) {
      launch.horizon += kTogether;
      continue;
    }
    ReportDeadlock(launch);
    launch.stopping = true;
  }
}

void MakeCores(Launch& launch) {
  const KernelMode mode = launch.plan.mode;
  const bool vector_only = mode == KernelMode::AIV_ONLY || mode == KernelMode::MIX_AIV_1_0;
  const bool cube_only = mode == KernelMode::AIC_ONLY || mode == KernelMode::MIX_AIC_1_0;
  const int ratio = vector_only || mode == KernelMode::MIX_AIC_1_1 ? 1 : cube_only ? 0 : 2;
  for (uint32_t b = 0; b < launch.plan.blocks; ++b) {
    for (int part = vector_only ? 1 : 0; part <= ratio; ++part) {
      Core c;
      c.type = part == 0 ? CoreType::AIC : CoreType::AIV;
      c.index = int(launch.cores.size());
      c.block = int(b);
      c.sub = part == 0 ? 0 : part - 1;
      c.ratio = std::max(ratio, 1);
      c.launch = &launch;
      launch.cores.push_back(c);
    }
  }
  size_t bytes = 0;
  for (const Core& c : launch.cores) bytes += MemoryBytes(c.type);
  if (!launch.Cost()) launch.memories = Pages(bytes);
  uint8_t* data = launch.memories.data();
  for (Core& c : launch.cores) {
    launch.states.push_back(std::make_unique<CoreState>());
    c.state = launch.states.back().get();
    InitCoreMemories(launch, c, data);
    if (data) data += MemoryBytes(c.type);
  }
  for (Core& c : launch.cores) {
    for (Core& o : launch.cores) {
      if (o.type == c.type) c.state->peers[0].push_back(&o);
      if (o.block != c.block) continue;
      if (o.type == CoreType::AIV) c.state->peers[1].push_back(&o);
      if (o.type != c.type) c.state->peers[2].push_back(&o);
    }
  }
}

}  // namespace

void InitCoreMemories(Launch& launch, Core& c, uint8_t* data) {
  CoreState& st = *c.state;
  for (const auto& [mem, bytes] : MemoriesOf(c.type)) {
    Bank& bank = st.bank[int(mem)];
    bank.size = bytes;
    if (data) {
      bank.data = data;
      Poison(data, bytes);
      data += bytes;
    }
    if (launch.track_init) bank.init.Resize(bytes);
    if (launch.hazards) st.shadow[int(mem)].Resize(bytes);
  }
  st.foreign.assign(launch.cores.size(), Clock{});
}

GmRegion* Launch::FindRegion(uint64_t addr) {
  for (GmRegion& r : regions) {
    const uint64_t base = reinterpret_cast<uintptr_t>(r.base);
    if (addr >= base && addr < base + r.bytes) return &r;
  }
  return nullptr;
}

uint32_t Launch::Random(uint32_t n) {
  random ^= random << 13;
  random ^= random >> 7;
  random ^= random << 17;
  return uint32_t((random >> 32) % n);
}

std::string PlaceOf(Loc loc) { return Format("%s:%u", loc.file, loc.line); }

Site& SyncSite(const char* kind, Loc loc, const char* detail) {
  Launch& launch = *Cur().launch;
  uint64_t key = loc.line;
  for (const char* text : {loc.file, kind, detail}) {
    key = key * 0x9e3779b97f4a7c15ull + reinterpret_cast<uintptr_t>(text);
  }
  const auto [it, fresh] = launch.site_index.try_emplace(key, nullptr);
  if (fresh) {
    const std::string place = PlaceOf(loc), name = place + ":" + kind + (*detail ? Format("<%s>", detail) : "");
    Site& site = launch.sites[name];
    site.kind = kind;
    site.loc = loc;
    site.muted = MuteMatches(launch.settings.mute, place) || MuteMatches(launch.settings.mute, name);
    it->second = &site;
  }
  ++it->second->executions;
  return *it->second;
}

void CountUseless(Site& site, bool useless) { site.useless += Cur().launch->hazards && useless; }

void BlockUntil(const std::function<bool()>& ready, const std::function<std::string()>& what, Loc loc) {
  Core& c = Cur();
  if (ready()) return;
  CoreState& st = *c.state;
  st.ready = &ready;
  st.waiting_for = &what;
  st.waiting_loc = loc;
  st.fiber->Yield();  // until it is ready or the launch stops
  st.ready = nullptr;
  st.waiting_for = nullptr;
  if (c.launch->stopping) Abort(c);
}

std::string StateOf(const Core& c) {
  if (c.state->aborted) return "stopped by an error";
  if (c.state->fiber->done()) return "ended";
  if (c.state->waiting_for) return "waits at " + PlaceOf(c.state->waiting_loc);
  return "stands at " + PlaceOf(c.state->stands_at);
}

void RunLaunch(Launch& launch, EntryFn entry) {
  launch.random = (launch.settings.seed + 1) * 0x9e3779b97f4a7c15ull | 1;
  DrawTempers(launch);
  MakeCores(launch);
  std::vector<GM_ADDR> args;
  for (GmRegion& r : launch.regions) args.push_back(r.bytes ? r.base : nullptr);
  for (Core& c : launch.cores) {
    c.state->fiber = std::make_unique<Fiber>([&c, entry, &args] { CoreBody(c, entry, args); });
  }
  Schedule(launch);
  if (launch.failure) std::rethrow_exception(launch.failure);
  if (launch.stopping) return;
  CheckCrossFlagsAtEnd(launch);
  SetCurrent(&launch.cores[0]);
  if (launch.track_init) {
    for (GmRegion& r : launch.regions) {
      if (r.kind != GmKind::kOutput || !r.bytes) continue;
      const size_t bad = r.init.FirstClear(0, r.bytes);
      if (bad == r.bytes) continue;
      Report(Rule::kOutputUnwritten, Format("%s: byte %zu of %zu was never written", r.name.c_str(), bad, r.bytes), Loc{});
    }
  }
  if (launch.declared_type < 0) {
    Report(Rule::kKernelType, "the kernel does not say KERNEL_TASK_TYPE_DEFAULT", Loc{});
  }
  for (const auto& [name, site] : launch.sites) {
    if (!launch.hazards || !site.executions || site.useless != site.executions) continue;
    Note("redundant-sync", Format("%s orders nothing that was not ordered already (%llu times)",
         name.substr(name.rfind(':') + 1).c_str(), static_cast<unsigned long long>(site.executions)), site.loc);
  }
  SetCurrent(nullptr);
}

}  // namespace twin

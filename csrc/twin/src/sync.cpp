// Flags between pipes, barriers inside a pipe, atomic mode.
#include "twin/sync.h"

#include "launch.h"

namespace twin {

namespace {

bool PipeExists(const Core& c, Pipe pipe) {
  if (c.type == CoreType::AIV) return pipe == Pipe::S || pipe == Pipe::V || pipe == Pipe::MTE2 || pipe == Pipe::MTE3;
  return pipe != Pipe::V;
}

bool CheckEvent(const Core& c, AscendC::HardEvent event, int id, const char* api, Loc loc) {
  const PipePair p = PipesOf(event);
  if (!PipeExists(c, p.from) || !PipeExists(c, p.to)) {
    Report(Rule::kWrongCore, Format("%s<%s>: %s does not have both pipes", api, Name(event), NameOf(c).c_str()), loc);
    return false;
  }
  if (id < 0 || id >= kEventIds) {
    Report(Rule::kEventId, Format("%s<%s>(%d): event ids are 0..7", api, Name(event), id), loc);
    return false;
  }
  if (KeptByPipe(c, event, id)) {
    Report(Rule::kEventId, Format("%s<%s>(%d): on a cube core TPipe keeps ids 0..2 of this event for itself; use 3..5 or "
           "AllocEventID", api, Name(event), id), loc);
  }
  if (id >= 6 && !(c.state->event_used[int(event)] >> id & 1)) {
    Report(Rule::kEventId, Format("%s<%s>(%d): ids 6 and 7 are reserved; use 0..5, AllocEventID or FetchEventID", api,
           Name(event), id), loc);
  }
  return true;
}

}  // namespace

void RaiseFlag(Core& c, AscendC::HardEvent event, int id, Loc loc) {
  const PipePair p = PipesOf(event);
  CoreState& st = *c.state;
  Flag& f = st.flag[int(event)][id];
  if (f.set) {
    Report(Rule::kDoubleSet, Format("SetFlag<%s>(%d) while the flag is already set", Name(event), id), loc, f.set_loc);
  }
  f = {true, loc, CompletedClock(c, p.from), p.from == Pipe::S ? st.time.scalar() : st.time.pipe[int(p.from)].done};
  ++st.counters.flags_set;
  if (c.launch->Deferred()) {
    DeferSet(c, p.from, int(event) * kEventIds + id);
    if (p.from == Pipe::S) Stir(c);
  }
}

void AwaitFlag(Core& c, AscendC::HardEvent event, int id, Site& site, Loc loc) {
  const PipePair p = PipesOf(event);
  CoreState& st = *c.state;
  Flag& f = st.flag[int(event)][id];
  ++st.counters.flags_waited;
  if (!f.set) {
    Report(Rule::kWaitWithoutSet, Format("WaitFlag<%s>(%d) with no SetFlag before it: %s would wait for ever",
           Name(event), id, Name(p.to)), loc);
    return;
  }
  f.set = false;
  const bool moved = p.to == Pipe::S ? JoinAll(c, f.clock) : st.known[int(p.to)].Join(f.clock);
  CountUseless(site, !moved);
  double& ready = st.time.pipe[int(p.to)].free;
  ready = std::max(ready, f.time);
  if (c.launch->Deferred()) DeferWait(c, p.to, int(event) * kEventIds + id);
}

void SetFlag(AscendC::HardEvent event, int id, Loc loc) {
  Core& c = Cur();
  Step(loc);
  AccountScalar(c, model::kScalarIssue);
  if (SyncSite("SetFlag", loc, Name(event)).muted || !CheckEvent(c, event, id, "SetFlag", loc)) return;
  RaiseFlag(c, event, id, loc);
}

void WaitFlag(AscendC::HardEvent event, int id, Loc loc) {
  Core& c = Cur();
  Step(loc);
  AccountScalar(c, model::kScalarIssue);
  Site& site = SyncSite("WaitFlag", loc, Name(event));
  if (site.muted || !CheckEvent(c, event, id, "WaitFlag", loc)) return;
  AwaitFlag(c, event, id, site, loc);
}

void BarrierAll(Core& c) {
  CoreState& st = *c.state;
  Clock all;
  for (int p = 0; p < kPipes; ++p) all.at[p] = st.seq[p];
  JoinAll(c, all);
  double t = st.time.scalar();
  for (PipeClock& p : st.time.pipe) t = std::max({t, p.done, p.free});
  for (PipeClock& p : st.time.pipe) p.free = t;
  if (c.launch->Deferred()) Drain(c);
}

void PipeBarrier(pipe_t pipe, Loc loc) {
  Core& c = Cur();
  Step(loc);
  AccountScalar(c, model::kScalarIssue);
  Site& site = SyncSite("PipeBarrier", loc, pipe == PIPE_ALL ? "PIPE_ALL" : Name(PipeOf(pipe)));
  if (site.muted) return;
  CoreState& st = *c.state;
  ++st.counters.barriers;
  if (pipe == PIPE_ALL) {
    bool useless = true;
    for (int p = 0; p < kPipes; ++p) useless &= st.barrier_at[p] == st.seq[p];
    CountUseless(site, useless);
    for (int p = 0; p < kPipes; ++p) st.barrier_at[p] = st.seq[p];
    BarrierAll(c);
    return;
  }
  const Pipe p = PipeOf(pipe);
  if (!PipeExists(c, p)) {
    Report(Rule::kWrongCore, Format("PipeBarrier<%s>: %s does not have this pipe", Name(p), NameOf(c).c_str()), loc);
    return;
  }
  CountUseless(site, st.barrier_at[int(p)] == st.seq[int(p)]);
  st.barrier_at[int(p)] = st.seq[int(p)];
  st.known[int(p)].at[int(p)] = st.seq[int(p)];
  PipeClock& t = st.time.pipe[int(p)];
  t.free = std::max(t.free, t.done);
  if (c.launch->Deferred()) DeferBarrier(c, p);
}

void SetAtomic(Atomic mode, ElemType type, Loc loc) {
  Core& c = Cur();
  Step(loc);
  AccountScalar(c, model::kScalarIssue);
  const bool known = type == ElemType::kInt8 || type == ElemType::kInt16 || type == ElemType::kHalf ||
                     type == ElemType::kBf16 || type == ElemType::kInt32 || type == ElemType::kFloat;
  if (mode != Atomic::kNone && !known) {
    Report(Rule::kDtype, Format("atomic operations on %s do not exist", Name(type)), loc);
  }
  c.spr.atomic = mode;
  c.spr.atomic_type = type;
  c.spr.atomic_loc = loc;
}

void CheckFlagsAtEnd(Core& core) {
  for (int e = 0; e < kEvents; ++e) {
    for (int id = 0; id < kEventIds; ++id) {
      const Flag& f = core.state->flag[e][id];
      if (!f.set) continue;
      Report(Rule::kFlagLeft, Format("flag %s(%d) is still set at the end of the kernel: it would corrupt the next one",
             Name(AscendC::HardEvent(e)), id), f.set_loc);
    }
  }
}

}  // namespace twin

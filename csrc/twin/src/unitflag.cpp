// The unit flag: Mmad with unitFlag 3 hands its result to the Fixpipe with unitFlag 3 without M_FIX flags, and the next
// Mmad with a unit flag waits until that Fixpipe has drained it.
#include "launch.h"

namespace twin {

void UnitFlagBeforeMmad(Core& c, uint32_t unit_flag) {
  CoreState& st = *c.state;
  if (!unit_flag || !st.unit_empty) return;
  st.known[int(Pipe::M)].Join(st.unit_drained);
  PipeClock& m = st.time.pipe[int(Pipe::M)];
  m.free = std::max(m.free, st.unit_drained_time);
  st.unit_empty = false;
  if (c.launch->Deferred()) DeferWait(c, Pipe::M, kUnitEmpty);
}

void UnitFlagAfterMmad(Core& c, uint32_t unit_flag, const UnitShape& shape, Loc loc) {
  CoreState& st = *c.state;
  if (unit_flag != 3) return;
  if (st.unit_full) Report(Rule::kUnitFlag, "a second Mmad with unitFlag 3 before a Fixpipe drained the first", loc, st.unit_loc);
  st.unit_full = true;
  st.unit_shape = shape;
  st.unit_written = CompletedClock(c, Pipe::M);
  st.unit_written_time = st.time.pipe[int(Pipe::M)].done;
  st.unit_loc = loc;
  if (c.launch->Deferred()) DeferSet(c, Pipe::M, kUnitFull);
}

void UnitFlagBeforeFixpipe(Core& c, uint32_t unit_flag, const UnitShape& shape, Loc loc) {
  CoreState& st = *c.state;
  if (unit_flag == 0) return;
  if (!st.unit_full) {
    Report(Rule::kUnitFlag, "a Fixpipe with a unit flag and no Mmad with unitFlag 3 before it: it would wait for ever", loc);
    return;
  }
  if (shape.addr != st.unit_shape.addr || shape.m != st.unit_shape.m || shape.n != st.unit_shape.n) {
    Report(Rule::kUnitFlag, Format("a Fixpipe of %u x %u at %llu drains an Mmad of %u x %u at %llu: unit flags need equal "
           "shapes", shape.m, shape.n, static_cast<unsigned long long>(shape.addr), st.unit_shape.m, st.unit_shape.n,
           static_cast<unsigned long long>(st.unit_shape.addr)), loc, st.unit_loc);
  }
  st.known[int(Pipe::FIX)].Join(st.unit_written);
  PipeClock& fix = st.time.pipe[int(Pipe::FIX)];
  fix.free = std::max(fix.free, st.unit_written_time);
  st.unit_full = false;
  if (c.launch->Deferred()) DeferWait(c, Pipe::FIX, kUnitFull);
}

void UnitFlagAfterFixpipe(Core& c, uint32_t unit_flag) {
  CoreState& st = *c.state;
  if (unit_flag == 0) return;
  st.unit_empty = true;
  st.unit_drained = CompletedClock(c, Pipe::FIX);
  st.unit_drained_time = st.time.pipe[int(Pipe::FIX)].done;
  if (c.launch->Deferred()) DeferSet(c, Pipe::FIX, kUnitEmpty);
}

}  // namespace twin

// Happens-before over pipes and cores: an access must be ordered after every earlier conflicting one by flags,
// barriers, queues or cross-core flags, or it is reported with both places.
#include "launch.h"

namespace twin {

namespace {

Loc Where(Launch& launch, const Epoch& e) {
  const auto& places = launch.states[size_t(e.core())]->where[int(e.pipe())];
  return e.seq() >= 1 && e.seq() <= places.size() ? places[e.seq() - 1] : Loc{};
}

void ReportConflict(Core& c, const Instr& in, const Span& s, const Conflict& found, Epoch earlier) {
  Launch& launch = *c.launch;
  const bool same_core = earlier.core() == c.index;
  const Loc other = Where(launch, earlier);
  std::string place = Name(s.mem);
  unsigned long long at = found.addr;
  if (s.mem == Mem::GM) place = launch.FindRegion(s.addr)->name;
  if (!same_core) {
    Report(Rule::kCrossCoreRace, Format("%s on %s: %s in %s at byte %llu, unordered with %s of %s", in.name,
           Name(in.pipe), found.kind, place.c_str(), at, Name(earlier.pipe()),
           NameOf(launch.cores[size_t(earlier.core())]).c_str()), in.loc, other);
  } else if (earlier.pipe() == in.pipe) {
    Report(Rule::kMissingBarrier, Format("%s on %s: %s in %s at byte %llu without PipeBarrier<%s>", in.name,
           Name(in.pipe), found.kind, place.c_str(), at, Name(in.pipe)), in.loc, other);
  } else {
    const AscendC::HardEvent event = EventBetween(earlier.pipe(), in.pipe);
    Report(Rule::kMissingSync, Format("%s on %s: %s in %s at byte %llu, unordered with %s; HardEvent::%s would order it",
           in.name, Name(in.pipe), found.kind, place.c_str(), at, Name(earlier.pipe()), Name(event)), in.loc, other);
  }
}

void CheckLocal(Core& c, const Instr& in, const Span& s, uint32_t seq) {
  CoreState& st = *c.state;
  const Clock& known = st.known[int(in.pipe)];
  const bool in_order = in.in_order || in.pipe == Pipe::S;
  Conflict first;
  for (uint32_t i = 0; i < s.count; ++i) {
    const Conflict f = st.shadow[int(s.mem)].Access(s.addr + uint64_t(int64_t(i) * s.stride), s.len, s.write, in.pipe,
                                                    seq, known, in_order);
    if (f && !first) first = f;
  }
  if (first) {
    const Epoch e = Epoch::Of(c.index, first.earlier.pipe(), first.earlier.seq());
    ReportConflict(c, in, s, first, e);
  }
}

// SetValue goes through the data cache, which writes back whole lines: what another core writes elsewhere in the line
// must be ordered with it too, or one of the two is lost.
template <typename Knows>
void CheckLineSharing(Core& c, const Instr& in, const Span& s, const GmRegion& region, Epoch me, const Knows& knows) {
  Launch& launch = *c.launch;
  const auto foreign = [&](const Epoch& e) { return e.Valid() && e.core() != c.index && !knows(e); };
  const auto report = [&](const Epoch& e) {
    Report(Rule::kCrossCoreRace, Format("%s on %s writes into a 64 B line of %s that %s of %s writes too, unordered: "
           "the data cache writes back whole lines, and one of the two is lost", in.name, Name(in.pipe),
           region.name.c_str(), Name(e.pipe()), NameOf(launch.cores[size_t(e.core())]).c_str()), in.loc,
           Where(launch, e));
  };
  if (in.pipe == Pipe::S) {
    const uint64_t line = s.addr & ~63ull;
    const Epoch writer = region.shadow->UnorderedWriter(line - reinterpret_cast<uintptr_t>(region.base), 64,
                                                        [&](const Epoch& e) { return !foreign(e); });
    Epoch& last = launch.scalar_lines[line];
    if (foreign(writer)) {
      report(writer);
    } else if (foreign(last)) {
      report(last);
    }
    last = me;
    return;
  }
  for (uint32_t i = 0; i < s.count && !launch.scalar_lines.empty(); ++i) {
    const uint64_t begin = s.addr + uint64_t(int64_t(i) * s.stride);
    for (uint64_t line = begin & ~63ull; line < begin + s.len; line += 64) {
      const auto it = launch.scalar_lines.find(line);
      if (it == launch.scalar_lines.end() || !foreign(it->second)) continue;
      report(it->second);
      return;
    }
  }
}

void CheckGlobal(Core& c, const Instr& in, const Span& s, uint32_t seq) {
  Launch& launch = *c.launch;
  CoreState& st = *c.state;
  GmRegion* region = launch.FindRegion(s.addr);
  if (region->kind == GmKind::kInput || region->kind == GmKind::kTiling) return;  // nobody writes these
  const Epoch me = Epoch::Of(c.index, in.pipe, seq);
  const auto knows = [&](const Epoch& e) {
    if (e.core() != c.index) return st.foreign[size_t(e.core())].at[int(e.pipe())] >= e.seq();
    if (e.v == me.v || (e.pipe() == Pipe::S && in.pipe == Pipe::S)) return true;
    return st.known[int(in.pipe)].at[int(e.pipe())] >= e.seq();
  };
  const uint64_t base = reinterpret_cast<uintptr_t>(region->base);
  const uint32_t stamp = s.write ? ++launch.write_stamp : 0;
  Conflict first;
  for (uint32_t i = 0; i < s.count; ++i) {
    const uint64_t offset = s.addr + uint64_t(int64_t(i) * s.stride) - base;
    const Conflict f = region->shadow->Access(offset, s.len, s.write, s.atomic, true, me, stamp, knows);
    if (f && !first) first = f;
  }
  if (first) {
    ReportConflict(c, in, s, first, first.earlier);
  } else if (s.write) {
    CheckLineSharing(c, in, s, *region, me, knows);
  }
}

// A DMA read of a line that this core's scalar unit wrote and did not write back.
void CheckDirtyLines(Core& c, const Instr& in, const Span& s) {
  for (uint32_t i = 0; i < s.count; ++i) {
    const uint64_t begin = s.addr + uint64_t(int64_t(i) * s.stride);
    for (uint64_t line = begin & ~63ull; line < begin + s.len; line += 64) {
      const auto it = c.state->dcache.find(line);
      if (it != c.state->dcache.end() && it->second.dirty) {
        Report(Rule::kDirtyLine, Format("%s on %s touches a line that SetValue left dirty in the data cache: "
               "DataCacheCleanAndInvalid is missing", in.name, Name(in.pipe)), in.loc, it->second.loc);
        return;
      }
    }
  }
}

// The same, for lines dirty in other cores.
void CheckForeignDirtyLines(Core& c, const Instr& in, const Span& s) {
  for (Core& other : c.launch->cores) {
    if (other.index == c.index || other.state->dcache.empty()) continue;
    const uint64_t begin = s.addr & ~63ull;
    const uint64_t end = s.addr + uint64_t(std::max<int64_t>(0, int64_t(s.count - 1) * s.stride)) + s.len;
    for (const auto& [line, copy] : other.state->dcache) {
      if (copy.dirty && line >= begin && line < end) {
        Report(Rule::kDirtyLine, Format("%s reads a line that is dirty in the data cache of %s", in.name,
               NameOf(other).c_str()), in.loc, copy.loc);
        return;
      }
    }
  }
}

}  // namespace

void CheckHazards(Core& c, const Instr& in, uint32_t seq) {
  // Reads first: an instruction may overwrite its own sources.
  for (const bool write : {false, true}) {
    for (const Span& s : in.spans) {
      if (s.write != write || !s.len || !s.count || (s.atomic && !s.write)) continue;
      if (s.mem != Mem::GM) {
        CheckLocal(c, in, s, seq);
        continue;
      }
      CheckGlobal(c, in, s, seq);
      if (in.pipe != Pipe::S && !c.state->dcache.empty()) CheckDirtyLines(c, in, s);
      if (!write) CheckForeignDirtyLines(c, in, s);
    }
  }
}

Clock CompletedClock(Core& core, Pipe pipe) {
  CoreState& st = *core.state;
  Clock clock = st.known[int(pipe)];
  clock.at[int(pipe)] = st.seq[int(pipe)];
  return clock;
}

bool JoinAll(Core& core, const Clock& clock) {
  bool moved = false;
  for (int p = 0; p < kPipes; ++p) moved |= core.state->known[p].Join(clock);
  return moved;
}

}  // namespace twin

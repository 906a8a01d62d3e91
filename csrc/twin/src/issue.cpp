// Issue(): what happens to every instruction, in order - place, bounds, lifetime, initialised data, happens-before,
// then the time model, then the work itself (now, or in the pipe's queue).
#include "launch.h"

namespace twin {

namespace {

thread_local Core* current = nullptr;

bool OnRightCore(const Core& c, Pipe pipe) {
  if (pipe == Pipe::S || pipe == Pipe::MTE2 || pipe == Pipe::MTE3) return true;
  return (c.type == CoreType::AIV) == (pipe == Pipe::V);
}
bool OnRightCore(const Core& c, Mem mem) {
  return mem == Mem::GM || (c.type == CoreType::AIV) == (mem == Mem::UB);
}

struct Extent {
  uint64_t begin, end;
};
Extent ExtentOf(const Span& s) {
  const int64_t last = int64_t(s.count - 1) * s.stride;
  const uint64_t begin = last < 0 ? s.addr + uint64_t(last) : s.addr;
  const uint64_t end = s.addr + uint64_t(last > 0 ? last : 0) + s.len;
  return {begin, end};
}

// False when running the instruction would leave the memory.
bool CheckSpan(Core& c, const Instr& in, const Span& s) {
  Launch& launch = *c.launch;
  if (!OnRightCore(c, s.mem)) {
    Report(Rule::kWrongCore, Format("%s touches %s, which %s does not have", in.name, Name(s.mem), NameOf(c).c_str()),
           in.loc);
    return false;
  }
  const Extent e = ExtentOf(s);
  const char* verb = s.write ? "writes" : "reads";
  if (s.mem == Mem::GM) {
    const GmRegion* r = launch.FindRegion(e.begin);
    if (!r) r = launch.FindRegion(s.lo);  // the argument that the tensor was made for
    const uint64_t base = r ? reinterpret_cast<uintptr_t>(r->base) : 0;
    if (!r) {
      Report(Rule::kOutOfBounds, Format("%s %s global memory that belongs to no argument", in.name, verb), in.loc);
      return false;
    }
    if (e.begin < base || e.end > base + r->bytes) {
      Report(Rule::kOutOfBounds, Format("%s %s bytes %lld..%lld of %s, which has %zu", in.name, verb,
             static_cast<long long>(e.begin - base), static_cast<long long>(e.end - base), r->name.c_str(), r->bytes),
             in.loc);
      return false;
    }
    if (s.write && (r->kind == GmKind::kInput || r->kind == GmKind::kTiling)) {
      Report(Rule::kInputWritten, Format("%s writes %s", in.name, r->name.c_str()), in.loc);
      return false;
    }
    if (s.hi && (e.begin < s.lo || e.end > s.hi)) {
      Report(Rule::kOutOfBounds, Format("%s %s outside the size given to SetGlobalBuffer (%s)", in.name, verb,
             r->name.c_str()), in.loc);
    }
    return true;
  }
  const size_t size = c.state->bank[int(s.mem)].size;
  if (e.end > size || e.begin > size) {
    Report(Rule::kOutOfBounds, Format("%s %s %s bytes %llu..%llu of %zu", in.name, verb, Name(s.mem),
           static_cast<unsigned long long>(e.begin), static_cast<unsigned long long>(e.end), size), in.loc);
    return false;
  }
  if (s.hi && (e.begin < s.lo || e.end > s.hi)) {
    Report(Rule::kOutOfBounds, Format("%s %s %s bytes %llu..%llu, the tensor has %llu..%llu", in.name, verb,
           Name(s.mem), static_cast<unsigned long long>(e.begin), static_cast<unsigned long long>(e.end),
           static_cast<unsigned long long>(s.lo), static_cast<unsigned long long>(s.hi)), in.loc,
           s.buffer ? s.buffer->init_loc : Loc{});
  }
  if (s.buffer && s.buffer->generation != s.generation) {
    Report(Rule::kUseAfterFree, Format("%s %s a tensor that was freed", in.name, verb), in.loc, s.buffer->last_loc);
  }
  return true;
}

void CheckInitialised(Core& c, const Instr& in, const Span& s) {
  const InitBits* bits = nullptr;
  uint64_t offset = s.addr;
  std::string what = Name(s.mem);
  if (s.mem == Mem::GM) {
    const GmRegion* r = c.launch->FindRegion(s.addr);
    bits = &r->init;
    offset -= reinterpret_cast<uintptr_t>(r->base);
    what = r->name;
  } else {
    bits = &c.state->bank[int(s.mem)].init;
  }
  for (uint32_t i = 0; i < s.count; ++i) {
    const uint64_t begin = offset + uint64_t(int64_t(i) * s.stride);
    const uint64_t bad = bits->FirstClear(begin, s.len);
    if (bad != begin + s.len) {
      const uint64_t start = s.mem == Mem::GM ? 0 : s.lo;
      Report(Rule::kUninitialisedRead, Format("%s reads %s byte %llu (byte %llu of its tensor), which nothing wrote",
             in.name, what.c_str(), static_cast<unsigned long long>(bad),
             static_cast<unsigned long long>(bad - std::min<uint64_t>(start, bad))), in.loc,
             s.buffer ? s.buffer->last_loc : Loc{});
      return;
    }
  }
}

void MarkWritten(const Instr& in) {
  for (const Span& s : in.spans) {
    if (!s.write || s.copy) continue;
    for (uint32_t i = 0; i < s.count; ++i) MarkInit(s.mem, s.addr + uint64_t(int64_t(i) * s.stride), s.len);
  }
}

}  // namespace

Core& Cur() { return *current; }
void SetCurrent(Core* core) { current = core; }
AsCurrent::AsCurrent(Core& core) : saved_(current) { current = &core; }
AsCurrent::~AsCurrent() { current = saved_; }

void Abort(Core& core) {
  core.state->aborted = true;  // before unwinding: destructors on the way have nothing to add
  throw CoreAbort{};
}

bool NeedSpans() { return !current->launch->Cost() && (current->launch->hazards || current->launch->Deferred()); }
bool NeedRun() { return !current->launch->Cost(); }
bool NeedCost() { return current->launch->priced; }

void Step(Loc loc) {
  Launch& launch = *current->launch;
  if (launch.stopping) Abort(*current);
  current->state->stands_at = loc;
  if (++launch.steps > launch.settings.max_steps) {
    launch.stopping = true;
    std::string others;
    for (const Core& o : launch.cores) {
      if (o.index == current->index || others.size() > 300) continue;
      others += (others.empty() ? "; " : ", ") + NameOf(o) + " " + StateOf(o);
    }
    Fatal(Rule::kStepLimit, Format("the launch exceeded %llu API calls; %s stands here%s",
          static_cast<unsigned long long>(launch.settings.max_steps), NameOf(*current).c_str(), others.c_str()), loc);
  }
}

void Issue(Instr&& in) {
  Core& c = *current;
  Launch& launch = *c.launch;
  Step(in.loc);
  if (!OnRightCore(c, in.pipe)) {
    Report(Rule::kWrongCore, Format("%s runs on %s, which %s does not have", in.name, Name(in.pipe),
           NameOf(c).c_str()), in.loc);
    return;
  }
  if (launch.Cost()) {
    Account(c, in);
    while (c.state->time.pipe[int(in.pipe)].free > launch.horizon) {
      c.state->fiber->Yield();
      if (launch.stopping) Abort(c);
    }
    return;
  }
  if (!c.spr.initialised) {
    Report(Rule::kInitState, "an instruction before TPipe was created or InitSocState() called: the control "
           "registers are undefined", in.loc);
    c.spr.initialised = true;
  }
  for (const Span& s : in.spans) {
    if (s.len && s.count && !CheckSpan(c, in, s)) return;
  }
  Account(c, in);
  const uint32_t seq = ++c.state->seq[int(in.pipe)];
  if (launch.hazards) {
    c.state->where[int(in.pipe)].push_back(in.loc);
    CheckHazards(c, in, seq);
  }
  if (launch.Deferred()) {
    DeferInstr(c, std::move(in));
    Stir(c);
    return;
  }
  if (launch.track_init) {
    for (const Span& s : in.spans) {
      if (!s.write && !s.copy && s.len && s.count) CheckInitialised(c, in, s);
    }
  }
  if (in.run) in.run();
  if (launch.track_init) MarkWritten(in);
}

namespace {

std::string Key(const char* kind, Loc here, Loc other) {
  return Format("%s|%s:%u|%s:%u", kind, here.file, here.line, other.file, other.line);
}

}  // namespace

void Report(Rule rule, const std::string& message, Loc here, Loc other) {
  if (!current) return;
  Launch& launch = *current->launch;
  if (!launch.strict) return;
  const auto [it, fresh] = launch.seen.emplace(Key(Name(rule), here, other), launch.diagnostics.size());
  if (!fresh) {
    ++launch.diagnostics[it->second].count;
    return;
  }
  launch.diagnostics.push_back({rule, message, NameOf(*current), here, other, 1});
}

void Note(const std::string& kind, const std::string& message, Loc here) {
  if (!current) return;
  Launch& launch = *current->launch;
  if (!launch.strict || !launch.seen.emplace(Key(kind.c_str(), here, {}), 0).second) return;
  launch.notes.push_back({kind, message, here});
}

void Fatal(Rule rule, const std::string& message, Loc here, Loc other) {
  Launch& launch = *current->launch;
  const bool strict = launch.strict;
  launch.strict = true;  // a core that stops is an error in every mode
  Report(rule, message, here, other);
  launch.strict = strict;
  Abort(*current);
}

}  // namespace twin

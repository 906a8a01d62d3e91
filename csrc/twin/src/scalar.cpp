// The scalar unit: tensors as it sees them, GetValue/SetValue, the data cache, tiling data, kernel type, identity.
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "launch.h"
#include "twin/sync.h"
#include "twin/system.h"
#include "twin/tensor.h"

namespace twin {

Span Touch(const TensorRef& t, int64_t offset, uint32_t len, bool write, uint32_t count, int64_t stride) {
  Span s;
  s.mem = t.mem;
  s.write = write;
  s.len = len;
  s.addr = uint64_t(int64_t(t.addr) + offset);
  s.count = count;
  s.stride = stride;
  s.lo = t.lo;
  s.hi = t.hi;
  s.buffer = t.buffer;
  s.generation = t.generation;
  return s;
}

Span Touch(const GlobalRef& t, int64_t offset, uint32_t len, bool write, uint32_t count, int64_t stride) {
  Span s;
  s.mem = Mem::GM;
  s.write = write;
  s.len = len;
  s.addr = uint64_t(reinterpret_cast<uintptr_t>(t.addr)) + uint64_t(offset);
  s.count = count;
  s.stride = stride;
  s.lo = reinterpret_cast<uintptr_t>(t.lo);
  s.hi = t.bytes ? s.lo + t.bytes : 0;
  return s;
}

bool CheckAligned(const TensorRef& t, const char* api, const char* operand, Loc loc, uint32_t granule) {
  if (!granule) granule = t.mem == Mem::L0A || t.mem == Mem::L0B ? 512 : t.mem == Mem::L0C || t.mem == Mem::BT ? 64 : 32;
  if (t.addr % granule == 0) return true;
  Report(Rule::kMisaligned, Format("%s: %s starts at byte %u of %s, which wants multiples of %u", api, operand, t.addr,
         Name(t.mem), granule), loc);
  return false;
}

TensorRef StaticRef(AscendC::TPosition pos, uint32_t addr, uint64_t bytes, Loc loc) {
  Core& c = Cur();
  const Mem mem = MemOf(pos);
  c.state->used_static = true;
  c.state->static_loc = loc;
  if (c.state->used_pipe) {
    Report(Rule::kMixedStatic, "a static tensor address in a kernel that has a TPipe", loc);
  }
  const Platform& p = c.launch->platform;
  const uint64_t limit = mem == Mem::UB ? p.ub : c.state->bank[int(mem)].size;
  if (addr + bytes > limit) {
    Report(Rule::kOutOfBounds, Format("a static tensor of bytes %u..%llu of %s, which has %llu", addr,
           static_cast<unsigned long long>(addr + bytes), Name(mem), static_cast<unsigned long long>(limit)), loc);
  }
  TensorRef t{pos, mem, addr, addr, uint32_t(addr + bytes), nullptr, 0};
  CheckAligned(t, "LocalTensor", "the address", loc);
  return t;
}

namespace {

// What GetValue and SetValue share: place, bounds, order, time. False when the access must not happen.
bool ScalarAccess(const Span& span, const char* name, Loc loc, double cycles) {
  Core& c = Cur();
  Launch& launch = *c.launch;
  if (launch.Cost()) {
    Step(loc);
    AccountScalar(c, cycles);
    return false;
  }
  if (span.mem != Mem::UB && span.mem != Mem::GM) {
    Report(Rule::kPosition, Format("%s on %s: the scalar unit reads and writes UB and GM only", name, Name(span.mem)), loc);
    return false;
  }
  const size_t before = launch.diagnostics.size();
  bool runs = false;
  if (launch.Deferred()) {
    // Reads and read-after-write of the scalar unit itself are in program order; writes wait in its queue.
    if (!span.write) DrainPipe(c, Pipe::S);
  }
  Instr in(Pipe::S, name, loc);
  in.spans.push_back(span);
  in.cost.cycles = uint32_t(cycles);
  in.run = [&runs] { runs = true; };
  if (launch.Deferred()) {
    const Mode mode = launch.settings.mode;
    launch.settings.mode = Mode::kEager;  // only the checks; the caller moves the data
    Issue(std::move(in));
    launch.settings.mode = mode;
  } else {
    Issue(std::move(in));
  }
  (void)before;
  return runs;
}

struct Small {
  uint8_t bytes[8];
  uint32_t len;
};

void Store(const Span& span, const void* value) {
  Core& c = Cur();
  if (!c.launch->Deferred()) {
    std::memcpy(Raw(span.mem, span.addr), value, span.len);
    return;
  }
  Small v;
  v.len = span.len;
  std::memcpy(v.bytes, value, span.len);
  Instr instr(Pipe::S, "SetValue", Loc{});
  instr.in_order = true;
  const Mem mem = span.mem;
  const uint64_t addr = span.addr;
  instr.run = [=] { std::memcpy(Raw(mem, addr), v.bytes, v.len); };
  DeferInstr(c, std::move(instr));
  Stir(c);
}

}  // namespace

void ScalarRead(const TensorRef& t, uint64_t offset, uint32_t len, void* out, Loc loc) {
  const Span s = Touch(t, int64_t(offset), len, false);
  ++Cur().state->counters.scalar_gets;
  if (ScalarAccess(s, "GetValue", loc, model::kScalarAccess)) std::memcpy(out, Raw(s.mem, s.addr), len);
}

void ScalarWrite(const TensorRef& t, uint64_t offset, uint32_t len, const void* value, Loc loc) {
  const Span s = Touch(t, int64_t(offset), len, true);
  ++Cur().state->counters.scalar_sets;
  if (ScalarAccess(s, "SetValue", loc, model::kScalarAccess)) Store(s, value);
}

void ScalarRead(const GlobalRef& t, uint64_t offset, uint32_t len, void* out, Loc loc) {
  Core& c = Cur();
  const Span s = Touch(t, int64_t(offset), len, false);
  ++c.state->counters.scalar_gets;
  if (!ScalarAccess(s, "GetValue", loc, model::kScalarGmAccess)) return;
  GmRegion* region = c.launch->FindRegion(s.addr);
  if (c.launch->hazards && region->shadow) {
    const uint64_t line = s.addr & ~63ull;
    const auto [it, fresh] = c.state->dcache.emplace(line, CacheLineCopy{c.launch->write_stamp, false, loc});
    Epoch writer;
    const uint64_t base = reinterpret_cast<uintptr_t>(region->base);
    const uint32_t stamp = region->shadow->LastWrite(s.addr - base, len, &writer);
    if (!fresh && !it->second.dirty && stamp > it->second.stamp) {
      Report(Rule::kStaleScalar, "GetValue of a line that the data cache fetched before it was written: "
             "DataCacheCleanAndInvalid is missing", loc, it->second.loc);
    }
  }
  std::memcpy(out, Raw(s.mem, s.addr), len);
}

void ScalarWrite(const GlobalRef& t, uint64_t offset, uint32_t len, const void* value, Loc loc) {
  Core& c = Cur();
  const Span s = Touch(t, int64_t(offset), len, true);
  ++c.state->counters.scalar_sets;
  if (!ScalarAccess(s, "SetValue", loc, model::kScalarGmAccess)) return;
  if (c.launch->hazards) c.state->dcache[s.addr & ~63ull] = {c.launch->write_stamp, true, loc};
  Store(s, value);
}

void CleanAndInvalidate(const GlobalRef& g, bool entire, Loc loc) {
  Core& c = Cur();
  Step(loc);
  AccountScalar(c, model::kScalarGmAccess);
  if (SyncSite("DataCacheCleanAndInvalid", loc).muted) return;
  if (entire) {
    c.state->dcache.clear();
  } else {
    c.state->dcache.erase(uint64_t(reinterpret_cast<uintptr_t>(g.addr)) & ~63ull);
  }
  // Written back: the scalar unit's stores so far are finished for everyone ordered after this point.
  for (Clock& k : c.state->known) k.at[int(Pipe::S)] = c.state->seq[int(Pipe::S)];
  if (c.launch->Deferred()) DrainPipe(c, Pipe::S);
}

void ReadTiling(void* dst, size_t bytes, const uint8_t* tiling, Loc loc) {
  Core& c = Cur();
  const std::vector<uint8_t>& given = c.launch->plan.tiling;
  if (!tiling) Fatal(Rule::kParameter, "GET_TILING_DATA from a null pointer", loc);
  if (bytes != given.size()) {
    Fatal(Rule::kParameter, Format("GET_TILING_DATA of %zu bytes, the plan made %zu: host and device disagree on the "
          "tiling struct", bytes, given.size()), loc);
  }
  if (bytes % 8) Report(Rule::kParameter, Format("a tiling struct of %zu bytes: the size must be a multiple of 8", bytes), loc);
  std::memcpy(dst, given.data(), bytes);
  AccountScalar(c, model::kScalarGmAccess * double(1 + bytes / 64));
}

uint64_t TilingKey() { return Cur().launch->plan.tiling_key; }

void DeclareKernelType(int type, Loc loc) {
  Launch& launch = *Cur().launch;
  launch.declared_type = type;
  if (type != int(launch.plan.mode)) {
    Report(Rule::kKernelType, Format("the kernel declares type %d, the plan launches type %d", type,
           int(launch.plan.mode)), loc);
  }
}

uint8_t* SystemWorkspace() { return nullptr; }

}  // namespace twin

namespace AscendC {

int64_t GetBlockIdx() {
  const twin::Core& c = twin::Cur();
  return c.type == twin::CoreType::AIC ? c.block : int64_t(c.block) * c.ratio + c.sub;
}
int64_t GetBlockNum() { return twin::Cur().launch->plan.blocks; }
int64_t GetSubBlockIdx() { return twin::Cur().sub; }
int64_t GetTaskRatio() { return twin::Cur().type == twin::CoreType::AIC ? 1 : twin::Cur().ratio; }
int64_t GetSubBlockNum() { return GetTaskRatio(); }

void InitSocState(twin::Loc loc) {
  twin::Step(loc);
  twin::Cur().spr = twin::SprState{};
  twin::Cur().spr.initialised = true;
}

// The system counter ticks every 20 ns.
int64_t GetSystemCycle() {
  twin::Core& c = twin::Cur();
  return int64_t(c.state->time.scalar() / c.launch->platform.clock_ghz / 20.0);
}

int printf(const char* fmt, ...) {
  char text[1024];
  va_list args;
  va_start(args, fmt);
  std::vsnprintf(text, sizeof(text), fmt, args);
  va_end(args);
  return std::fprintf(stderr, "[%s] %s", twin::NameOf(twin::Cur()).c_str(), text);
}

}  // namespace AscendC

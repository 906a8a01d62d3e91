#include "estimate.h"

#include <cmath>

#include "run.h"

namespace twin {

namespace {

int Sharers(const Core& c) {
  int sharers = 0;
  for (const Core& o : c.launch->cores) sharers += o.type == c.type;
  return std::max(sharers, 1);
}

// Bytes per cycle that one core reads from L2, which all cores share: as many pull at the same time as the launch has
// kept busy with reading so far (at first: all of this kind).
double L2Share(const Core& c, double now) {
  const Launch& launch = *c.launch;
  constexpr double kBegin = 2000;  // cycles that the first guess counts for
  const double pulling = (launch.reading_cycles + kBegin * Sharers(c)) / (now + kBegin);
  return std::min(model::kL2ReadBytes, model::kL2AllReadBytes * launch.platform.aic / std::max(pulling, 1.0));
}

// The same from HBM, of the achievable rate, when all cores of this kind pull at once.
double HbmShare(const Core& c) {
  const Platform& p = c.launch->platform;
  return std::min(model::kL2ReadBytes, model::kHbmAchievable * p.hbm_tbs * 1e3 / p.clock_ghz / Sharers(c));
}

// The share of the long-row rate that rows of this length reach (128 B: 0.92, 2 KB: 1).
double RowShare(uint32_t bytes) {
  return 0.92 + 0.02 * (std::log2(std::min(2048.0, std::max(128.0, double(bytes)))) - 7.0);
}

struct GmTouch {
  double hbm_lines = 0, l2_lines = 0;
  double shared_lines = 0;  // of these, touched by another core at the same time
};

// Walks the lines of a GM span: which have to come from HBM, which L2 still holds. A line stays until as many others as
// L2 holds have come in after its last use.
GmTouch TouchLines(Core& c, const Span& s, double now) {
  Launch& launch = *c.launch;
  Counters& n = c.state->counters;
  GmTouch out;
  GmRegion* region = launch.FindRegion(s.addr);
  if (!region) return out;
  const uint32_t capacity = uint32_t(double(launch.platform.l2) / model::kGmLine);
  const uint32_t tick = uint32_t(now / 64);
  const uint64_t base = reinterpret_cast<uintptr_t>(region->base);
  const bool scratch = region->kind == GmKind::kWorkspace && region->bytes < launch.platform.l2 / 2;
  for (uint32_t i = 0; i < s.count; ++i) {
    const uint64_t begin = s.addr + uint64_t(int64_t(i) * s.stride) - base;
    if (begin % 32) ++n.unaligned_32;
    if (begin % 512) ++n.unaligned_512;
    for (uint64_t line = begin >> 7; line <= (begin + s.len - 1) >> 7; ++line) {
      LineUse& use = region->lines[line];
      const bool fresh = use.fills == 0;
      const bool resident = !fresh && launch.l2_fills - use.fills < capacity;
      const uint32_t apart = tick > use.when ? tick - use.when : use.when - tick;
      // Two reads or two writes meet; a read after a write is a hand-over.
      if (!fresh && use.core != uint16_t(c.index) && use.wrote == s.write && apart * 64.0 < model::kSameTime) {
        out.shared_lines += 1;
      }
      if (!resident && !scratch) ++launch.l2_fills;
      if (s.write) {
        if (!use.written) {
          use.written = true;
          n.distinct_write += uint64_t(model::kGmLine);
          if (!scratch) n.hbm_write += uint64_t(model::kGmLine);
        }
        out.l2_lines += 1;
      } else {
        if (fresh) n.distinct_read += uint64_t(model::kGmLine);
        (resident || scratch ? out.l2_lines : out.hbm_lines) += 1;
      }
      use.fills = std::max(launch.l2_fills, 1u);
      use.when = tick;
      use.core = uint16_t(c.index);
      use.wrote = s.write;
    }
  }
  n.shared_lines += uint64_t(out.shared_lines);
  return out;
}

int BurstClass(uint32_t bytes) {
  return bytes <= 64 ? 0 : bytes <= 128 ? 1 : bytes <= 256 ? 2 : bytes < 512 ? 3 : 4;
}

// Cycles the pipe needs for the instruction's global memory traffic.
double GmCycles(Core& c, const Instr& in, double now) {
  Counters& n = c.state->counters;
  double cycles = 0;
  for (const Span& s : in.spans) {
    if (s.mem != Mem::GM || !s.count || !s.len || (s.atomic && !s.write)) continue;
    const GmTouch t = TouchLines(c, s, now);
    const uint64_t bytes = uint64_t(s.len) * s.count;
    n.burst_bytes[BurstClass(s.stride == s.len ? s.len * s.count : s.len)] += bytes;
    double time = 0;
    if (s.write) {
      n.gm_write += bytes;
      n.l2_write += uint64_t(t.l2_lines * model::kGmLine);
      time = t.l2_lines * model::kGmLine / (in.pipe == Pipe::FIX ? model::kFixWriteBytes : model::kMte3Bytes);
    } else {
      n.gm_read += bytes;
      n.l2_read += uint64_t(t.l2_lines * model::kGmLine);
      n.hbm_read += uint64_t(t.hbm_lines * model::kGmLine);
      time = t.l2_lines * model::kGmLine / L2Share(c, now) + t.hbm_lines * model::kGmLine / HbmShare(c);
      time /= RowShare(s.stride == s.len ? s.len * s.count : s.len);
      if (s.count > 1 && s.stride % 32) time /= model::kUnalignedPitch;
    }
    // Requests of several cores for one 512 B segment are served one after the other.
    time *= 1.0 + model::kSameSegment * t.shared_lines / std::max(1.0, t.l2_lines + t.hbm_lines);
    cycles += time;
  }
  return cycles * (1.0 + in.cost.gm_factor_pct / 100.0);
}

void Count(Counters& n, const Instr& in) {
  ++n.instructions;
  ++n.per_pipe[size_t(in.pipe)];
  n.macs_useful += in.cost.macs_useful;
  n.macs_padded += in.cost.macs_padded;
  n.lanes += in.cost.lanes;
  n.repeats += in.cost.repeats;
  n.conflict_cycles += in.cost.conflict_cycles;
  n.fix_elements += in.cost.fix_elements;
  if (in.pipe == Pipe::MTE1) n.l1_to_l0 += in.cost.local_bytes;
}

}  // namespace

void AccountScalar(Core& c, double cycles) {
  if (!c.launch->priced) return;
  PipeClock& s = c.state->time.pipe[int(Pipe::S)];
  s.free += cycles;
  s.busy += cycles;
  s.done = s.free;
}

void Account(Core& c, const Instr& in) {
  if (!c.launch->priced) return;
  CoreTime& t = c.state->time;
  Count(c.state->counters, in);
  if (in.pipe == Pipe::S) {
    AccountScalar(c, in.cost.cycles);
    return;
  }
  AccountScalar(c, model::kScalarIssue);
  PipeClock& p = t.pipe[int(in.pipe)];
  // A full instruction queue stalls the scalar unit until its oldest entry has started.
  double& slot = p.starts[size_t(p.count % model::kQueueDepth)];
  if (p.count >= uint64_t(model::kQueueDepth)) t.scalar() = std::max(t.scalar(), slot);
  ++p.count;
  const double start = std::max(p.free, t.scalar());
  slot = start;
  const double gm = GmCycles(c, in, start);
  double cycles = in.cost.cycles, latency = in.cost.latency;
  switch (in.pipe) {
    case Pipe::MTE2:
      cycles += gm + model::kMte2Issue;
      c.launch->reading_cycles += gm;
      latency += gm > 0 ? model::kMte2Latency : 0;
      break;
    case Pipe::MTE3:
      cycles += gm;
      latency += model::kMte3Latency;
      break;
    case Pipe::FIX:
      latency += gm > 0 ? model::kMte3Latency : 0;
      cycles = std::max(cycles, gm);
      break;
    case Pipe::V:
      if (latency == 0) latency = model::kVectorLatency;
      break;
    default: break;
  }
  p.busy += cycles;
  p.free = start + cycles;
  p.done = std::max(p.done, p.free + latency);
  Launch& launch = *c.launch;
  if (launch.settings.timeline && c.block == 0 && launch.trace.size() < 200000) {
    launch.trace.push_back({c.index, in.pipe, in.name, start, p.free});
  }
}

void Summarise(const Launch& launch, Result& r) {
  if (!launch.priced) return;
  const Platform& plat = launch.platform;
  Counters sum;
  double cycles = 0, busy[2][kPipes] = {};
  int kinds[2] = {0, 0};
  const auto add = [](uint64_t& a, uint64_t b) { a += b; };
  for (const Core& c : launch.cores) {
    const Counters& n = c.state->counters;
    const uint64_t* from = reinterpret_cast<const uint64_t*>(&n);
    uint64_t* to = reinterpret_cast<uint64_t*>(&sum);
    for (size_t i = 0; i < sizeof(Counters) / sizeof(uint64_t); ++i) add(to[i], from[i]);
    ++kinds[int(c.type)];
    for (int p = 0; p < kPipes; ++p) {
      cycles = std::max({cycles, c.state->time.pipe[p].done, c.state->time.pipe[p].free});
      busy[int(c.type)][p] += c.state->time.pipe[p].busy;
    }
  }
  static_assert(sizeof(Counters) % sizeof(uint64_t) == 0, "Counters holds 64-bit counts only");
  auto& m = r.counters;
  m["instructions"] = double(sum.instructions);
  m["barriers"] = double(sum.barriers);
  m["flags_set"] = double(sum.flags_set);
  m["flags_waited"] = double(sum.flags_waited);
  m["cross_core_sets"] = double(sum.cross_sets);
  m["cross_core_waits"] = double(sum.cross_waits);
  m["scalar_gets"] = double(sum.scalar_gets);
  m["scalar_sets"] = double(sum.scalar_sets);
  m["gm_read_bytes"] = double(sum.gm_read);
  m["gm_write_bytes"] = double(sum.gm_write);
  m["hbm_read_bytes"] = double(sum.hbm_read);
  m["hbm_write_bytes"] = double(sum.hbm_write);
  m["hbm_bytes"] = double(sum.hbm_read + sum.hbm_write);
  m["l2_read_bytes"] = double(sum.l2_read);
  m["l2_write_bytes"] = double(sum.l2_write);
  m["distinct_read_bytes"] = double(sum.distinct_read);
  m["distinct_write_bytes"] = double(sum.distinct_write);
  const char* const bursts[] = {"gm_bytes_rows_le_64", "gm_bytes_rows_le_128", "gm_bytes_rows_le_256",
                                "gm_bytes_rows_lt_512", "gm_bytes_rows_ge_512"};
  m["gm_lines_shared"] = double(sum.shared_lines);
  for (int i = 0; i < 5; ++i) m[bursts[i]] = double(sum.burst_bytes[i]);
  m["gm_rows_unaligned_32"] = double(sum.unaligned_32);
  m["gm_rows_unaligned_512"] = double(sum.unaligned_512);
  m["macs_useful"] = double(sum.macs_useful);
  m["macs_padded"] = double(sum.macs_padded);
  m["vector_lanes"] = double(sum.lanes);
  m["vector_repeats"] = double(sum.repeats);
  m["bank_conflict_cycles"] = double(sum.conflict_cycles);
  m["l1_to_l0_bytes"] = double(sum.l1_to_l0);
  m["fixpipe_elements"] = double(sum.fix_elements);
  m["workspace_bytes"] = double(launch.plan.workspace_bytes);
  for (int p = 0; p < kPipes; ++p) m[std::string("instructions_") + Name(Pipe(p))] = double(sum.per_pipe[size_t(p)]);
  for (int mem = 1; mem < kMems; ++mem) {
    uint32_t peak = 0;
    for (const Core& c : launch.cores) peak = std::max(peak, c.state->peak[mem]);
    m[std::string("peak_bytes_") + Name(Mem(mem))] = peak;
  }

  auto& e = r.estimate;
  const double us = 1e-3 / plat.clock_ghz;  // per cycle
  const double hbm = double(sum.hbm_read + sum.hbm_write) / (plat.hbm_tbs * 1e6);
  const double cube = double(sum.macs_useful) / (double(plat.aic) * 4096) * us;
  const double vector = double(sum.repeats) / double(plat.aiv) * us;
  const double l2 = double(sum.l2_read + sum.hbm_read) / (double(plat.aic) * model::kL2AllReadBytes) * us;
  e["hbm_bound_us"] = hbm;
  e["cube_bound_us"] = cube;
  e["vector_bound_us"] = vector;
  e["l2_bound_us"] = l2;
  const std::pair<const char*, double> bounds[] = {{"hbm", hbm}, {"cube", cube}, {"vector", vector}, {"l2", l2}};
  double bound = 0;
  for (const auto& [name, value] : bounds) {
    if (value >= bound) {
      bound = value;
      r.binding = name;
    }
  }
  e["bound_us"] = bound;
  e["schedule_us"] = cycles * us;
  // No schedule beats the achievable memory rate, which reads, writes and all kinds of core share.
  e["kernel_us"] = std::max({cycles * us, bound, hbm / model::kHbmAchievable});
  e["launch_us"] = model::kLaunchUs;
  e["total_us"] = e["kernel_us"] + model::kLaunchUs;
  e["cycles"] = cycles;
  for (int kind = 0; kind < 2; ++kind) {
    for (int p = 0; p < kPipes; ++p) {
      if (busy[kind][p] == 0) continue;
      e[std::string("busy_us_") + (kind == 0 ? "AIC_" : "AIV_") + Name(Pipe(p))] = busy[kind][p] / kinds[kind] * us;
    }
  }
}

}  // namespace twin

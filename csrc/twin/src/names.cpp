// Names of everything a report mentions, and the tables that connect pipes and events.
#include <cstdarg>
#include <cstdio>

#include "twin/core.h"

namespace twin {

const char* Name(Pipe pipe) {
  static const char* const kNames[] = {"PIPE_S", "PIPE_V", "PIPE_M", "PIPE_MTE1", "PIPE_MTE2", "PIPE_MTE3", "PIPE_FIX"};
  return kNames[int(pipe)];
}

const char* Name(Mem mem) {
  static const char* const kNames[] = {"GM", "UB", "L1", "L0A", "L0B", "L0C", "BT", "FB"};
  return kNames[int(mem)];
}

const char* Name(ElemType type) {
  static const char* const kNames[] = {"int8",  "uint8",  "int16", "uint16", "half",   "bfloat16", "int32",
                                       "uint32", "float", "int64", "uint64", "double", "other"};
  return kNames[int(type)];
}

const char* Name(AscendC::TPosition pos) {
  static const char* const kNames[] = {"GM",  "A1",    "A2",     "B1",      "B2",  "C1",  "C2",   "CO1",
                                       "CO2", "VECIN", "VECOUT", "VECCALC", "SPM", "TSCM", "C2PIPE2GM",
                                       "C2PIPE2LOCAL", "none"};
  return kNames[int(pos)];
}

const char* Name(Rule rule) {
  static const char* const kNames[] = {
      "out-of-bounds", "misaligned", "uninitialised-read", "use-after-free", "missing-sync", "missing-barrier",
      "cross-core-race", "queue-misuse", "queue-leak", "flag-left-set", "double-set", "wait-without-set", "event-id",
      "event-leak", "cross-core-overflow", "cross-core-unread", "cross-core-id", "cross-core-pipe", "deadlock",
      "step-limit", "mask-left", "atomic-left", "stale-scalar-read", "dirty-line", "field-range",
      "parameter", "rounds-down", "position", "wrong-core", "dtype", "overlap", "mask", "stride", "temp-size",
      "nan-input", "gemv-trap", "quant-mode", "unit-flag", "capacity", "buffer-count", "live-tensors",
      "output-unwritten", "input-written", "init-state", "kernel-type", "mixed-static"};
  static_assert(sizeof(kNames) / sizeof(kNames[0]) == size_t(Rule::kMixedStatic) + 1, "one name per rule");
  return kNames[int(rule)];
}

namespace {
struct EventRow {
  const char* name;
  Pipe from, to;
};
constexpr EventRow kEventTable[] = {
    {"MTE2_MTE1", Pipe::MTE2, Pipe::MTE1}, {"MTE1_MTE2", Pipe::MTE1, Pipe::MTE2}, {"MTE1_M", Pipe::MTE1, Pipe::M},
    {"M_MTE1", Pipe::M, Pipe::MTE1},       {"MTE2_V", Pipe::MTE2, Pipe::V},       {"V_MTE2", Pipe::V, Pipe::MTE2},
    {"MTE3_V", Pipe::MTE3, Pipe::V},       {"V_MTE3", Pipe::V, Pipe::MTE3},       {"M_V", Pipe::M, Pipe::V},
    {"V_M", Pipe::V, Pipe::M},             {"V_V", Pipe::V, Pipe::V},             {"MTE3_MTE1", Pipe::MTE3, Pipe::MTE1},
    {"MTE1_MTE3", Pipe::MTE1, Pipe::MTE3}, {"MTE1_V", Pipe::MTE1, Pipe::V},       {"MTE2_M", Pipe::MTE2, Pipe::M},
    {"M_MTE2", Pipe::M, Pipe::MTE2},       {"V_MTE1", Pipe::V, Pipe::MTE1},       {"M_FIX", Pipe::M, Pipe::FIX},
    {"FIX_M", Pipe::FIX, Pipe::M},         {"MTE3_MTE2", Pipe::MTE3, Pipe::MTE2}, {"MTE2_MTE3", Pipe::MTE2, Pipe::MTE3},
    {"S_V", Pipe::S, Pipe::V},             {"V_S", Pipe::V, Pipe::S},             {"S_MTE2", Pipe::S, Pipe::MTE2},
    {"MTE2_S", Pipe::MTE2, Pipe::S},       {"S_MTE3", Pipe::S, Pipe::MTE3},       {"MTE3_S", Pipe::MTE3, Pipe::S},
    {"MTE2_FIX", Pipe::MTE2, Pipe::FIX},   {"FIX_MTE2", Pipe::FIX, Pipe::MTE2},   {"FIX_S", Pipe::FIX, Pipe::S},
    {"M_S", Pipe::M, Pipe::S},             {"FIX_MTE3", Pipe::FIX, Pipe::MTE3},   {"MTE1_FIX", Pipe::MTE1, Pipe::FIX},
    {"FIX_MTE1", Pipe::FIX, Pipe::MTE1},   {"FIX_FIX", Pipe::FIX, Pipe::FIX},
};
static_assert(sizeof(kEventTable) / sizeof(kEventTable[0]) == size_t(AscendC::HardEvent::MAX), "one row per event");
}  // namespace

const char* Name(AscendC::HardEvent event) {
  return event == AscendC::HardEvent::MAX ? "none" : kEventTable[int(event)].name;
}
PipePair PipesOf(AscendC::HardEvent event) { return {kEventTable[int(event)].from, kEventTable[int(event)].to}; }

AscendC::HardEvent EventBetween(Pipe from, Pipe to) {
  for (int i = 0; i < int(AscendC::HardEvent::MAX); ++i) {
    if (kEventTable[i].from == from && kEventTable[i].to == to) return AscendC::HardEvent(i);
  }
  return AscendC::HardEvent::MAX;
}

Pipe PipeOf(pipe_t pipe) {
  switch (pipe) {
    case PIPE_V: return Pipe::V;
    case PIPE_M: return Pipe::M;
    case PIPE_MTE1: return Pipe::MTE1;
    case PIPE_MTE2: return Pipe::MTE2;
    case PIPE_MTE3: return Pipe::MTE3;
    case PIPE_FIX: return Pipe::FIX;
    default: return Pipe::S;
  }
}

std::string NameOf(const Core& core) {
  const int id = core.type == CoreType::AIC ? core.block : core.block * core.ratio + core.sub;
  return Format("%s %d", core.type == CoreType::AIC ? "AIC" : "AIV", id);
}

std::string Format(const char* fmt, ...) {
  char text[1024];
  va_list args;
  va_start(args, fmt);
  std::vsnprintf(text, sizeof(text), fmt, args);
  va_end(args);
  return text;
}

}  // namespace twin

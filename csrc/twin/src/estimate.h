// The time model: what each instruction costs, and a list schedule over the dependencies that were recorded. Constants
// come from the public figures in the reference, section 1.5 and 6.3; figures marked "assumed" are not published.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/platform.h"
#include "twin/issue.h"

namespace twin {

struct Core;
struct Launch;

namespace model {
constexpr double kHbmAchievable = 0.83;   // of the nominal rate: 1.49 of 1.8 TB/s for long rows
constexpr double kL2ReadBytes = 110;      // bytes per cycle and core
constexpr double kL2AllReadBytes = 117;   // per AI Core, cube and vector cores together: 5.2 TB/s over 24
constexpr double kSameSegment = 0.15;     // several cores at one segment lose 10-20 %
constexpr double kSameTime = 2000;        // assumed: cycles within which two requests meet
constexpr double kUnalignedPitch = 0.795; // rows that do not start on 32 B
constexpr double kFixWriteBytes = 86;
constexpr double kMte3Bytes = 64;
constexpr double kGmLine = 128;           // GM requests are rounded up to lines
constexpr double kMte2Issue = 13;         // one 128 B row per instruction reaches 0.37 of the long-row rate
constexpr double kMte2Latency = 300;      // assumed: first byte
constexpr double kMte3Latency = 200;      // assumed: until another core can see it
constexpr double kMte1Latency2d = 28, kMte1Latency3d = 50;
constexpr double kL0aBytes = 256, kL0bBytes = 128, kTableBytes = 32, kTableLatency = 20;
constexpr double kMmadIssue = 15, kMmadLatency = 6;  // 21 for a single one; chains of eight measure 15 each
constexpr double kFixElements = 64, kFixBytes = 128, kFixLatency = 20;
constexpr double kVectorLatency = 60;     // a dependent pair with its barrier takes 75-130 cycles
constexpr double kScalarIssue = 4;        // assumed: dispatching one instruction
constexpr double kScalarAccess = 30;      // assumed: GetValue/SetValue on UB
constexpr double kScalarGmAccess = 300;   // assumed: a data-cache miss
constexpr double kCrossCore = 150;        // assumed: flag from core to core
constexpr double kSyncAll = 600;          // assumed: hardware barrier over the launch
constexpr double kPipeInit = 200;         // TPipe and InitBuffer: some 0.1 us
constexpr double kLaunchUs = 10;
constexpr int kQueueDepth = 32;           // instructions a pipe holds before issue stalls
}  // namespace model

struct PipeClock {
  double free = 0;  // when the pipe can start its next instruction
  double done = 0;  // when everything issued so far has finished
  double busy = 0;
  uint64_t count = 0;
  std::array<double, model::kQueueDepth> starts{};  // ring of start times: back pressure on issue
};

// One bar of the timeline.
struct TraceEvent {
  int core;
  Pipe pipe;
  const char* name;
  double begin, end;  // cycles
};

struct CoreTime {
  std::array<PipeClock, kPipes> pipe;
  double& scalar() { return pipe[int(Pipe::S)].free; }
};

struct Counters {
  uint64_t instructions = 0, barriers = 0, flags_set = 0, flags_waited = 0, cross_sets = 0, cross_waits = 0;
  uint64_t scalar_gets = 0, scalar_sets = 0;
  uint64_t gm_read = 0, gm_write = 0;          // bytes asked for
  uint64_t hbm_read = 0, hbm_write = 0;        // bytes of lines that have to come from or go to HBM
  uint64_t l2_read = 0, l2_write = 0;          // bytes of lines served by L2
  uint64_t distinct_read = 0, distinct_write = 0;
  uint64_t shared_lines = 0;                   // touched by several cores at the same time
  uint64_t burst_bytes[5] = {};                // GM bytes by row length: <=64, <=128, <=256, <512, >=512
  uint64_t unaligned_32 = 0, unaligned_512 = 0;  // GM rows by start address
  uint64_t macs_useful = 0, macs_padded = 0, lanes = 0, repeats = 0, conflict_cycles = 0;
  uint64_t l1_to_l0 = 0, fix_elements = 0;
  std::array<uint64_t, kPipes> per_pipe{};
};

// Advances the clocks of the core by one instruction.
void Account(Core& core, const Instr& instr);
void AccountScalar(Core& core, double cycles);

}  // namespace twin

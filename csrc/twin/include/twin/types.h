// The device language as the host compiler sees it: qualifiers that mean nothing here, and the enumerations the
// Ascend C API takes. Names and values are the public ones.
#pragma once

#include <cstdint>

#include "twin/issue.h"
#include "twin/numeric.h"

#define __global__
#define __aicore__
#define __gm__
#define __ubuf__
#define __cbuf__
#define __ca__
#define __cb__
#define __cc__
#define __fbuf__
#define GM_ADDR __gm__ uint8_t*

using twin::bfloat16_t;
using twin::half;

enum pipe_t { PIPE_S = 0, PIPE_V, PIPE_M, PIPE_MTE1, PIPE_MTE2, PIPE_MTE3, PIPE_ALL, PIPE_MTE4, PIPE_MTE5, PIPE_V2,
              PIPE_FIX };
enum event_t { EVENT_ID0 = 0, EVENT_ID1, EVENT_ID2, EVENT_ID3, EVENT_ID4, EVENT_ID5, EVENT_ID6, EVENT_ID7 };

enum QuantMode_t { NoQuant = 0, F322F16 = 1, F322BF16 = 16, DEQF16 = 5, VDEQF16 = 4, QF322B8_PRE = 24,
                   VQF322B8_PRE = 23, REQ8 = 3, VREQ8 = 2 };

namespace AscendC {

enum class TPosition : uint8_t { GM, A1, A2, B1, B2, C1, C2, CO1, CO2, VECIN, VECOUT, VECCALC, LCM = VECCALC,
                                 SPM, SHM = SPM, TSCM, C2PIPE2GM, C2PIPE2LOCAL, MAX };
using QuePosition = TPosition;

// Every producer_consumer pair a flag may connect on architecture 2201.
enum class HardEvent : uint8_t {
  MTE2_MTE1, MTE1_MTE2, MTE1_M, M_MTE1, MTE2_V, V_MTE2, MTE3_V, V_MTE3, M_V, V_M, V_V, MTE3_MTE1, MTE1_MTE3, MTE1_V,
  MTE2_M, M_MTE2, V_MTE1, M_FIX, FIX_M, MTE3_MTE2, MTE2_MTE3, S_V, V_S, S_MTE2, MTE2_S, S_MTE3, MTE3_S, MTE2_FIX,
  FIX_MTE2, FIX_S, M_S, FIX_MTE3, MTE1_FIX, FIX_MTE1, FIX_FIX, MAX
};

enum class MaskMode : uint8_t { NORMAL = 0, COUNTER };
enum class RoundMode { CAST_NONE = 0, CAST_RINT, CAST_FLOOR, CAST_CEIL, CAST_ROUND, CAST_TRUNC, CAST_ODD };
enum class CacheLine { SINGLE_CACHE_LINE = 0, ENTIRE_DATA_CACHE };
enum class DcciDst { CACHELINE_ALL = 0, CACHELINE_UB, CACHELINE_OUT, CACHELINE_ATOMIC };
enum class CacheMode { CACHE_MODE_DISABLE = 0, CACHE_MODE_NORMAL, CACHE_MODE_LAST, CACHE_MODE_PERSISTENT };
enum class CacheRwMode { READ = 1, WRITE, RW };

using TEventID = int8_t;

}  // namespace AscendC

namespace twin {

constexpr Mem MemOf(AscendC::TPosition pos) {
  using P = AscendC::TPosition;
  switch (pos) {
    case P::A1: case P::B1: case P::C1: case P::TSCM: return Mem::L1;
    case P::A2: return Mem::L0A;
    case P::B2: return Mem::L0B;
    case P::CO1: return Mem::L0C;
    case P::C2: return Mem::BT;
    case P::C2PIPE2GM: return Mem::FB;
    case P::GM: case P::CO2: return Mem::GM;
    default: return Mem::UB;
  }
}
const char* Name(AscendC::TPosition pos);

struct PipePair { Pipe from, to; };
PipePair PipesOf(AscendC::HardEvent event);
const char* Name(AscendC::HardEvent event);
// The event that connects two pipes; MAX when the hardware has none.
AscendC::HardEvent EventBetween(Pipe from, Pipe to);
Pipe PipeOf(pipe_t pipe);  // not for PIPE_ALL

}  // namespace twin

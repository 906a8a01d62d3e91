// Conversions with the hardware's rounding modes. The common ones are bit operations; the rest go through double,
// which holds every modelled source value exactly.
#include "twin/vector_cast.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "product.h"
#include "vector_walk.h"

namespace twin {

namespace {

using AscendC::RoundMode;

double RoundIntegral(double v, RoundMode mode) {
  switch (mode) {
    case RoundMode::CAST_FLOOR: return std::floor(v);
    case RoundMode::CAST_CEIL: return std::ceil(v);
    case RoundMode::CAST_ROUND: return std::round(v);  // halves away from zero
    case RoundMode::CAST_TRUNC: return std::trunc(v);
    case RoundMode::CAST_ODD: {
      const double t = std::trunc(v);
      if (t == v || std::fmod(t, 2.0) != 0.0) return t;
      return t + (v > 0 ? 1.0 : -1.0);
    }
    default: return std::nearbyint(v);
  }
}

// Rounds to a binary format with `digits` significant bits, smallest normal 2^min_exponent, largest value `max`.
double RoundFloat(double v, int digits, int min_exponent, double max, RoundMode mode) {
  if (v == 0.0 || !std::isfinite(v)) return v;
  const int exponent = std::max(std::ilogb(v), min_exponent);
  const double ulp = std::ldexp(1.0, exponent - (digits - 1));
  const double r = RoundIntegral(v / ulp, mode) * ulp;
  if (std::fabs(r) <= max) return std::copysign(r, v);
  // Beyond the largest value: rounding towards it stays there, everything else goes to infinity.
  const bool inward = mode == RoundMode::CAST_TRUNC || mode == RoundMode::CAST_ODD ||
                      (mode == RoundMode::CAST_FLOOR && v > 0) || (mode == RoundMode::CAST_CEIL && v < 0);
  return std::copysign(inward ? max : HUGE_VAL, v);
}

template <typename T>
T RoundTo(double v, RoundMode mode) {
  if constexpr (std::is_integral<T>::value) {  // saturates; NaN becomes 0
    const double r = RoundIntegral(v, mode);
    if (std::isnan(r)) return 0;
    return static_cast<T>(std::clamp<double>(r, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  } else if constexpr (std::is_same<T, half>::value) {
    return half(static_cast<float>(RoundFloat(v, 11, -14, 65504.0, mode)));
  } else if constexpr (std::is_same<T, bfloat16_t>::value) {
    return bfloat16_t(static_cast<float>(RoundFloat(v, 8, -126, 0x1.fep127, mode)));
  } else {
    return static_cast<float>(RoundFloat(v, 24, -126, std::numeric_limits<float>::max(), mode));
  }
}

using RunFn = void (*)(uint8_t* d, const uint8_t* s, uint32_t n, RoundMode mode, float deq_scale);

template <typename D, typename S>
void RunCast(uint8_t* d, const uint8_t* s, uint32_t n, RoundMode mode, float deq_scale) {
  D* dst = reinterpret_cast<D*>(d);
  const S* src = reinterpret_cast<const S*>(s);
  // Source and destination may share the buffer (reference 3.2), so a chunk is read whole before it is written.
  constexpr uint32_t kChunk = 512;
  S in[kChunk];
  for (uint32_t begin = 0; begin < n; begin += kChunk) {
    const uint32_t m = std::min(kChunk, n - begin);
    std::copy(src + begin, src + begin + m, in);
    D* out = dst + begin;
    constexpr bool narrows =
        std::is_same<S, float>::value && (std::is_same<D, half>::value || std::is_same<D, bfloat16_t>::value);
    constexpr bool widens =
        std::is_same<D, float>::value && (std::is_same<S, half>::value || std::is_same<S, bfloat16_t>::value);
    if (std::is_same<D, float>::value && std::is_same<S, half>::value) {
      Arithmetic().from_half(reinterpret_cast<const uint8_t*>(in), m, reinterpret_cast<float*>(out));
    } else if (std::is_same<D, half>::value && std::is_same<S, float>::value && mode <= RoundMode::CAST_RINT) {
      Arithmetic().to_half(reinterpret_cast<const float*>(in), m, reinterpret_cast<uint8_t*>(out));
    } else if (std::is_same<D, half>::value && std::is_same<S, int32_t>::value) {
      for (uint32_t i = 0; i < m; ++i) out[i] = static_cast<D>(static_cast<float>(in[i]) * deq_scale);
    } else if (std::is_same<D, float>::value && std::is_same<S, float>::value) {
      for (uint32_t i = 0; i < m; ++i) out[i] = static_cast<D>(RoundIntegral(static_cast<float>(in[i]), mode));
    } else if (widens || (narrows && mode <= RoundMode::CAST_RINT)) {
      for (uint32_t i = 0; i < m; ++i) out[i] = static_cast<D>(static_cast<float>(in[i]));
    } else {
      for (uint32_t i = 0; i < m; ++i) out[i] = RoundTo<D>(static_cast<double>(in[i]), mode);
    }
  }
}

template <typename D, typename S>
void Try(ElemType dst, ElemType src, RunFn& fn) {
  if (ElemTypeOf<D>() == dst && ElemTypeOf<S>() == src) fn = RunCast<D, S>;
}

RunFn Find(ElemType dst, ElemType src) {
  RunFn fn = nullptr;
  Try<float, half>(dst, src, fn);
  Try<float, bfloat16_t>(dst, src, fn);
  Try<half, float>(dst, src, fn);
  Try<bfloat16_t, float>(dst, src, fn);
  Try<float, float>(dst, src, fn);
  Try<float, int32_t>(dst, src, fn);
  Try<int32_t, float>(dst, src, fn);
  Try<int32_t, half>(dst, src, fn);
  Try<int32_t, bfloat16_t>(dst, src, fn);
  Try<half, int32_t>(dst, src, fn);
  Try<int16_t, half>(dst, src, fn);
  Try<half, int16_t>(dst, src, fn);
  Try<int16_t, float>(dst, src, fn);
  Try<float, int16_t>(dst, src, fn);
  Try<int8_t, half>(dst, src, fn);
  Try<uint8_t, half>(dst, src, fn);
  Try<half, int8_t>(dst, src, fn);
  Try<half, uint8_t>(dst, src, fn);
  Try<int16_t, int32_t>(dst, src, fn);
  return fn;
}

}  // namespace

void IssueCast(const VecArg* args, RoundMode mode, const VecMask& mask, Loc loc) {
  if ((CastModes(args[0].type, args[1].type) >> int(mode) & 1u) == 0) {
    Report(Rule::kDtype, Format("Cast %s -> %s has no round mode %d", Name(args[1].type), Name(args[0].type), int(mode)),
           loc);
  }
  const VecShape shape = ResolveMask(mask, std::max(args[0].bytes, args[1].bytes), "Cast", loc);
  const Overlap overlap = args[0].bytes == args[1].bytes ? Overlap::kExact : Overlap::kConvert;
  if (!CheckVector(args, 2, shape, overlap, "Cast", loc)) return;

  Instr instr(Pipe::V, "Cast", loc);
  if (NeedSpans()) {
    const LaneRuns full = RunsOf(shape, shape.lanes, args, 2), tail = RunsOf(shape, shape.tail, args, 2);
    AddSpans(instr, args[1], shape, full, tail, false);
    AddSpans(instr, args[0], shape, full, tail, true);
  }
  instr.cost = VectorCost(args, 2, shape, 1);
  if (NeedRun()) {
    const RunFn fn = Find(args[0].type, args[1].type);
    const float deq_scale = Cur().spr.deq_scale;
    instr.run = [walk = Walk(shape, args, 2), fn, mode, deq_scale] {
      walk.ForRuns<2>([&](uint8_t** p, uint32_t n) { fn(p[0], p[1], n, mode, deq_scale); });
    };
  }
  Issue(std::move(instr));
}

}  // namespace twin

namespace AscendC {

void SetDeqScale(half scale) { twin::Cur().spr.deq_scale = float(scale); }

}  // namespace AscendC

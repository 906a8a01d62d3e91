// Element-wise arithmetic. Halves are computed in float and rounded to nearest even once per instruction; a product
// that is added is rounded before the addition, so that no host's fused multiply-add shows in the results.
#include "twin/vector_elementwise.h"

#include <cmath>
#include <cstring>

#include "vector_walk.h"

namespace twin {

namespace {

struct OpInfo {
  const char* name;
  uint8_t cycles;    // per repeat
  bool reads_dst;
  bool accumulates;  // the dst == src1 trick of reference 3.0
};

// Exp, Ln, Sqrt: two cycles, Div: four - within the range that reference 6.3 gives, where no exact figure is public.
OpInfo InfoOf(VecOp op) {
  switch (op) {
    case VecOp::kAdd: return {"Add", 1, false, true};
    case VecOp::kSub: return {"Sub", 1, false, true};
    case VecOp::kMul: return {"Mul", 1, false, true};
    case VecOp::kMax: return {"Max", 1, false, true};
    case VecOp::kMin: return {"Min", 1, false, true};
    case VecOp::kDiv: return {"Div", 4, false, false};
    case VecOp::kAddRelu: return {"AddRelu", 1, false, true};
    case VecOp::kSubRelu: return {"SubRelu", 1, false, true};
    case VecOp::kAnd: return {"And", 1, false, false};
    case VecOp::kOr: return {"Or", 1, false, false};
    case VecOp::kFusedMulAdd: return {"FusedMulAdd", 1, true, false};
    case VecOp::kFusedMulAddRelu: return {"FusedMulAddRelu", 1, true, false};
    case VecOp::kMulAddDst: return {"MulAddDst", 1, true, false};
    case VecOp::kAxpy: return {"Axpy", 1, true, false};
    case VecOp::kAdds: return {"Adds", 1, false, false};
    case VecOp::kMuls: return {"Muls", 1, false, false};
    case VecOp::kMaxs: return {"Maxs", 1, false, false};
    case VecOp::kMins: return {"Mins", 1, false, false};
    case VecOp::kLeakyRelu: return {"LeakyRelu", 1, false, false};
    case VecOp::kShiftLeft: return {"ShiftLeft", 1, false, false};
    case VecOp::kShiftRight:
    case VecOp::kShiftRightRound: return {"ShiftRight", 1, false, false};
    case VecOp::kExp: return {"Exp", 2, false, false};
    case VecOp::kLn: return {"Ln", 2, false, false};
    case VecOp::kSqrt: return {"Sqrt", 2, false, false};
    case VecOp::kRsqrt: return {"Rsqrt", 1, false, false};
    case VecOp::kReciprocal: return {"Reciprocal", 1, false, false};
    case VecOp::kAbs: return {"Abs", 1, false, false};
    case VecOp::kRelu: return {"Relu", 1, false, false};
    case VecOp::kNot: return {"Not", 1, false, false};
  }
  return {"", 1, false, false};
}

// Integers wrap around; unsigned arithmetic makes that defined.
template <typename T> struct WideOf { using type = T; };
template <> struct WideOf<half> { using type = float; };

template <typename T>
T Wrap(int64_t v) { return static_cast<T>(static_cast<std::make_unsigned_t<T>>(v)); }

// Rsqrt and Reciprocal are good to about 11 bits on the hardware, so nobody may depend on more here.
float Coarse(float v) { return BitsFloat((FloatBits(v) + 0x800u) & ~0xfffu); }

#define TWIN_APPLY(op, expression)                                           \
  template <>                                                                \
  struct Apply<VecOp::op> {                                                  \
    template <typename W>                                                    \
    static W Do([[maybe_unused]] W d, [[maybe_unused]] W a, [[maybe_unused]] W b, [[maybe_unused]] W s) { \
      return expression;                                                     \
    }                                                                        \
  }
template <VecOp op>
struct Apply;

template <typename W> W Plus(W a, W b) {
  if constexpr (std::is_integral<W>::value) return Wrap<W>(int64_t(a) + int64_t(b)); else return a + b;
}
template <typename W> W Minus(W a, W b) {
  if constexpr (std::is_integral<W>::value) return Wrap<W>(int64_t(a) - int64_t(b)); else return a - b;
}
template <typename W> W Times(W a, W b) {
  if constexpr (std::is_integral<W>::value) return Wrap<W>(int64_t(a) * int64_t(b)); else return a * b;
}
template <typename W> W Rectify(W a) { return a > W(0) ? a : W(0); }
template <typename W> W Larger(W a, W b) { return a > b ? a : b; }
template <typename W> W Smaller(W a, W b) { return a < b ? a : b; }

TWIN_APPLY(kAdd, Plus(a, b));
TWIN_APPLY(kSub, Minus(a, b));
TWIN_APPLY(kMul, Times(a, b));
TWIN_APPLY(kMax, Larger(a, b));
TWIN_APPLY(kMin, Smaller(a, b));
TWIN_APPLY(kDiv, a / b);
TWIN_APPLY(kAddRelu, Rectify(Plus(a, b)));
TWIN_APPLY(kSubRelu, Rectify(Minus(a, b)));
TWIN_APPLY(kAnd, static_cast<W>(a & b));
TWIN_APPLY(kOr, static_cast<W>(a | b));
TWIN_APPLY(kNot, static_cast<W>(~a));
TWIN_APPLY(kFusedMulAdd, Plus(Times(a, d), b));
TWIN_APPLY(kFusedMulAddRelu, Rectify(Plus(Times(a, d), b)));
TWIN_APPLY(kMulAddDst, Plus(d, Times(a, b)));
TWIN_APPLY(kAxpy, Plus(d, Times(a, s)));
TWIN_APPLY(kAdds, Plus(a, s));
TWIN_APPLY(kMuls, Times(a, s));
TWIN_APPLY(kMaxs, Larger(a, s));
TWIN_APPLY(kMins, Smaller(a, s));
TWIN_APPLY(kLeakyRelu, a > W(0) ? a : Times(a, s));
TWIN_APPLY(kShiftLeft, Wrap<W>(int64_t(uint64_t(a) << int(s))));
TWIN_APPLY(kShiftRight, static_cast<W>(a >> int(s)));
TWIN_APPLY(kShiftRightRound, static_cast<W>((int64_t(a) + (int(s) > 0 ? int64_t(1) << (int(s) - 1) : 0)) >> int(s)));
TWIN_APPLY(kExp, std::exp(a));
TWIN_APPLY(kLn, std::log(a));
TWIN_APPLY(kSqrt, std::sqrt(a));
TWIN_APPLY(kRsqrt, Coarse(1.0f / std::sqrt(a)));
TWIN_APPLY(kReciprocal, Coarse(1.0f / a));
TWIN_APPLY(kAbs, std::fabs(a));
TWIN_APPLY(kRelu, Rectify(a));
#undef TWIN_APPLY

using RunFn = void (*)(uint8_t* d, const uint8_t* a, const uint8_t* b, uint32_t n, double s);

template <VecOp op, typename D, typename S>
void RunOp(uint8_t* d, const uint8_t* a, const uint8_t* b, uint32_t n, double s) {
  using W = typename WideOf<D>::type;
  D* dst = reinterpret_cast<D*>(d);
  const S* x = reinterpret_cast<const S*>(a);
  const S* y = reinterpret_cast<const S*>(b);
  const W scalar = static_cast<W>(s);
  // Equal addresses are the only overlap there may be, and a lane only reads itself.
#pragma GCC ivdep
  for (uint32_t i = 0; i < n; ++i) {
    dst[i] = static_cast<D>(Apply<op>::Do(static_cast<W>(dst[i]), static_cast<W>(x[i]), static_cast<W>(y[i]), scalar));
  }
}

template <VecOp op, typename... Ts>
RunFn Pick(ElemType type) {
  RunFn fn = nullptr;
  ((type == ElemTypeOf<Ts>() ? void(fn = RunOp<op, Ts, Ts>) : void()), ...);
  return fn;
}
template <VecOp op>
RunFn PickAccumulate(ElemType dst, ElemType src) {
  if (dst == ElemType::kFloat && src == ElemType::kHalf) return RunOp<op, float, half>;
  return Pick<op, half, float>(dst);
}

RunFn Find(VecOp op, ElemType dst, ElemType src) {
  switch (op) {
#define TWIN_CASE(name, ...) \
  case VecOp::name: return Pick<VecOp::name, __VA_ARGS__>(dst)
    TWIN_CASE(kAdd, int16_t, half, int32_t, float);
    TWIN_CASE(kSub, int16_t, half, int32_t, float);
    TWIN_CASE(kMul, int16_t, half, int32_t, float);
    TWIN_CASE(kMax, int16_t, half, int32_t, float);
    TWIN_CASE(kMin, int16_t, half, int32_t, float);
    TWIN_CASE(kDiv, half, float);
    TWIN_CASE(kAddRelu, int16_t, half, float);
    TWIN_CASE(kSubRelu, int16_t, half, float);
    TWIN_CASE(kAnd, int16_t, uint16_t, int32_t, uint32_t);
    TWIN_CASE(kOr, int16_t, uint16_t, int32_t, uint32_t);
    TWIN_CASE(kNot, int16_t, uint16_t);
    TWIN_CASE(kFusedMulAdd, half, float);
    TWIN_CASE(kFusedMulAddRelu, half, float);
    TWIN_CASE(kAdds, int16_t, half, int32_t, float);
    TWIN_CASE(kMuls, int16_t, half, int32_t, float);
    TWIN_CASE(kMaxs, int16_t, half, int32_t, float);
    TWIN_CASE(kMins, int16_t, half, int32_t, float);
    TWIN_CASE(kLeakyRelu, half, float);
    TWIN_CASE(kShiftLeft, int16_t, uint16_t, int32_t, uint32_t);
    TWIN_CASE(kShiftRight, int16_t, uint16_t, int32_t, uint32_t);
    TWIN_CASE(kShiftRightRound, int16_t, int32_t);
    TWIN_CASE(kExp, half, float);
    TWIN_CASE(kLn, half, float);
    TWIN_CASE(kSqrt, half, float);
    TWIN_CASE(kRsqrt, half, float);
    TWIN_CASE(kReciprocal, half, float);
    TWIN_CASE(kAbs, half, float);
    TWIN_CASE(kRelu, half, float, int32_t);
#undef TWIN_CASE
    case VecOp::kMulAddDst: return PickAccumulate<VecOp::kMulAddDst>(dst, src);
    case VecOp::kAxpy: return PickAccumulate<VecOp::kAxpy>(dst, src);
  }
  return nullptr;
}

}  // namespace

void IssueElementwise(VecOp op, const VecArg* args, size_t n_args, const VecMask& mask, double scalar, Loc loc) {
  const OpInfo info = InfoOf(op);
  const bool mixed = args[0].type != args[1].type;
  const VecShape shape = ResolveMask(mask, args[0].bytes, info.name, loc);
  const bool accumulates = info.accumulates && args[0].type != ElemType::kInt16;
  const Overlap overlap = mixed ? Overlap::kNone : accumulates ? Overlap::kAccumulate : Overlap::kExact;
  if (!CheckVector(args, n_args, shape, overlap, info.name, loc)) return;

  Instr instr(Pipe::V, info.name, loc);
  if (NeedSpans()) {
    const LaneRuns full = RunsOf(shape, shape.lanes, args, n_args), tail = RunsOf(shape, shape.tail, args, n_args);
    for (size_t i = 1; i < n_args; ++i) AddSpans(instr, args[i], shape, full, tail, false);
    if (info.reads_dst) AddSpans(instr, args[0], shape, full, tail, false);
    AddSpans(instr, args[0], shape, full, tail, true);
  }
  instr.cost = VectorCost(args, n_args, shape, info.cycles);
  if (NeedRun()) {
    const RunFn fn = Find(op, args[0].type, args[1].type);
    if (n_args == 3) {
      instr.run = [walk = Walk(shape, args, 3), fn, scalar] {
        walk.ForRuns<3>([&](uint8_t** p, uint32_t n) { fn(p[0], p[1], p[2], n, scalar); });
      };
    } else {
      instr.run = [walk = Walk(shape, args, 2), fn, scalar] {
        walk.ForRuns<2>([&](uint8_t** p, uint32_t n) { fn(p[0], p[1], p[1], n, scalar); });
      };
    }
  }
  Issue(std::move(instr));
}

}  // namespace twin

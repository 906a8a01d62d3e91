// GELU and its derivative on strips of floats in UB, in both forms:
//
//   erf    x Phi(x), Phi the normal distribution function (Hendrycks & Gimpel 2016, arXiv:1606.08415)
//   tanh   x s(x) with s(x) = 1 / (1 + exp(-2 sqrt(2/pi) (x + 0.044715 x^3))), which is 0.5 x (1 + tanh(...))
//
// The erf form needs one Exp, one Div and a short polynomial: with a = |x| and e = exp(-a^2 / 2),
//
//   Phi(-a) = e t P(t),  t = 1 / (a + 13/4)
//
// where P has degree 5 and was fitted for the least relative error on 0 <= a <= 14 (4.1e-6; least squares, reweighted
// until the extremes were level). Then gelu = max(x, 0) - a Phi(-a), and with v = Phi(-a) - a phi(a), phi being the
// normal density, gelu' = v for x < 0 and 1 - v for x > 0: the exponential that Phi needs is the one phi needs. In
// fp32, against float64, gelu and gelu' of either form are off by less than 2e-6 (tests/ascend/test_gelu.py), and
// because negative inputs never go through 1 - erf, the relative error of the erf form stays below 1e-5 down to x = -5.
//
// Infinities give the limits and a NaN stays one, whatever Max and Min make of it: the exponential sees x itself, only
// the factors beside it are clamped. Instructions that do not depend on each other share one barrier.
#pragma once

#include "kernel_operator.h"

namespace vit {

using namespace AscendC;

enum class GeluForm : uint32_t { kErf = 0, kTanh = 1 };

template <GeluForm form>
class Gelu {
  static constexpr uint32_t kRepeatFloats = 64, kConstantFloats = 8, kMostFloats = 255 * kRepeatFloats;
  static constexpr float kFar = 14.0f;  // beyond, exp(-x^2 / 2) times anything is below what 16 bits can show
  static constexpr float kHuge = 1e30f;
  static constexpr float kOffset = 3.25f;
  static constexpr float kTop = 88.9641037f, kNext = -69.101944f;  // coefficients of -P for t^5 and t^4; the others:
  enum : uint32_t { kOne, kHalf, kThird, kSecond, kFirst, kZeroth, kConstants };
  static constexpr float kDensity = 0.398942280f;  // 1 / sqrt(2 pi)
  static constexpr float kLinear = 1.59576912f;    // 2 sqrt(2/pi)
  static constexpr float kCubic = 0.0713548163f;   // 2 sqrt(2/pi) 0.044715

 public:
  static constexpr uint32_t kForwardStrips = form == GeluForm::kErf ? 3 : 2;
  static constexpr uint32_t kBackwardStrips = 4;

  // Scratch strips `pitch` floats apart. A pitch of 512 n + 256 bytes keeps neighbours in different bank groups.
  struct Scratch {
    LocalTensor<float> base;
    uint32_t pitch;
    __aicore__ inline LocalTensor<float> operator[](uint32_t i) const { return base[i * pitch]; }
  };

  __aicore__ inline explicit Gelu(TPipe& pipe) {
    pipe.InitBuffer(constants_, kConstants * kConstantFloats * sizeof(float));
    const float values[kConstants] = {1.0f, 0.5f, -0.718166471f, -4.69533634f, -1.25372112f, -0.399764478f};
    for (uint32_t i = 0; i < kConstants; ++i) {
      Duplicate(Constant(i), values[i], static_cast<int32_t>(kConstantFloats));  // read behind later barriers only
    }
  }

  // y = gelu(x). y and x may be the same strip; x is destroyed. Uses the first kForwardStrips of scratch. As with any
  // instruction, who reads the results on the vector pipe puts a barrier before.
  __aicore__ inline void Forward(const LocalTensor<float>& y, const LocalTensor<float>& x, const Scratch& scratch,
                                 int32_t count) {
    if constexpr (form == GeluForm::kErf) {
      const LocalTensor<float> a = scratch[0], e = scratch[1], t = scratch[2], p = a;
      StartErf(a, e, t, x, count);
      Mul(e, e, a, count);
      PipeBarrier<PIPE_V>();
      Mul(e, e, t, count);
      Polynomial(p, t, count);  // a has gone into e
      Mul(e, e, p, count);
      Relu(x, x, count);
      PipeBarrier<PIPE_V>();
      Add(y, x, e, count);
    } else {
      const LocalTensor<float> e = scratch[0], finite = scratch[1];
      StartTanh(e, finite, x, count);
      Div(y, finite, e, count);
    }
  }

  // y = gelu(x) and, in a strip of scratch, which it returns, gelu'(x). y and x may be the same strip; x is destroyed.
  // Uses the first kBackwardStrips of scratch.
  __aicore__ inline LocalTensor<float> Differentiate(const LocalTensor<float>& y, const LocalTensor<float>& x,
                                                     const Scratch& scratch, int32_t count) {
    if constexpr (form == GeluForm::kErf) {
      return DifferentiateErf(y, x, scratch, count);
    } else {
      return DifferentiateTanh(y, x, scratch, count);
    }
  }

 private:
  // gelu' = 1/2 + sign(x) (1/2 - v).
  __aicore__ inline LocalTensor<float> DifferentiateErf(const LocalTensor<float>& y, const LocalTensor<float>& x,
                                                        const Scratch& scratch, int32_t count) {
    const LocalTensor<float> a = scratch[0], e = scratch[1], t = scratch[2], p = scratch[3];
    const LocalTensor<float> ae = a, rest = e, sign = t;
    StartErf(a, e, t, x, count);
    Mul(ae, a, e, count);
    PipeBarrier<PIPE_V>();
    Polynomial(p, t, count);
    Mul(p, p, t, count);
    PipeBarrier<PIPE_V>();
    MultiplyAdd(rest, p, kHalf, count);  // 1/2 - Phi(-a)
    Mul(p, p, ae, count);
    Muls(sign, x, kHuge, count);
    Relu(x, x, count);
    PipeBarrier<PIPE_V>();
    Axpy(rest, ae, kDensity, count);
    Add(y, x, p, count);
    Maxs(sign, sign, -1.0f, count);
    PipeBarrier<PIPE_V>();
    Mins(sign, sign, 1.0f, count);  // in between only for |x| < 1e-30, where the rest is zero anyway
    PipeBarrier<PIPE_V>();
    MultiplyAdd(sign, rest, kHalf, count);
    return sign;
  }

  // gelu' = s + s (1 - s) slope, where slope is x times the derivative of the sigmoid's argument.
  __aicore__ inline LocalTensor<float> DifferentiateTanh(const LocalTensor<float>& y, const LocalTensor<float>& x,
                                                         const Scratch& scratch, int32_t count) {
    const LocalTensor<float> s = scratch[0], finite = scratch[1], near = scratch[2], slope = scratch[3];
    const LocalTensor<float> rest = x;
    Mins(near, x, kFar, count);
    StartTanh(s, finite, x, count);
    Divide(s, count);
    Maxs(near, near, -kFar, count);
    PipeBarrier<PIPE_V>();
    Mul(slope, near, near, count);
    Mul(rest, s, s, count);
    PipeBarrier<PIPE_V>();
    Muls(slope, slope, 3.0f * kCubic, count);
    Sub(rest, s, rest, count);
    PipeBarrier<PIPE_V>();
    Adds(slope, slope, kLinear, count);
    Mul(rest, rest, near, count);
    PipeBarrier<PIPE_V>();
    FusedMulAdd(slope, rest, s, count);
    Mul(y, finite, s, count);
    return slope;
  }

  // a = min(|x|, kFar); e = exp(-x^2 / 2); t = 1 / (a + 13/4), which needs a barrier yet.
  __aicore__ inline void StartErf(const LocalTensor<float>& a, const LocalTensor<float>& e, const LocalTensor<float>& t,
                                  const LocalTensor<float>& x, int32_t count) {
    Abs(a, x, count);
    Mul(e, x, x, count);
    PipeBarrier<PIPE_V>();
    Mins(a, a, kFar, count);
    Muls(e, e, -0.5f, count);
    PipeBarrier<PIPE_V>();
    Adds(t, a, kOffset, count);
    Exp(e, e, count);
    PipeBarrier<PIPE_V>();
    Divide(t, count);
  }

  // p = -P(t).
  __aicore__ inline void Polynomial(const LocalTensor<float>& p, const LocalTensor<float>& t, int32_t count) {
    Muls(p, t, kTop, count);
    PipeBarrier<PIPE_V>();
    Adds(p, p, kNext, count);
    PipeBarrier<PIPE_V>();
    for (uint32_t i = kThird; i <= kZeroth; ++i) {
      MultiplyAdd(p, t, i, count);
      PipeBarrier<PIPE_V>();
    }
  }

  // e = 1 + exp(-2 sqrt(2/pi) (x + 0.044715 x^3)); finite = x, but not -inf, which times 0 would be no number.
  __aicore__ inline void StartTanh(const LocalTensor<float>& e, const LocalTensor<float>& finite,
                                   const LocalTensor<float>& x, int32_t count) {
    Mul(e, x, x, count);
    PipeBarrier<PIPE_V>();
    Muls(e, e, -kCubic, count);
    PipeBarrier<PIPE_V>();
    Adds(e, e, -kLinear, count);
    PipeBarrier<PIPE_V>();
    Mul(e, e, x, count);
    Maxs(finite, x, -kHuge, count);
    PipeBarrier<PIPE_V>();
    Exp(e, e, count);
    PipeBarrier<PIPE_V>();
    Adds(e, e, 1.0f, count);
    PipeBarrier<PIPE_V>();
  }

  // One instruction repeats at most 255 times; what does not fill a repeat goes into one of its own.
  struct Repeats {
    uint32_t whole, done, rest;
    __aicore__ inline explicit Repeats(uint32_t count) {
      const uint32_t now = count < kMostFloats ? count : kMostFloats;
      whole = now / kRepeatFloats;
      done = whole * kRepeatFloats;
      rest = now - done;
    }
  };

  // t = 1 / t.
  __aicore__ inline void Divide(const LocalTensor<float>& t, int32_t count) {
    const BinaryRepeatParams p(1, 0, 1, 8, 0, 8);
    for (uint32_t at = 0; at < static_cast<uint32_t>(count); at += kMostFloats) {
      const Repeats r(static_cast<uint32_t>(count) - at);
      Div(t[at], Constant(kOne), t[at], kRepeatFloats, r.whole, p);
      if (r.rest > 0) Div(t[at + r.done], Constant(kOne), t[at + r.done], r.rest, 1, p);
    }
  }

  // p = p * t + constant.
  __aicore__ inline void MultiplyAdd(const LocalTensor<float>& p, const LocalTensor<float>& t, uint32_t constant,
                                     int32_t count) {
    const BinaryRepeatParams params(1, 1, 0, 8, 8, 0);
    for (uint32_t at = 0; at < static_cast<uint32_t>(count); at += kMostFloats) {
      const Repeats r(static_cast<uint32_t>(count) - at);
      FusedMulAdd(p[at], t[at], Constant(constant), kRepeatFloats, r.whole, params);
      if (r.rest > 0) FusedMulAdd(p[at + r.done], t[at + r.done], Constant(constant), r.rest, 1, params);
    }
  }

  __aicore__ inline LocalTensor<float> Constant(uint32_t i) { return constants_.Get<float>()[i * kConstantFloats]; }

  TBuf<TPosition::VECCALC> constants_;
};

}  // namespace vit

// The table of kernels that each instruction set fills in, and the arguments they take.
//
// Sizes have been checked by the caller (api.cpp); rows, batch and tokens may be zero, the others not. A
// kernel returns false only when it could not get its scratch memory, before it has written anything.
#pragma once

#include <stdint.h>

namespace vit {

struct LayerNormForward {
  const float *x, *residual, *gamma, *beta;  // residual null: plain layer_norm
  float epsilon;
  float *sum, *y, *mean, *rstd;  // sum = x + residual, null without residual
  int64_t rows, width;
};

struct LayerNormBackward {
  const float *dsum, *dy, *x, *gamma, *mean, *rstd;  // dsum null: plain layer_norm
  float *dx, *dgamma, *dbeta;
  int64_t rows, width;
};

struct AttentionForward {
  const float* qkv;
  float scale;
  float *out, *lse;
  int64_t batch, tokens, heads, head_dim;
};

struct AttentionBackward {
  const float *dout, *qkv, *out, *lse;
  float scale;
  float* dqkv;
  int64_t batch, tokens, heads, head_dim;
};

struct LinearForward {
  const float *x, *weight, *bias, *residual, *scale;  // the last three may be null
  float* y;
  int64_t rows, in, out;
};

struct LinearBackward {
  const float *dy, *x, *weight, *bias, *scale;  // bias is read only for dscale
  float *dx, *dweight, *dbias, *dscale;         // null when not wanted; dscale needs dweight
  int64_t rows, in, out;
};

struct MlpForward {
  const float *x, *w1, *b1, *w2, *b2;
  float *y, *h;  // h null: inference, the pre-activation is not kept
  int64_t rows, in, hidden, out;
  bool tanh;
};

struct MlpBackward {
  const float *dy, *x, *h, *w1, *w2;
  float *dx, *dw1, *db1, *dw2, *db2;
  int64_t rows, in, hidden, out;
  bool tanh;
};

struct AdamW {
  float *w, *m, *v;  // updated in place
  const float* gradient;
  float rate, decay, gain1, gain2, epsilon, correction1, correction2;  // see vit_cpu.h
  int64_t size;
};

struct Kernels {
  const char* isa;
  bool (*layer_norm_forward)(const LayerNormForward&);
  bool (*layer_norm_backward)(const LayerNormBackward&);
  bool (*attention_forward)(const AttentionForward&);
  bool (*attention_backward)(const AttentionBackward&);
  bool (*linear_forward)(const LinearForward&);
  bool (*linear_backward)(const LinearBackward&);
  bool (*mlp_forward)(const MlpForward&);
  bool (*mlp_backward)(const MlpBackward&);
  bool (*adamw)(const AdamW&);
};

const Kernels& active_kernels();

#define VIT_DECLARE_ISA(name)    \
  namespace name {               \
  extern const Kernels kKernels; \
  }
#if defined(__x86_64__)
VIT_DECLARE_ISA(baseline)
VIT_DECLARE_ISA(avx2)
VIT_DECLARE_ISA(avx512)
#elif defined(__aarch64__)
VIT_DECLARE_ISA(neon)
#else
VIT_DECLARE_ISA(baseline)
#endif
#undef VIT_DECLARE_ISA

}  // namespace vit

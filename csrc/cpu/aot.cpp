// The entry points that MindSpore's ops.Custom(func_type="aot") calls, on top of the plain ones.
//
// MindSpore passes inputs then outputs as arrays of pointers, ranks, shapes and dtype names. The Python
// wrappers have already checked everything and say what is wrong in words; the checks here are the last line,
// so that a caller that goes around them gets an error code and not a crash.
#include <string.h>

#include "vit_cpu.h"

namespace {

// Reads the arguments in order; any mismatch sticks in `error`.
class Arguments {
 public:
  Arguments(int count, void** data, int* ranks, int64_t** shapes, const char** dtypes, int expected)
      : data_(data), ranks_(ranks), shapes_(shapes) {
    if (count != expected) {
      error = VIT_ERROR_COUNT;
      return;
    }
    for (int i = 0; i < count; ++i) {
      if (strcmp(dtypes[i], "float32") != 0) error = VIT_ERROR_DTYPE;
    }
  }
  explicit operator bool() const { return error == VIT_OK; }

  int64_t rank(int i) const { return ranks_[i]; }
  int64_t dim(int i, int axis) const { return shapes_[i][axis < 0 ? ranks_[i] + axis : axis]; }
  int64_t elements(int i) const {
    int64_t product = 1;
    for (int axis = 0; axis < ranks_[i]; ++axis) product *= shapes_[i][axis];
    return product;
  }
  int64_t last(int i) {
    require(ranks_[i] >= 1);
    return error ? 0 : dim(i, -1);
  }
  int64_t rows(int i) {  // product of the leading dimensions
    require(ranks_[i] >= 1);
    int64_t product = 1;
    for (int axis = 0; axis + 1 < ranks_[i]; ++axis) product *= shapes_[i][axis];
    return product;
  }

  void require(bool holds) {
    if (!holds && error == VIT_OK) error = VIT_ERROR_SHAPE;
  }
  // The next array, which must hold `size` elements.
  float* next(int64_t size) {
    require(elements(next_) == size);
    return static_cast<float*>(data_[next_++]);
  }
  float scalar() {
    const float* const p = next(1);
    return error ? 0.0f : *p;
  }

  int error = VIT_OK;

 private:
  void** data_;
  int* ranks_;
  int64_t** shapes_;
  int next_ = 0;
};

#define VIT_AOT_PARAMETERS                                                                      \
  int count, void **data, int *ranks, int64_t **shapes, const char **dtypes, void * /*stream*/, \
      void * /*extra*/
#define VIT_AOT_ARGUMENTS(expected)                          \
  Arguments a(count, data, ranks, shapes, dtypes, expected); \
  if (!a) return a.error

template <bool kTanh, bool kKeep>
int mlp_forward(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(kKeep ? 7 : 6);
  const int64_t rows = a.rows(0), in = a.last(0), hidden = a.last(2), out = a.last(4);
  const float *x = a.next(rows * in), *w1 = a.next(hidden * in), *b1 = a.next(hidden);
  const float *w2 = a.next(out * hidden), *b2 = a.next(out);
  float* const y = a.next(rows * out);
  float* const h = kKeep ? a.next(rows * hidden) : nullptr;
  if (!a) return a.error;
  return vit_gelu_mlp_forward(x, w1, b1, w2, b2, y, h, rows, in, hidden, out, kTanh);
}

template <bool kTanh>
int mlp_backward(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(10);
  const int64_t rows = a.rows(0), out = a.last(0), in = a.last(1), hidden = a.last(2);
  const float *dy = a.next(rows * out), *x = a.next(rows * in), *h = a.next(rows * hidden);
  const float *w1 = a.next(hidden * in), *w2 = a.next(out * hidden);
  float *dx = a.next(rows * in), *dw1 = a.next(hidden * in), *db1 = a.next(hidden);
  float *dw2 = a.next(out * hidden), *db2 = a.next(out);
  if (!a) return a.error;
  return vit_gelu_mlp_backward(dy, x, h, w1, w2, dx, dw1, db1, dw2, db2, rows, in, hidden, out, kTanh);
}

template <bool kBias, bool kResidual, bool kScale>
int linear_forward(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(3 + kBias + kResidual + kScale);
  const int64_t rows = a.rows(0), in = a.last(0);
  a.require(a.rank(1) == 2);
  if (!a) return a.error;
  const int64_t out = a.dim(1, 0);
  const float *x = a.next(rows * in), *w = a.next(out * in);
  const float* const bias = kBias ? a.next(out) : nullptr;
  const float* const residual = kResidual ? a.next(rows * out) : nullptr;
  const float* const scale = kScale ? a.next(out) : nullptr;
  float* const y = a.next(rows * out);
  if (!a) return a.error;
  return vit_linear_forward(x, w, bias, residual, scale, y, rows, in, out);
}

template <bool kBias, bool kScale>
int linear_backward(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(5 + 2 * kBias + 2 * kScale);
  const int64_t rows = a.rows(0), out = a.last(0), in = a.last(1);
  const float *dy = a.next(rows * out), *x = a.next(rows * in), *w = a.next(out * in);
  const float* const bias = kBias ? a.next(out) : nullptr;
  const float* const scale = kScale ? a.next(out) : nullptr;
  float *dx = a.next(rows * in), *dw = a.next(out * in);
  float* const dbias = kBias ? a.next(out) : nullptr;
  float* const dscale = kScale ? a.next(out) : nullptr;
  if (!a) return a.error;
  return vit_linear_backward(dy, x, w, bias, scale, dx, dw, dbias, dscale, rows, in, out);
}

// The gradients one by one, so that a graph in which nobody uses one leaves its operator out.
int linear_input_gradient(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(3);
  const int64_t rows = a.rows(0), out = a.last(0), in = a.last(1);
  const float *dy = a.next(rows * out), *w = a.next(out * in);
  float* const dx = a.next(rows * in);
  if (!a) return a.error;
  return vit_linear_backward(dy, nullptr, w, nullptr, nullptr, dx, nullptr, nullptr, nullptr, rows, in, out);
}
int linear_weight_gradient(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(4);
  const int64_t rows = a.rows(0), out = a.last(0), in = a.last(1);
  const float *dy = a.next(rows * out), *x = a.next(rows * in);
  float *dw = a.next(out * in), *dbias = a.next(out);
  if (!a) return a.error;
  return vit_linear_backward(dy, x, nullptr, nullptr, nullptr, nullptr, dw, dbias, nullptr, rows, in, out);
}

}  // namespace

extern "C" {

VIT_API int VitLayerNormForward(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(7);
  const int64_t rows = a.rows(0), width = a.last(0);
  const float *x = a.next(rows * width), *gamma = a.next(width), *beta = a.next(width);
  const float epsilon = a.scalar();
  float *y = a.next(rows * width), *mean = a.next(rows), *rstd = a.next(rows);
  if (!a) return a.error;
  return vit_layer_norm_forward(x, gamma, beta, epsilon, y, mean, rstd, rows, width);
}

VIT_API int VitLayerNormBackward(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(8);
  const int64_t rows = a.rows(0), width = a.last(0);
  const float *dy = a.next(rows * width), *x = a.next(rows * width), *gamma = a.next(width);
  const float *mean = a.next(rows), *rstd = a.next(rows);
  float *dx = a.next(rows * width), *dgamma = a.next(width), *dbeta = a.next(width);
  if (!a) return a.error;
  return vit_layer_norm_backward(dy, x, gamma, mean, rstd, dx, dgamma, dbeta, rows, width);
}

VIT_API int VitAddLayerNormForward(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(9);
  const int64_t rows = a.rows(0), width = a.last(0);
  const float *x = a.next(rows * width), *residual = a.next(rows * width);
  const float *gamma = a.next(width), *beta = a.next(width);
  const float epsilon = a.scalar();
  float *sum = a.next(rows * width), *y = a.next(rows * width), *mean = a.next(rows), *rstd = a.next(rows);
  if (!a) return a.error;
  return vit_add_layer_norm_forward(x, residual, gamma, beta, epsilon, sum, y, mean, rstd, rows, width);
}

VIT_API int VitAddLayerNormBackward(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(9);
  const int64_t rows = a.rows(0), width = a.last(0);
  const float *dsum = a.next(rows * width), *dy = a.next(rows * width), *sum = a.next(rows * width);
  const float *gamma = a.next(width), *mean = a.next(rows), *rstd = a.next(rows);
  float *dx = a.next(rows * width), *dgamma = a.next(width), *dbeta = a.next(width);
  if (!a) return a.error;
  return vit_add_layer_norm_backward(dsum, dy, sum, gamma, mean, rstd, dx, dgamma, dbeta, rows, width);
}

VIT_API int VitAttentionForward(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(4);
  a.require(a.rank(0) == 5 && a.dim(0, 2) == 3);
  if (!a) return a.error;
  const int64_t batch = a.dim(0, 0), tokens = a.dim(0, 1), heads = a.dim(0, 3), head_dim = a.dim(0, 4);
  const int64_t size = batch * tokens * heads * head_dim;
  const float* const qkv = a.next(3 * size);
  const float scale = a.scalar();
  float *out = a.next(size), *lse = a.next(batch * heads * tokens);
  if (!a) return a.error;
  return vit_attention_forward(qkv, scale, out, lse, batch, tokens, heads, head_dim);
}

VIT_API int VitAttentionBackward(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(6);
  a.require(a.rank(1) == 5 && a.dim(1, 2) == 3);
  if (!a) return a.error;
  const int64_t batch = a.dim(1, 0), tokens = a.dim(1, 1), heads = a.dim(1, 3), head_dim = a.dim(1, 4);
  const int64_t size = batch * tokens * heads * head_dim;
  const float *dout = a.next(size), *qkv = a.next(3 * size), *out = a.next(size);
  const float* const lse = a.next(batch * heads * tokens);
  const float scale = a.scalar();
  float* const dqkv = a.next(3 * size);
  if (!a) return a.error;
  return vit_attention_backward(dout, qkv, out, lse, scale, dqkv, batch, tokens, heads, head_dim);
}

// Writes its first three inputs, which MindSpore knows by the primitive's signature (vit_kernels/ops/adamw.py).
// `step` is what changes from step to step, `group` what belongs to a group of parameters.
VIT_API int VitAdamW(VIT_AOT_PARAMETERS) {
  VIT_AOT_ARGUMENTS(7);
  const int64_t size = a.elements(0);
  float *w = a.next(size), *m = a.next(size), *v = a.next(size);
  const float *gradient = a.next(size), *step = a.next(3), *group = a.next(5);
  float* const done = a.next(1);
  if (!a) return a.error;
  const float rate = step[0] * group[0], correction1 = step[1], correction2 = step[2];
  const float decay = group[1], gain1 = group[2], gain2 = group[3], epsilon = group[4];
  *done = 1.0f;
  return vit_adamw(w, m, v, gradient, rate, decay, gain1, gain2, epsilon, correction1, correction2, size);
}

#define VIT_AOT(symbol, function)                                       \
  VIT_API int symbol(VIT_AOT_PARAMETERS_NAMED) {                        \
    return function(count, data, ranks, shapes, dtypes, stream, extra); \
  }
#define VIT_AOT_PARAMETERS_NAMED \
  int count, void **data, int *ranks, int64_t **shapes, const char **dtypes, void *stream, void *extra

VIT_AOT(VitGeluMlpForwardErf, (mlp_forward<false, true>))
VIT_AOT(VitGeluMlpForwardTanh, (mlp_forward<true, true>))
VIT_AOT(VitGeluMlpInferenceErf, (mlp_forward<false, false>))
VIT_AOT(VitGeluMlpInferenceTanh, (mlp_forward<true, false>))
VIT_AOT(VitGeluMlpBackwardErf, mlp_backward<false>)
VIT_AOT(VitGeluMlpBackwardTanh, mlp_backward<true>)

VIT_AOT(VitLinearForward, (linear_forward<false, false, false>))
VIT_AOT(VitLinearForwardB, (linear_forward<true, false, false>))
VIT_AOT(VitLinearForwardR, (linear_forward<false, true, false>))
VIT_AOT(VitLinearForwardS, (linear_forward<false, false, true>))
VIT_AOT(VitLinearForwardBR, (linear_forward<true, true, false>))
VIT_AOT(VitLinearForwardBS, (linear_forward<true, false, true>))
VIT_AOT(VitLinearForwardRS, (linear_forward<false, true, true>))
VIT_AOT(VitLinearForwardBRS, (linear_forward<true, true, true>))
VIT_AOT(VitLinearBackward, (linear_backward<false, false>))
VIT_AOT(VitLinearBackwardB, (linear_backward<true, false>))
VIT_AOT(VitLinearBackwardS, (linear_backward<false, true>))
VIT_AOT(VitLinearBackwardBS, (linear_backward<true, true>))
VIT_AOT(VitLinearInputGradient, linear_input_gradient)
VIT_AOT(VitLinearWeightGradient, linear_weight_gradient)

}  // extern "C"

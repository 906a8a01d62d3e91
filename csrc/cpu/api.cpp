// The plain C entry points of vit_cpu.h: check sizes, refuse forked children, call the chosen instruction
// set.
#include <initializer_list>

#include "kernels.h"
#include "runtime.h"
#include "vit_cpu.h"

namespace {

// Large enough for any real tensor and small enough that no product of three sizes below overflows.
constexpr int64_t kMaxElements = int64_t{1} << 44;

// Whether a tensor of these sizes can be addressed. `first` (rows, batch) may be zero, the others may not.
template <class... Sizes>
bool fits(int64_t first, Sizes... sizes) {
  int64_t room = kMaxElements;
  if (first < 0 || first > room) return false;
  if (first > 0) room /= first;
  for (const int64_t size : {static_cast<int64_t>(sizes)...}) {
    if (size < 1 || size > room) return false;
    room /= size;
  }
  return true;
}

template <class Arguments>
int run(bool sizes_fit, bool (*vit::Kernels::*kernel)(const Arguments&), const Arguments& arguments) {
  if (!sizes_fit) return VIT_ERROR_SHAPE;
  if (vit::forked()) return VIT_ERROR_FORKED;
  return (vit::active_kernels().*kernel)(arguments) ? VIT_OK : VIT_ERROR_MEMORY;
}

}  // namespace

extern "C" {

int vit_layer_norm_forward(const float* x, const float* gamma, const float* beta, float epsilon, float* y,
                           float* mean, float* rstd, int64_t rows, int64_t width) {
  return run(fits(rows, width), &vit::Kernels::layer_norm_forward,
             {x, nullptr, gamma, beta, epsilon, nullptr, y, mean, rstd, rows, width});
}

int vit_layer_norm_backward(const float* dy, const float* x, const float* gamma, const float* mean,
                            const float* rstd, float* dx, float* dgamma, float* dbeta, int64_t rows,
                            int64_t width) {
  return run(fits(rows, width), &vit::Kernels::layer_norm_backward,
             {nullptr, dy, x, gamma, mean, rstd, dx, dgamma, dbeta, rows, width});
}

int vit_add_layer_norm_forward(const float* x, const float* residual, const float* gamma, const float* beta,
                               float epsilon, float* sum, float* y, float* mean, float* rstd, int64_t rows,
                               int64_t width) {
  return run(fits(rows, width), &vit::Kernels::layer_norm_forward,
             {x, residual, gamma, beta, epsilon, sum, y, mean, rstd, rows, width});
}

int vit_add_layer_norm_backward(const float* dsum, const float* dy, const float* sum, const float* gamma,
                                const float* mean, const float* rstd, float* dx, float* dgamma, float* dbeta,
                                int64_t rows, int64_t width) {
  return run(fits(rows, width), &vit::Kernels::layer_norm_backward,
             {dsum, dy, sum, gamma, mean, rstd, dx, dgamma, dbeta, rows, width});
}

int vit_attention_forward(const float* qkv, float scale, float* out, float* lse, int64_t batch,
                          int64_t tokens, int64_t heads, int64_t head_dim) {
  if (tokens == 0) return batch >= 0 && heads > 0 && head_dim > 0 ? VIT_OK : VIT_ERROR_SHAPE;
  return run(fits(batch, tokens, 3, heads, head_dim), &vit::Kernels::attention_forward,
             {qkv, scale, out, lse, batch, tokens, heads, head_dim});
}

int vit_attention_backward(const float* dout, const float* qkv, const float* out, const float* lse,
                           float scale, float* dqkv, int64_t batch, int64_t tokens, int64_t heads,
                           int64_t head_dim) {
  if (tokens == 0) return batch >= 0 && heads > 0 && head_dim > 0 ? VIT_OK : VIT_ERROR_SHAPE;
  return run(fits(batch, tokens, 3, heads, head_dim), &vit::Kernels::attention_backward,
             {dout, qkv, out, lse, scale, dqkv, batch, tokens, heads, head_dim});
}

int vit_linear_forward(const float* x, const float* w, const float* bias, const float* residual,
                       const float* scale, float* y, int64_t rows, int64_t in, int64_t out) {
  return run(fits(rows, in) && fits(rows, out) && fits(in, out), &vit::Kernels::linear_forward,
             {x, w, bias, residual, scale, y, rows, in, out});
}

int vit_linear_backward(const float* dy, const float* x, const float* w, const float* bias,
                        const float* scale, float* dx, float* dw, float* dbias, float* dscale, int64_t rows,
                        int64_t in, int64_t out) {
  const bool whole = scale ? dscale && dw : !dscale;
  return run(fits(rows, in) && fits(rows, out) && fits(in, out) && whole, &vit::Kernels::linear_backward,
             {dy, x, w, bias, scale, dx, dw, dbias, dscale, rows, in, out});
}

int vit_gelu_mlp_forward(const float* x, const float* w1, const float* b1, const float* w2, const float* b2,
                         float* y, float* h, int64_t rows, int64_t in, int64_t hidden, int64_t out,
                         int tanh) {
  return run(fits(rows, in) && fits(rows, hidden) && fits(rows, out) && fits(in, hidden) && fits(hidden, out),
             &vit::Kernels::mlp_forward, {x, w1, b1, w2, b2, y, h, rows, in, hidden, out, tanh != 0});
}

int vit_gelu_mlp_backward(const float* dy, const float* x, const float* h, const float* w1, const float* w2,
                          float* dx, float* dw1, float* db1, float* dw2, float* db2, int64_t rows, int64_t in,
                          int64_t hidden, int64_t out, int tanh) {
  return run(fits(rows, in) && fits(rows, hidden) && fits(rows, out) && fits(in, hidden) && fits(hidden, out),
             &vit::Kernels::mlp_backward,
             {dy, x, h, w1, w2, dx, dw1, db1, dw2, db2, rows, in, hidden, out, tanh != 0});
}

int vit_adamw(float* w, float* m, float* v, const float* gradient, float rate, float decay, float gain1,
              float gain2, float epsilon, float correction1, float correction2, int64_t size) {
  return run(fits(size, 1), &vit::Kernels::adamw,
             {w, m, v, gradient, rate, decay, gain1, gain2, epsilon, correction1, correction2, size});
}

}  // extern "C"

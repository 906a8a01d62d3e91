/* The public interface of libvit_cpu: plain C, no MindSpore headers.
 *
 * Every array is fp32, row-major, contiguous and need only be 4-byte aligned; outputs must not overlap
 * inputs. Leading dimensions are flattened into `rows`. A function returns VIT_OK or one of the errors below,
 * and on an error has written nothing. NaN and infinity propagate as in IEEE arithmetic. Functions may be
 * called from several threads at once. Results are the same bits for any number of threads and from run to
 * run; different instruction sets differ in rounding.
 */
#ifndef VIT_CPU_H_
#define VIT_CPU_H_

#include <stddef.h>
#include <stdint.h>

#define VIT_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

enum {
  VIT_OK = 0,
  VIT_ERROR_COUNT = 1,  /* wrong number of arrays (MindSpore entry points only) */
  VIT_ERROR_DTYPE = 2,  /* an array is not float32 (MindSpore entry points only) */
  VIT_ERROR_SHAPE = 3,  /* a size is negative, zero where it may not be, or does not fit the others */
  VIT_ERROR_FORKED = 4, /* called in a child of fork(), where OpenMP's threads do not exist; use spawn */
  VIT_ERROR_MEMORY = 5, /* no memory for scratch */
  VIT_ERROR_ISA = 6     /* vit_cpu_set_isa: this machine does not have that instruction set */
};

VIT_API const char* vit_cpu_version(void);
VIT_API const char* vit_cpu_isa(void);         /* in use: "baseline", "avx2", "avx512" or "neon" */
VIT_API const char* vit_cpu_isa_list(void);    /* what this machine can run, comma separated, best last */
VIT_API int vit_cpu_set_isa(const char* isa);  /* VIT_OK, or VIT_ERROR_ISA for one not in the list */
VIT_API const char* vit_cpu_error(void);       /* what is wrong with VIT_KERNELS_ISA, else "" */
VIT_API int vit_cpu_threads(void);             /* OMP_NUM_THREADS at start, else the cores it may use */
VIT_API void vit_cpu_set_threads(int threads); /* below 1: back to the default */
VIT_API size_t
vit_cpu_scratch_bytes(void); /* scratch memory now held; see docs/cpu-kernels.md for its bound */

/* y = (x - mean) rstd gamma + beta per row of `width`; mean and rstd (rows) are kept for the backward pass.
 */
VIT_API int vit_layer_norm_forward(const float* x, const float* gamma, const float* beta, float epsilon,
                                   float* y, float* mean, float* rstd, int64_t rows, int64_t width);
VIT_API int vit_layer_norm_backward(const float* dy, const float* x, const float* gamma, const float* mean,
                                    const float* rstd, float* dx, float* dgamma, float* dbeta, int64_t rows,
                                    int64_t width);

/* sum = x + residual, y = layer_norm(sum). dx is the gradient of x and of residual alike. */
VIT_API int vit_add_layer_norm_forward(const float* x, const float* residual, const float* gamma,
                                       const float* beta, float epsilon, float* sum, float* y, float* mean,
                                       float* rstd, int64_t rows, int64_t width);
VIT_API int vit_add_layer_norm_backward(const float* dsum, const float* dy, const float* sum,
                                        const float* gamma, const float* mean, const float* rstd, float* dx,
                                        float* dgamma, float* dbeta, int64_t rows, int64_t width);

/* out (batch, tokens, heads * head_dim) = softmax(Q K^T scale) V; qkv (batch, tokens, 3, heads, head_dim);
 * lse (batch, heads, tokens): logarithm of the sum of exponentials of each row of scores. */
VIT_API int vit_attention_forward(const float* qkv, float scale, float* out, float* lse, int64_t batch,
                                  int64_t tokens, int64_t heads, int64_t head_dim);
VIT_API int vit_attention_backward(const float* dout, const float* qkv, const float* out, const float* lse,
                                   float scale, float* dqkv, int64_t batch, int64_t tokens, int64_t heads,
                                   int64_t head_dim);

/* y (rows, out) = residual + scale * (x w^T + bias), x (rows, in), w (out, in). bias (out), scale (out) and
 * residual (rows, out) may be null. */
VIT_API int vit_linear_forward(const float* x, const float* w, const float* bias, const float* residual,
                               const float* scale, float* y, int64_t rows, int64_t in, int64_t out);
/* dx, dbias, and without a scale dw may be null: what nobody asks for is not computed, and x is read for dw
 * only. dscale is written if scale is given, and then bias is read if not null. The gradient of residual is dy.
 */
VIT_API int vit_linear_backward(const float* dy, const float* x, const float* w, const float* bias,
                                const float* scale, float* dx, float* dw, float* dbias, float* dscale,
                                int64_t rows, int64_t in, int64_t out);

/* y (rows, out) = GELU(x w1^T + b1) w2^T + b2, w1 (hidden, in), w2 (out, hidden). `tanh` non-zero selects the
 * tanh form of GELU. h (rows, hidden) receives x w1^T + b1; null for inference, which never stores it. */
VIT_API int vit_gelu_mlp_forward(const float* x, const float* w1, const float* b1, const float* w2,
                                 const float* b2, float* y, float* h, int64_t rows, int64_t in,
                                 int64_t hidden, int64_t out, int tanh);
VIT_API int vit_gelu_mlp_backward(const float* dy, const float* x, const float* h, const float* w1,
                                  const float* w2, float* dx, float* dw1, float* db1, float* dw2, float* db2,
                                  int64_t rows, int64_t in, int64_t hidden, int64_t out, int tanh);

/* One step of AdamW in place, for one array of parameters and its two moments:
 *   m += gain1 (g - m)   v += gain2 (g g - v)   w -= rate decay w + rate m / c1 / (sqrt(v) / c2 + epsilon)
 * with gain = 1 - beta, c1 = correction1 = 1 - beta1^t and c2 = correction2 = sqrt(1 - beta2^t). Gains rather
 * than betas: 1 - 0.999 computed in fp32 is off by 1e-5 of itself. */
VIT_API int vit_adamw(float* w, float* m, float* v, const float* gradient, float rate, float decay,
                      float gain1, float gain2, float epsilon, float correction1, float correction2,
                      int64_t size);

#ifdef __cplusplus
}
#endif

#endif /* VIT_CPU_H_ */

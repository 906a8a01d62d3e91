// sum = x + residual and y = layer_norm(sum) in one pass: apart, the sum would be written and read once more. See
// layer_norm.h.
#include "kernel_operator.h"

#include "layer_norm/op_kernel/layer_norm.h"

// x, residual, sum, y (rows, width); gamma, beta (width) of x's type or fp32; mean, rstd (rows) fp32.
extern "C" __global__ __aicore__ void vit_add_layer_norm(GM_ADDR x, GM_ADDR residual, GM_ADDR gamma, GM_ADDR beta,
                                                         GM_ADDR sum, GM_ADDR y, GM_ADDR mean, GM_ADDR rstd,
                                                         [[maybe_unused]] GM_ADDR workspace, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  REGISTER_TILING_DEFAULT(vit::LayerNormTiling);
  GET_TILING_DATA_WITH_STRUCT(vit::LayerNormTiling, t, tiling);
  AscendC::TPipe pipe;
  if (TILING_KEY_IS(1)) {
    vit::LayerNorm<half, true>(pipe, x, residual, gamma, beta, sum, y, mean, rstd, t).Run();
  } else if (TILING_KEY_IS(2)) {
    vit::LayerNorm<bfloat16_t, true>(pipe, x, residual, gamma, beta, sum, y, mean, rstd, t).Run();
  } else if (TILING_KEY_IS(3)) {
    vit::LayerNorm<float, true>(pipe, x, residual, gamma, beta, sum, y, mean, rstd, t).Run();
  }
}

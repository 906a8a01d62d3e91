// y = (x - mean) * rstd * gamma + beta per row, mean and rstd saved for the gradient. See layer_norm.h.
#include "kernel_operator.h"

#include "layer_norm/op_kernel/layer_norm.h"

// x, y (rows, width); gamma, beta (width) of x's type or fp32; mean, rstd (rows) fp32.
extern "C" __global__ __aicore__ void vit_layer_norm(GM_ADDR x, GM_ADDR gamma, GM_ADDR beta, GM_ADDR y, GM_ADDR mean,
                                                     GM_ADDR rstd, [[maybe_unused]] GM_ADDR workspace, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  REGISTER_TILING_DEFAULT(vit::LayerNormTiling);
  GET_TILING_DATA_WITH_STRUCT(vit::LayerNormTiling, t, tiling);
  AscendC::TPipe pipe;
  if (TILING_KEY_IS(1)) {
    vit::LayerNorm<half, false>(pipe, x, nullptr, gamma, beta, nullptr, y, mean, rstd, t).Run();
  } else if (TILING_KEY_IS(2)) {
    vit::LayerNorm<bfloat16_t, false>(pipe, x, nullptr, gamma, beta, nullptr, y, mean, rstd, t).Run();
  } else if (TILING_KEY_IS(3)) {
    vit::LayerNorm<float, false>(pipe, x, nullptr, gamma, beta, nullptr, y, mean, rstd, t).Run();
  }
}

// dx, dgamma and dbeta of a layer norm from dy, x and the statistics that the forward saved. See layer_norm_grad.h.
#include "kernel_operator.h"

#include "layer_norm_grad/op_kernel/layer_norm_grad.h"

// dy, x, dx (rows, width); gamma (width) of x's type or fp32; mean, rstd (rows), dgamma, dbeta (width) fp32.
extern "C" __global__ __aicore__ void vit_layer_norm_grad(GM_ADDR dy, GM_ADDR x, GM_ADDR gamma, GM_ADDR mean,
                                                          GM_ADDR rstd, GM_ADDR dx, GM_ADDR dgamma, GM_ADDR dbeta,
                                                          GM_ADDR workspace, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIV_1_0);
  REGISTER_TILING_DEFAULT(vit::LayerNormTiling);
  GET_TILING_DATA_WITH_STRUCT(vit::LayerNormTiling, t, tiling);
  if (TILING_KEY_IS(1)) {
    vit::RunLayerNormGrad<half, false>(nullptr, dy, x, gamma, mean, rstd, dx, dgamma, dbeta, workspace, t);
  } else if (TILING_KEY_IS(2)) {
    vit::RunLayerNormGrad<bfloat16_t, false>(nullptr, dy, x, gamma, mean, rstd, dx, dgamma, dbeta, workspace, t);
  } else if (TILING_KEY_IS(3)) {
    vit::RunLayerNormGrad<float, false>(nullptr, dy, x, gamma, mean, rstd, dx, dgamma, dbeta, workspace, t);
  }
}

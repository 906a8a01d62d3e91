// Gradient of y = residual + scale * (x w^T + b). With G = dy^T x and s the column sums of dy:
//
//   dx = dy (scale w)     dw = scale G     db = scale s     dscale_j = w_j . G_j + b_j s_j
//
// so two products are enough, y is not needed, and dy is never multiplied by scale. The residual's gradient is dy
// itself.
//
//   cube     G, cut along the rows of x where it has too few tiles for all cores  | dx
//                                                          \ summands of G (L2)       \ tiles through a ring (with
//                                                          scale)
//   vector   scale w -> L2 | column sums of dy             | dw, db, dscale, between the tiles of dx
//            (barrier of the vector cores)     (barrier of the vector cores)
//
// The cube never waits for the vector cores of others: it turns to dx while they add up the summands. A weight of
// 768 x 768 has 18 tiles of 128 x 256 for 24 cores; cut into four sums over a quarter of the rows they are 72, three
// for each core. Nothing is added atomically: what several cores contribute to is added up in the order of the cores,
// in fp32, so gradients repeat to the bit. dw, db and dscale are float32: they are what an optimizer accumulates.
#include "kernel_operator.h"

#include "gradient_sums.h"
#include "input_grad_vector.h"
#include "linear_grad_cube.h"
#include "parameter_grads.h"
#include "scaled_weight.h"

namespace vit {

template <typename T>
__aicore__ inline void LinearGrad(GM_ADDR dy, GM_ADDR x, GM_ADDR w, GM_ADDR b, GM_ADDR scale, GM_ADDR dx, GM_ADDR dw,
                                  GM_ADDR db, GM_ADDR dscale, GM_ADDR workspace, const LinearGradTiling& t) {
  TPipe pipe;
  const bool scaled = (t.epilogue & kLinearScale) != 0;
  if ASCEND_IS_AIC {
    WeightGradCube<T>(dy, x, dw, workspace, t).Run(pipe);
    pipe.Reset();
    InputGradCube<T>(dy, w, dx, workspace, t).Run(pipe);
  }
  if ASCEND_IS_AIV {
    float factor = 1.0f;
    if (scaled) {
      factor = ScaledWeight<T>(pipe, w, scale, workspace, t).Run();
      SyncAll();
      CrossCoreSetFlag<2, PIPE_MTE3>(kWeightScaled);
      pipe.Reset();
    }
    GradientSums<T>(pipe, dy, workspace, t).Run();
    if (t.direct == 0) CrossCoreWaitFlag(kSummandReady);
    SyncAll();
    pipe.Reset();
    ParameterGrads<T> parameters(pipe, w, b, scale, dw, db, dscale, workspace, t);
    if (scaled) {
      InputGradVector<T> input(pipe, dx, workspace, t, factor);
      for (uint32_t i = 0; i < input.Count(); ++i) {
        input.Product(i);
        parameters.Advance(i + 1, input.Count());
      }
    }
    parameters.Advance(1, 1);
  }
}

}  // namespace vit

// dy (rows, out); x (rows, in); w (out, in); optional: b (out), needed for dscale only, and scale (out). dx (rows, in)
// of x's dtype; dw (out, in), db (out) fp32; dscale (out) fp32, or one zero without a scale.
extern "C" __global__ __aicore__ void vit_linear_grad(GM_ADDR dy, GM_ADDR x, GM_ADDR w, GM_ADDR b, GM_ADDR scale,
                                                      GM_ADDR dx, GM_ADDR dw, GM_ADDR db, GM_ADDR dscale,
                                                      GM_ADDR workspace, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
  REGISTER_TILING_DEFAULT(vit::LinearGradTiling);
  GET_TILING_DATA_WITH_STRUCT(vit::LinearGradTiling, t, tiling);
  if (TILING_KEY_IS(1)) {
    vit::LinearGrad<half>(dy, x, w, b, scale, dx, dw, db, dscale, workspace, t);
  } else if (TILING_KEY_IS(2)) {
    vit::LinearGrad<bfloat16_t>(dy, x, w, b, scale, dx, dw, db, dscale, workspace, t);
  }
}

// Gradient of fc2(gelu(fc1(x))) in one kernel, from the pre-activation h that the forward saved. Two phases, or three:
//
//   rows      cube     dh = dy w2: tiles of block i+1   |  dx = dpre w1: tiles of block i, in between
//                         \ fp32 tiles through a ring      ^
//             vector       dpre = dh gelu'(h), gelu(h), sums of dpre
//   SyncAll
//   weights   cube     dw1 = dpre^T x,  dw2 = dy^T gelu(h), summed over all rows, a tile on one core
//             vector   sums of dy; db1 and db2 from the cores' sums
//   SyncAll            (small weights: fewer tiles than cores, so their rows are split)
//   parts     vector   dw1 and dw2 from their parts
//
// The first phase deals rows as the forward does (see vit_gelu_mlp.cpp). dpre and gelu(h) go to the workspace once,
// since the weight gradients need them of all rows. All sums are fp32: a tile of dw1 or dw2 leaves L0C as it is, and
// what several cores contribute to is added up in a fixed order, so a gradient has the same bits every time.
#include "kernel_operator.h"

#include "bias_grads.h"
#include "row_grads_cube.h"
#include "row_grads_vector.h"
#include "weight_grads_cube.h"
#include "weight_sums.h"

namespace vit {

template <typename T, GeluForm form>
__aicore__ inline void GeluMlpGrad(GM_ADDR dy, GM_ADDR x, GM_ADDR h, GM_ADDR w1, GM_ADDR w2, GM_ADDR dx, GM_ADDR dw1,
                                   GM_ADDR db1, GM_ADDR dw2, GM_ADDR db2, GM_ADDR workspace,
                                   const GeluMlpGradTiling& t) {
  TPipe pipe;
  if ASCEND_IS_AIC {
    RowGradsCube<T>(dy, w1, w2, dx, workspace, t).Run(pipe);
  }
  if ASCEND_IS_AIV {
    RowGradsVector<T, form>(pipe, h, workspace, t).Run();
  }
  SyncAll<false>();
  pipe.Reset();
  if ASCEND_IS_AIC {
    WeightGradsCube<T>(dy, x, dw1, dw2, workspace, t).Run(pipe);
  }
  if ASCEND_IS_AIV {
    BiasGrads<T>(pipe, dy, db1, db2, workspace, t).Run();
  }
  if (t.parts == 1) return;
  SyncAll<false>();
  pipe.Reset();
  if ASCEND_IS_AIV {
    WeightSums<T>(pipe, dw1, dw2, workspace, t).Run();
  }
}

}  // namespace vit

// dy (rows, out); x (rows, width); h (rows, hidden); w1 (hidden, width); w2 (out, hidden); dx (rows, width) of x's
// dtype; dw1, db1, dw2, db2 fp32, of the shapes of the parameters.
extern "C" __global__ __aicore__ void vit_gelu_mlp_grad(GM_ADDR dy, GM_ADDR x, GM_ADDR h, GM_ADDR w1, GM_ADDR w2,
                                                        GM_ADDR dx, GM_ADDR dw1, GM_ADDR db1, GM_ADDR dw2, GM_ADDR db2,
                                                        GM_ADDR workspace, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
  REGISTER_TILING_DEFAULT(vit::GeluMlpGradTiling);
  GET_TILING_DATA_WITH_STRUCT(vit::GeluMlpGradTiling, t, tiling);
  if (TILING_KEY_IS(11)) {
    vit::GeluMlpGrad<half, vit::GeluForm::kErf>(dy, x, h, w1, w2, dx, dw1, db1, dw2, db2, workspace, t);
  } else if (TILING_KEY_IS(12)) {
    vit::GeluMlpGrad<bfloat16_t, vit::GeluForm::kErf>(dy, x, h, w1, w2, dx, dw1, db1, dw2, db2, workspace, t);
  } else if (TILING_KEY_IS(21)) {
    vit::GeluMlpGrad<half, vit::GeluForm::kTanh>(dy, x, h, w1, w2, dx, dw1, db1, dw2, db2, workspace, t);
  } else if (TILING_KEY_IS(22)) {
    vit::GeluMlpGrad<bfloat16_t, vit::GeluForm::kTanh>(dy, x, h, w1, w2, dx, dw1, db1, dw2, db2, workspace, t);
  }
}

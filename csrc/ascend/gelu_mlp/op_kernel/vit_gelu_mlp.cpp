// fc2(gelu(fc1(x))) in one kernel. Each AI Core owns a run of rows and takes them through both layers in blocks of up
// to 128 rows, so cores never wait for each other and the hidden activations of a block live in a piece of workspace of
// under a megabyte that stays in L2:
//
//   cube     x w1^T: tiles of a block (i+1)  |  h w2^T: tiles of block i, in between
//              \ fp32 tiles through a ring       ^          \ fp32 tiles through a ring
//   vector      + b1, GELU -> hidden (16 bit) ___|            + b2 -> y
//
// Why each core its own rows, at the price of every core reading all weights for every block: for 128 rows of ViT-B the
// two products take 128 * 768 * 3072 * 2 / 4096 = 147k cycles of the cube; the weights, 9.4 MB, come from L2 in 86k
// cycles at 110 B per cycle, hidden behind it. With all that passes through L1 (left panels again for each 256 columns,
// kept where they fit) it is 64 B per cycle in the first product and up to 105 in the second. Sharing columns instead
// would read the weights less often but put a barrier over all cores between the layers. HBM sees x, y, the weights
// once and, in training, the pre-activation.
//
// GELU costs the vector cores about 34 cycles per 64 elements, two thirds of what the cube needs for both products of
// the same elements; the order of the products (mlp_steps.h) spreads that work evenly.
#include "kernel_operator.h"

#include "gelu_mlp_cube.h"
#include "gelu_mlp_vector.h"

namespace vit {

template <typename T, GeluForm form>
__aicore__ inline void GeluMlp(GM_ADDR x, GM_ADDR w1, GM_ADDR b1, GM_ADDR w2, GM_ADDR b2, GM_ADDR y, GM_ADDR h,
                               GM_ADDR workspace, const GeluMlpTiling& t) {
  TPipe pipe;
  if ASCEND_IS_AIC {
    GeluMlpCube<T>(x, w1, w2, workspace, t).Run(pipe);
  }
  if ASCEND_IS_AIV {
    GeluMlpVector<T, form>(pipe, b1, b2, y, h, workspace, t).Run();
  }
}

}  // namespace vit

// x (rows, width); w1 (hidden, width), b1 (hidden); w2 (out, hidden), b2 (out); y (rows, out); h (rows, hidden): the
// pre-activation, written only when `save` is set.
extern "C" __global__ __aicore__ void vit_gelu_mlp(GM_ADDR x, GM_ADDR w1, GM_ADDR b1, GM_ADDR w2, GM_ADDR b2, GM_ADDR y,
                                                   GM_ADDR h, GM_ADDR workspace, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
  REGISTER_TILING_DEFAULT(vit::GeluMlpTiling);
  GET_TILING_DATA_WITH_STRUCT(vit::GeluMlpTiling, t, tiling);
  if (TILING_KEY_IS(11)) {
    vit::GeluMlp<half, vit::GeluForm::kErf>(x, w1, b1, w2, b2, y, h, workspace, t);
  } else if (TILING_KEY_IS(12)) {
    vit::GeluMlp<bfloat16_t, vit::GeluForm::kErf>(x, w1, b1, w2, b2, y, h, workspace, t);
  } else if (TILING_KEY_IS(21)) {
    vit::GeluMlp<half, vit::GeluForm::kTanh>(x, w1, b1, w2, b2, y, h, workspace, t);
  } else if (TILING_KEY_IS(22)) {
    vit::GeluMlp<bfloat16_t, vit::GeluForm::kTanh>(x, w1, b1, w2, b2, y, h, workspace, t);
  }
}

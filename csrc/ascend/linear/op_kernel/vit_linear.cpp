// y = residual + scale * (x w^T + b): one matrix product with everything that a transformer block puts around it. Apart
// the three would read and write y three times more, at a cost near that of the product itself for the widths of a ViT.
//
//   cube     tile i        | tile i+1        | tile i+2 ...          128 x 256, in halves of 128 columns
//              \ fp32 through a ring in L2
//   vector                 | + b, * scale, + residual -> y (i) | ...
//
// For the widths of a ViT the cube bounds the kernel: a half tile of 128 x 128 takes it 512 cycles for every 128 of the
// depth, the vector cores about 1400 with all there is to fetch and add. What comes on top of the product's own traffic
// stays in L2 (a ring of 256 KB per core). A product without bias, scale or residual leaves L0C in its final type, and
// the vector cores sleep. The bias is not added by the cube: its table takes no bfloat16, and the vector cores have the
// time.
//
// How rows and columns are dealt over the cores, and what stays in L1, is chosen by grid_tiling.h. For 12608 rows of
// 768 and a weight of 768 x 768 that is 8 x 3 runs: a core keeps its 256 rows of w, all of the depth, in L1 and takes
// its 13 blocks of x past them, so it reads 2.8 MB from L2 instead of the 7.7 MB with a block of x kept. For few rows
// more of the cores divide the columns.
#include "kernel_operator.h"

#include "linear_cube.h"
#include "linear_vector.h"

namespace vit {

template <typename T>
__aicore__ inline void Linear(GM_ADDR x, GM_ADDR w, GM_ADDR b, GM_ADDR residual, GM_ADDR scale, GM_ADDR y,
                              GM_ADDR workspace, const LinearTiling& t) {
  TPipe pipe;
  if ASCEND_IS_AIC {
    LinearCube<T>(x, w, y, workspace, t).Run(pipe);
  }
  if ASCEND_IS_AIV {
    LinearVector<T>(pipe, b, residual, scale, y, workspace, t).Run();
  }
}

}  // namespace vit

// x (rows, in); w (out, in); y (rows, out); optional: b (out), residual (rows, out), scale (out).
extern "C" __global__ __aicore__ void vit_linear(GM_ADDR x, GM_ADDR w, GM_ADDR b, GM_ADDR residual, GM_ADDR scale,
                                                 GM_ADDR y, GM_ADDR workspace, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
  REGISTER_TILING_DEFAULT(vit::LinearTiling);
  GET_TILING_DATA_WITH_STRUCT(vit::LinearTiling, t, tiling);
  if (TILING_KEY_IS(1)) {
    vit::Linear<half>(x, w, b, residual, scale, y, workspace, t);
  } else if (TILING_KEY_IS(2)) {
    vit::Linear<bfloat16_t>(x, w, b, residual, scale, y, workspace, t);
  }
}

// Gradient of attention without the N x N matrices: S is computed again, P = exp(scale S - max) / sum follows from the
// row statistics the forward saved, and dS = P (dP - rowsum(dO O)) scale needs no softmax. Five products per step on the
// cube, one pass over S and dP on the vector cores between them:
//
//   cube     S(i)   dP(i)  | dV(i-1)   dQ, dK(i-1) | S(i+1)   dP(i+1)  | dV(i)   dQ, dK(i) | ...
//              \      \                                \        \        ^ P(i)  ^ dS(i)
//   vector       P(i)   dS(i)                            P(i+1)   dS(i+1)
//
// Each of S, dP, P and dS has a cross-core flag of its own: the vector cores start on S while the cube is at dP, and the
// cube on dV while they are at dS. The flags bound each other: a step's S waits for the dS of two steps before, so at most
// kGradRing of any are outstanding and every slot has been read before it is written again.
//
// Whole path (ViT sizes): a step is a head; its Q, K, V and dO stay in L1 for all five products, and dQ, dK, dV leave
// L0C finished and narrowed, so there is nothing to add up and nothing to order. Blocked path (longer rows): a step is a
// query block against a key block; dK and dV of the key block stay in L0C until all queries have passed, dQ is added up
// in fp32 in the workspace, atomically, because key blocks of one head may sit on different cores. With `deterministic`
// they all sit on one core and the additions have one order.
#include "kernel_operator.h"

#include "attention_grad_cube.h"
#include "attention_grad_vector.h"
#include "query_grad.h"

namespace vit {

template <typename T, uint32_t D, GradPath path>
__aicore__ inline void AttentionGrad(GM_ADDR dout, GM_ADDR qkv, GM_ADDR out, GM_ADDR softmax_max, GM_ADDR softmax_sum,
                                     GM_ADDR dqkv, GM_ADDR workspace, const AttentionGradTiling& t) {
  constexpr bool kBlocked = path == GradPath::kBlocked;
  TPipe pipe;
  if (kBlocked) {
    if ASCEND_IS_AIV {
      QueryGrad<T, D>(pipe, dqkv, workspace, t).Zero();
    }
    SyncAll<false>();
    pipe.Reset();
  }
  if ASCEND_IS_AIC {
    AttentionGradCube<T, D, path>(pipe, dout, qkv, dqkv, workspace, t).Run();
  }
  if ASCEND_IS_AIV {
    AttentionGradVector<T, D>(pipe, dout, out, softmax_max, softmax_sum, workspace, t).Run();
  }
  if (kBlocked) {
    SyncAll<false>();
    pipe.Reset();
    if ASCEND_IS_AIV {
      QueryGrad<T, D>(pipe, dqkv, workspace, t).Narrow();
    }
  }
}

}  // namespace vit

// dout, attention_out (batch, tokens, heads * head_dim); qkv, dqkv (batch, tokens, 3, heads, head_dim); softmax_max, softmax_sum
// (batch, heads, tokens) fp32 as the forward saved them.
extern "C" __global__ __aicore__ void vit_attention_grad(GM_ADDR dout, GM_ADDR qkv, GM_ADDR attention_out,
                                                         GM_ADDR softmax_max, GM_ADDR softmax_sum, GM_ADDR dqkv, GM_ADDR workspace,
                                                         GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
  REGISTER_TILING_DEFAULT(vit::AttentionGradTiling);
  GET_TILING_DATA_WITH_STRUCT(vit::AttentionGradTiling, t, tiling);
  if (TILING_KEY_IS(321)) {
    vit::AttentionGrad<half, 32, vit::GradPath::kWhole>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(322)) {
    vit::AttentionGrad<bfloat16_t, 32, vit::GradPath::kWhole>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(323)) {
    vit::AttentionGrad<half, 32, vit::GradPath::kBlocked>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(324)) {
    vit::AttentionGrad<bfloat16_t, 32, vit::GradPath::kBlocked>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(641)) {
    vit::AttentionGrad<half, 64, vit::GradPath::kWhole>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(642)) {
    vit::AttentionGrad<bfloat16_t, 64, vit::GradPath::kWhole>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(643)) {
    vit::AttentionGrad<half, 64, vit::GradPath::kBlocked>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(644)) {
    vit::AttentionGrad<bfloat16_t, 64, vit::GradPath::kBlocked>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(801)) {
    vit::AttentionGrad<half, 80, vit::GradPath::kWhole>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(802)) {
    vit::AttentionGrad<bfloat16_t, 80, vit::GradPath::kWhole>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(803)) {
    vit::AttentionGrad<half, 80, vit::GradPath::kBlocked>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(804)) {
    vit::AttentionGrad<bfloat16_t, 80, vit::GradPath::kBlocked>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(961)) {
    vit::AttentionGrad<half, 96, vit::GradPath::kWhole>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(962)) {
    vit::AttentionGrad<bfloat16_t, 96, vit::GradPath::kWhole>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(963)) {
    vit::AttentionGrad<half, 96, vit::GradPath::kBlocked>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(964)) {
    vit::AttentionGrad<bfloat16_t, 96, vit::GradPath::kBlocked>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(1281)) {
    vit::AttentionGrad<half, 128, vit::GradPath::kWhole>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(1282)) {
    vit::AttentionGrad<bfloat16_t, 128, vit::GradPath::kWhole>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(1283)) {
    vit::AttentionGrad<half, 128, vit::GradPath::kBlocked>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  } else if (TILING_KEY_IS(1284)) {
    vit::AttentionGrad<bfloat16_t, 128, vit::GradPath::kBlocked>(dout, qkv, attention_out, softmax_max, softmax_sum, dqkv, workspace, t);
  }
}

// softmax(Q K^T scale) V per head in one kernel: scores and probabilities live for a few microseconds in a small ring in
// L2 and never as an N x N tensor in HBM. The cube core computes S for one step while its two vector cores take the
// softmax of the one before and finish the output of an older one; the steps of a core follow each other through a ring
// of kRing workspace slots:
//
//   cube     S(i)      P V(i-2)     S(i+1)    P V(i-1)     S(i+2) ...
//              \  ^ probs ready       \          | partial ready
//   vector      softmax(i)  merge(i-3)  softmax(i+1)  merge(i-2) ...
//
// A step is a block of query rows of one head against a whole row of keys (up to 1024 tokens) or a chunk of it (beyond,
// merged online). Three cross-core flags carry the hand-offs: scores ready, probs ready, partial ready. They bound each
// other: the cube waits for probs(i-2) in every step, so at most kRing of any flag are outstanding and every slot has
// been read before it is written again.
#include "kernel_operator.h"

#include "attention_cube.h"
#include "attention_vector.h"

namespace vit {

template <typename T, uint32_t D>
__aicore__ inline void Attention(GM_ADDR qkv, GM_ADDR out, GM_ADDR softmax_max, GM_ADDR softmax_sum, GM_ADDR workspace,
                                 const AttentionTiling& t) {
  TPipe pipe;
  if ASCEND_IS_AIC {
    AttentionCube<T, D>(pipe, qkv, workspace, t).Run();
  }
  if ASCEND_IS_AIV {
    AttentionVector<T, D>(pipe, out, softmax_max, softmax_sum, workspace, t).Run();
  }
}

}  // namespace vit

// qkv (batch, tokens, 3, heads, head_dim); out (batch, tokens, heads * head_dim); softmax_max, softmax_sum (batch, heads,
// tokens) fp32: the maximum of scale * S in each row and the sum of exp(scale * S - maximum).
extern "C" __global__ __aicore__ void vit_attention(GM_ADDR qkv, GM_ADDR out, GM_ADDR softmax_max, GM_ADDR softmax_sum,
                                                    GM_ADDR workspace, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
  REGISTER_TILING_DEFAULT(vit::AttentionTiling);
  GET_TILING_DATA_WITH_STRUCT(vit::AttentionTiling, t, tiling);
  if (TILING_KEY_IS(321)) {
    vit::Attention<half, 32>(qkv, out, softmax_max, softmax_sum, workspace, t);
  } else if (TILING_KEY_IS(322)) {
    vit::Attention<bfloat16_t, 32>(qkv, out, softmax_max, softmax_sum, workspace, t);
  } else if (TILING_KEY_IS(641)) {
    vit::Attention<half, 64>(qkv, out, softmax_max, softmax_sum, workspace, t);
  } else if (TILING_KEY_IS(642)) {
    vit::Attention<bfloat16_t, 64>(qkv, out, softmax_max, softmax_sum, workspace, t);
  } else if (TILING_KEY_IS(801)) {
    vit::Attention<half, 80>(qkv, out, softmax_max, softmax_sum, workspace, t);
  } else if (TILING_KEY_IS(802)) {
    vit::Attention<bfloat16_t, 80>(qkv, out, softmax_max, softmax_sum, workspace, t);
  } else if (TILING_KEY_IS(961)) {
    vit::Attention<half, 96>(qkv, out, softmax_max, softmax_sum, workspace, t);
  } else if (TILING_KEY_IS(962)) {
    vit::Attention<bfloat16_t, 96>(qkv, out, softmax_max, softmax_sum, workspace, t);
  } else if (TILING_KEY_IS(1281)) {
    vit::Attention<half, 128>(qkv, out, softmax_max, softmax_sum, workspace, t);
  } else if (TILING_KEY_IS(1282)) {
    vit::Attention<bfloat16_t, 128>(qkv, out, softmax_max, softmax_sum, workspace, t);
  }
}

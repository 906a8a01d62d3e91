// VitAttention on the twin.
#include "op_kernel/vit_attention.cpp"

#include <stdexcept>

#include "attention/tiling.h"
#include "twin/registry.h"

namespace {

using twin::TensorArg;

twin::Plan MakePlan(const std::vector<TensorArg>& inputs, const std::map<std::string, double>& attrs,
                    const Platform& platform) {
  const TensorArg& qkv = inputs.at(0);
  const std::vector<int64_t>& shape = qkv.shape;
  if (shape.size() != 5 || shape[2] != 3) {
    throw std::invalid_argument("attention: qkv must have the shape (batch, tokens, 3, heads, head_dim)");
  }
  if (qkv.dtype != "float16" && qkv.dtype != "bfloat16") {
    throw std::invalid_argument("attention: qkv is " + qkv.dtype + ", expected float16 or bfloat16");
  }
  const double scale = attrs.at("scale");
  const std::string refusal = vit::CheckAttention(shape[0], shape[1], shape[3], shape[4], scale);
  if (!refusal.empty()) throw std::invalid_argument(refusal);
  const vit::AttentionTiling tiling = vit::MakeAttentionTiling(
      uint32_t(shape[0]), uint32_t(shape[1]), uint32_t(shape[3]), uint32_t(shape[4]), float(scale), platform);
  twin::Plan plan;
  plan.outputs = {{qkv.dtype, {shape[0], shape[1], shape[3] * shape[4]}},
                  {"float32", {shape[0], shape[3], shape[1]}},
                  {"float32", {shape[0], shape[3], shape[1]}}};
  plan.blocks = tiling.blocks;
  plan.mode = twin::KernelMode::MIX_AIC_1_2;
  plan.workspace_bytes = vit::AttentionWorkspace(tiling);
  plan.tiling = twin::TilingBytes(tiling);
  plan.tiling_key = vit::AttentionKey(tiling.head_dim, qkv.dtype == "bfloat16");
  return plan;
}

// args: qkv, out, softmax_max, softmax_sum, workspace, tiling.
void Entry(std::vector<GM_ADDR>& args) { vit_attention(args[0], args[1], args[2], args[3], args[4], args[5]); }

}  // namespace

TWIN_REGISTER(vit_attention, MakePlan, Entry);

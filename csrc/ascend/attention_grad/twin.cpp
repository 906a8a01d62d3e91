// VitAttentionGrad on the twin.
#include "op_kernel/vit_attention_grad.cpp"

#include <stdexcept>

#include "attention_grad/tiling.h"
#include "twin/registry.h"

namespace {

using twin::TensorArg;

void Expect(const TensorArg& tensor, const char* name, const std::string& dtype, const std::vector<int64_t>& shape) {
  if (tensor.dtype != dtype) {
    throw std::invalid_argument(std::string("attention: ") + name + " is " + tensor.dtype + ", expected " + dtype);
  }
  if (tensor.shape != shape) {
    throw std::invalid_argument(std::string("attention: ") + name + " does not have the shape that qkv asks for");
  }
}

twin::Plan MakePlan(const std::vector<TensorArg>& inputs, const std::map<std::string, double>& attrs,
                    const Platform& platform) {
  const TensorArg& qkv = inputs.at(1);
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
  const std::vector<int64_t> rows{shape[0], shape[1], shape[3] * shape[4]}, statistics{shape[0], shape[3], shape[1]};
  Expect(inputs.at(0), "dout", qkv.dtype, rows);
  Expect(inputs.at(2), "out", qkv.dtype, rows);
  Expect(inputs.at(3), "softmax_max", "float32", statistics);
  Expect(inputs.at(4), "softmax_sum", "float32", statistics);
  const auto deterministic = attrs.find("deterministic");
  const vit::AttentionGradTiling tiling = vit::MakeAttentionGradTiling(
      uint32_t(shape[0]), uint32_t(shape[1]), uint32_t(shape[3]), uint32_t(shape[4]), float(scale),
      deterministic != attrs.end() && deterministic->second != 0, platform);
  twin::Plan plan;
  plan.outputs = {{qkv.dtype, shape}};
  plan.blocks = tiling.blocks;
  plan.mode = twin::KernelMode::MIX_AIC_1_2;
  plan.workspace_bytes = vit::AttentionGradWorkspace(tiling);
  plan.tiling = twin::TilingBytes(tiling);
  plan.tiling_key = vit::AttentionGradKey(tiling.head_dim, vit::PathOf(tiling), qkv.dtype == "bfloat16");
  return plan;
}

// args: dout, qkv, out, softmax_max, softmax_sum, dqkv, workspace, tiling.
void Entry(std::vector<GM_ADDR>& args) {
  vit_attention_grad(args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7]);
}

}  // namespace

TWIN_REGISTER(vit_attention_grad, MakePlan, Entry);

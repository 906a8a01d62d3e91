// Host side of VitAttentionGrad in the op package: definition, shape and dtype inference, tiling.
#include <cstdio>

#include "attention_grad/tiling.h"
#include "common/op_host_util.h"

namespace {

constexpr size_t kQkv = 1, kDqkv = 0, kScale = 0, kDeterministic = 1;
constexpr size_t kQkvRank = 5;  // batch, tokens, 3, heads, head_dim

ge::graphStatus InferShape(gert::InferShapeContext* context) {
  *context->GetOutputShape(kDqkv) = *context->GetInputShape(kQkv);
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferDataType(gert::InferDataTypeContext* context) {
  return context->SetOutputDataType(kDqkv, context->GetInputDataType(kQkv));
}

ge::graphStatus Tiling(gert::TilingContext* context) {
  const gert::Shape& qkv = context->GetInputShape(kQkv)->GetOriginShape();
  const float scale = *context->GetAttrs()->GetFloat(kScale);
  const bool deterministic = *context->GetAttrs()->GetBool(kDeterministic);
  if (qkv.GetDimNum() != kQkvRank || qkv.GetDim(2) != 3) {
    std::fprintf(stderr, "attention: qkv must have the shape (batch, tokens, 3, heads, head_dim)\n");
    return ge::GRAPH_FAILED;
  }
  const std::string refusal =
      vit::CheckAttention(qkv.GetDim(0), qkv.GetDim(1), qkv.GetDim(3), qkv.GetDim(4), static_cast<double>(scale));
  if (!refusal.empty()) {
    std::fprintf(stderr, "%s\n", refusal.c_str());
    return ge::GRAPH_FAILED;
  }
  const vit::AttentionGradTiling tiling = vit::MakeAttentionGradTiling(
      static_cast<uint32_t>(qkv.GetDim(0)), static_cast<uint32_t>(qkv.GetDim(1)), static_cast<uint32_t>(qkv.GetDim(3)),
      static_cast<uint32_t>(qkv.GetDim(4)), scale, deterministic, vit::GetPlatform(context));
  const bool bf16 = context->GetInputDesc(kQkv)->GetDataType() == ge::DT_BF16;
  return vit::SetTiling(context, tiling, tiling.blocks,
                        vit::AttentionGradKey(tiling.head_dim, vit::PathOf(tiling), bf16),
                        vit::AttentionGradWorkspace(tiling), vit::Cores::kWaitForEachOther);
}

}  // namespace

namespace ops {

class VitAttentionGrad : public OpDef {
 public:
  explicit VitAttentionGrad(const char* name) : OpDef(name) {
    const std::vector<ge::DataType> activation{ge::DT_FLOAT16, ge::DT_BF16}, statistic{ge::DT_FLOAT, ge::DT_FLOAT};
    vit::AddInput(*this, "dout", activation);
    vit::AddInput(*this, "qkv", activation);
    vit::AddInput(*this, "attention_out", activation);  // "out" is what aclnn calls the one output
    vit::AddInput(*this, "softmax_max", statistic);
    vit::AddInput(*this, "softmax_sum", statistic);
    Attr("scale").AttrType(REQUIRED).Float();
    Attr("deterministic").AttrType(OPTIONAL).Bool(false);
    vit::AddOutput(*this, "dqkv", activation);
    SetInferShape(InferShape).SetInferDataType(InferDataType);
    vit::AddTargets(*this, Tiling);
  }
};

OP_ADD(VitAttentionGrad);

}  // namespace ops

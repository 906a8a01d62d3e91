// Host side of VitAttention in the op package: definition, shape and dtype inference, tiling.
#include <cstdio>

#include "attention/tiling.h"
#include "common/op_host_util.h"

namespace {

constexpr size_t kQkv = 0, kOut = 0, kSoftmaxMax = 1, kSoftmaxSum = 2, kScale = 0;
constexpr size_t kQkvRank = 5;  // batch, tokens, 3, heads, head_dim

ge::graphStatus InferShape(gert::InferShapeContext* context) {
  const gert::Shape& qkv = *context->GetInputShape(kQkv);
  if (vit::IsUnknownRank(qkv)) {
    for (const size_t output : {kOut, kSoftmaxMax, kSoftmaxSum}) *context->GetOutputShape(output) = qkv;
    return ge::GRAPH_SUCCESS;
  }
  if (qkv.GetDimNum() != kQkvRank) return ge::GRAPH_FAILED;
  const int64_t batch = qkv.GetDim(0), tokens = qkv.GetDim(1), heads = qkv.GetDim(3);
  vit::SetShape(context->GetOutputShape(kOut), {batch, tokens, vit::Product(qkv, 3, 5)});
  vit::SetShape(context->GetOutputShape(kSoftmaxMax), {batch, heads, tokens});
  vit::SetShape(context->GetOutputShape(kSoftmaxSum), {batch, heads, tokens});
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferDataType(gert::InferDataTypeContext* context) {
  context->SetOutputDataType(kOut, context->GetInputDataType(kQkv));
  context->SetOutputDataType(kSoftmaxMax, ge::DT_FLOAT);
  context->SetOutputDataType(kSoftmaxSum, ge::DT_FLOAT);
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus Tiling(gert::TilingContext* context) {
  const gert::Shape& qkv = context->GetInputShape(kQkv)->GetOriginShape();
  const float scale = *context->GetAttrs()->GetFloat(kScale);
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
  const vit::AttentionTiling tiling = vit::MakeAttentionTiling(
      static_cast<uint32_t>(qkv.GetDim(0)), static_cast<uint32_t>(qkv.GetDim(1)), static_cast<uint32_t>(qkv.GetDim(3)),
      static_cast<uint32_t>(qkv.GetDim(4)), scale, vit::GetPlatform(context));
  const bool bf16 = context->GetInputDesc(kQkv)->GetDataType() == ge::DT_BF16;
  return vit::SetTiling(context, tiling, tiling.blocks, vit::AttentionKey(tiling.head_dim, bf16),
                        vit::AttentionWorkspace(tiling));
}

}  // namespace

namespace ops {

class VitAttention : public OpDef {
 public:
  explicit VitAttention(const char* name) : OpDef(name) {
    const std::vector<ge::DataType> activation{ge::DT_FLOAT16, ge::DT_BF16}, statistic{ge::DT_FLOAT, ge::DT_FLOAT};
    vit::AddInput(*this, "qkv", activation);
    Attr("scale").AttrType(REQUIRED).Float();
    vit::AddOutput(*this, "out", activation);
    vit::AddOutput(*this, "softmax_max", statistic);
    vit::AddOutput(*this, "softmax_sum", statistic);
    SetInferShape(InferShape).SetInferDataType(InferDataType);
    vit::AddTargets(*this, Tiling);
  }
};

OP_ADD(VitAttention);

}  // namespace ops

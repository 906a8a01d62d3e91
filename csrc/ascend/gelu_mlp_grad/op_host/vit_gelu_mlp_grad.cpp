// Host side of VitGeluMlpGrad in the op package: definition, shape and dtype inference, tiling.
#include <cstdio>

#include "common/op_host_util.h"
#include "gelu_mlp_grad/tiling.h"

namespace {

constexpr size_t kDy = 0, kX = 1, kH = 2, kW1 = 3, kW2 = 4;
constexpr size_t kDx = 0, kDw1 = 1, kDb1 = 2, kDw2 = 3, kDb2 = 4;
constexpr size_t kApproximate = 0;

ge::graphStatus InferShape(gert::InferShapeContext* context) {
  const gert::Shape &w1 = *context->GetInputShape(kW1), &w2 = *context->GetInputShape(kW2);
  *context->GetOutputShape(kDx) = *context->GetInputShape(kX);
  *context->GetOutputShape(kDw1) = w1;
  *context->GetOutputShape(kDw2) = w2;
  vit::SetShape(context->GetOutputShape(kDb1), {vit::IsUnknownRank(w1) ? vit::kUnknownDim : w1.GetDim(0)});
  vit::SetShape(context->GetOutputShape(kDb2), {vit::IsUnknownRank(w2) ? vit::kUnknownDim : w2.GetDim(0)});
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferDataType(gert::InferDataTypeContext* context) {
  for (const size_t output : {kDw1, kDb1, kDw2, kDb2}) context->SetOutputDataType(output, ge::DT_FLOAT);
  return context->SetOutputDataType(kDx, context->GetInputDataType(kX));
}

ge::graphStatus Tiling(gert::TilingContext* context) {
  const auto shape = [context](size_t input) -> const gert::Shape& {
    return context->GetInputShape(input)->GetOriginShape();
  };
  const gert::Shape &dy = shape(kDy), &x = shape(kX), &h = shape(kH), &w1 = shape(kW1), &w2 = shape(kW2);
  if (x.GetDimNum() < 1 || dy.GetDimNum() < 1 || h.GetDimNum() < 1 || w1.GetDimNum() != 2 || w2.GetDimNum() != 2 ||
      w1.GetDim(1) != vit::Width(x) || w2.GetDim(1) != w1.GetDim(0) || vit::Width(dy) != w2.GetDim(0) ||
      vit::Width(h) != w1.GetDim(0) || vit::Rows(dy) != vit::Rows(x) || vit::Rows(h) != vit::Rows(x)) {
    std::fprintf(stderr,
                 "gelu_mlp: the shapes must be dy (..., out), x (..., width), h (..., hidden), w1 (hidden, width), "
                 "w2 (out, hidden)\n");
    return ge::GRAPH_FAILED;
  }
  const int64_t approximate = *context->GetAttrs()->GetInt(kApproximate);
  const std::string refusal = vit::CheckGeluMlp(vit::Rows(x), vit::Width(x), w1.GetDim(0), w2.GetDim(0), approximate);
  if (!refusal.empty()) {
    std::fprintf(stderr, "%s\n", refusal.c_str());
    return ge::GRAPH_FAILED;
  }
  const vit::GeluMlpGradTiling tiling = vit::MakeGeluMlpGradTiling(
      static_cast<uint32_t>(vit::Rows(x)), static_cast<uint32_t>(vit::Width(x)), static_cast<uint32_t>(w1.GetDim(0)),
      static_cast<uint32_t>(w2.GetDim(0)), vit::GetPlatform(context));
  const bool bf16 = context->GetInputDesc(kX)->GetDataType() == ge::DT_BF16;
  return vit::SetTiling(context, tiling, tiling.cores, vit::GeluMlpKey(approximate == 1, bf16),
                        vit::GeluMlpGradWorkspace(tiling), vit::Cores::kWaitForEachOther);
}

}  // namespace

namespace ops {

class VitGeluMlpGrad : public OpDef {
 public:
  explicit VitGeluMlpGrad(const char* name) : OpDef(name) {
    const std::vector<ge::DataType> activation{ge::DT_FLOAT16, ge::DT_BF16}, parameter{ge::DT_FLOAT, ge::DT_FLOAT};
    for (const char* input : {"dy", "x", "h", "w1", "w2"}) vit::AddInput(*this, input, activation);
    Attr("approximate").AttrType(REQUIRED).Int();
    vit::AddOutput(*this, "dx", activation);
    for (const char* output : {"dw1", "db1", "dw2", "db2"}) vit::AddOutput(*this, output, parameter);
    SetInferShape(InferShape).SetInferDataType(InferDataType);
    vit::AddTargets(*this, Tiling);
  }
};

OP_ADD(VitGeluMlpGrad);

}  // namespace ops

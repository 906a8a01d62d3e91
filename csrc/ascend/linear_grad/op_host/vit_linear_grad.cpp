// Host side of VitLinearGrad in the op package: definition, shape and dtype inference, tiling.
#include "linear/op_host_shapes.h"
#include "linear_grad/tiling.h"

namespace {

constexpr size_t kDy = 0, kX = 1, kW = 2, kB = 3, kScale = 4;
constexpr size_t kDx = 0, kDw = 1, kDb = 2, kDscale = 3;

ge::graphStatus InferShape(gert::InferShapeContext* context) {
  const gert::Shape& w = *context->GetInputShape(kW);
  *context->GetOutputShape(kDx) = *context->GetInputShape(kX);
  *context->GetOutputShape(kDw) = w;
  const int64_t out = vit::IsUnknownRank(w) ? vit::kUnknownDim : w.GetDim(0);
  vit::SetShape(context->GetOutputShape(kDb), {out});
  const gert::Shape* scale = context->GetOptionalInputShape(kScale);
  const bool scaled = scale != nullptr && scale->GetDimNum() == 1 && scale->GetDim(0) == out;
  vit::SetShape(context->GetOutputShape(kDscale), {scaled ? out : 1});
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferDataType(gert::InferDataTypeContext* context) {
  for (const size_t output : {kDw, kDb, kDscale}) context->SetOutputDataType(output, ge::DT_FLOAT);
  return context->SetOutputDataType(kDx, context->GetInputDataType(kX));
}

ge::graphStatus Tiling(gert::TilingContext* context) {
  vit::LinearShape shape;
  if (!vit::ReadLinearShape(context, kX, kW, &shape)) return ge::GRAPH_FAILED;
  const gert::Shape& dy = context->GetInputShape(kDy)->GetOriginShape();
  if (dy.GetDimNum() < 1 || vit::Rows(dy) != shape.rows || vit::Width(dy) != shape.out) {
    return vit::RefuseLinear("dy must have the shape (..., out), the shape of y");
  }
  uint32_t epilogue = 0;
  const bool fits =
      vit::ReadVector(context, kB, "b", shape.out, vit::kLinearBias, vit::kLinearBiasFloat, &epilogue) &&
      vit::ReadVector(context, kScale, "scale", shape.out, vit::kLinearScale, vit::kLinearScaleFloat, &epilogue);
  if (!fits) return ge::GRAPH_FAILED;
  const vit::LinearGradTiling tiling = vit::MakeLinearGradTiling(shape, epilogue, vit::GetPlatform(context));
  const bool bf16 = context->GetInputDesc(kX)->GetDataType() == ge::DT_BF16;
  return vit::SetTiling(context, tiling, tiling.cores, vit::LinearKey(bf16), vit::LinearGradWorkspace(tiling),
                        vit::Cores::kWaitForEachOther);
}

}  // namespace

namespace ops {

class VitLinearGrad : public OpDef {
 public:
  explicit VitLinearGrad(const char* name) : OpDef(name) {
    const vit::DtypeColumns columns = vit::MakeColumns({ge::DT_FLOAT16, ge::DT_BF16}, 2);
    vit::AddInput(*this, "dy", columns.activation);
    vit::AddInput(*this, "x", columns.activation);
    vit::AddInput(*this, "w", columns.activation);
    vit::AddInput(*this, "b", columns.parameter[0], false);
    vit::AddInput(*this, "scale", columns.parameter[1], false);
    vit::AddOutput(*this, "dx", columns.activation);
    vit::AddOutput(*this, "dw", columns.float32);
    vit::AddOutput(*this, "db", columns.float32);
    vit::AddOutput(*this, "dscale", columns.float32);
    SetInferShape(InferShape).SetInferDataType(InferDataType);
    vit::AddTargets(*this, Tiling);
  }
};

OP_ADD(VitLinearGrad);

}  // namespace ops

// Host side of VitLinear in the op package: definition, shape and dtype inference, tiling.
#include "linear/op_host_shapes.h"

namespace {

constexpr size_t kX = 0, kW = 1, kB = 2, kResidual = 3, kScale = 4;
constexpr size_t kY = 0;

ge::graphStatus InferShape(gert::InferShapeContext* context) {
  const gert::Shape &x = *context->GetInputShape(kX), &w = *context->GetInputShape(kW);
  gert::Shape* y = context->GetOutputShape(kY);
  *y = x;
  if (!vit::IsUnknownRank(x)) {
    y->SetDim(x.GetDimNum() - 1, vit::IsUnknownRank(w) ? vit::kUnknownDim : w.GetDim(0));
  }
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferDataType(gert::InferDataTypeContext* context) {
  return context->SetOutputDataType(kY, context->GetInputDataType(kX));
}

ge::graphStatus Tiling(gert::TilingContext* context) {
  vit::LinearShape shape;
  if (!vit::ReadLinearShape(context, kX, kW, &shape)) return ge::GRAPH_FAILED;
  uint32_t epilogue = 0;
  const bool fits =
      vit::ReadVector(context, kB, "b", shape.out, vit::kLinearBias, vit::kLinearBiasFloat, &epilogue) &&
      vit::ReadVector(context, kScale, "scale", shape.out, vit::kLinearScale, vit::kLinearScaleFloat, &epilogue);
  if (!fits) return ge::GRAPH_FAILED;
  if (const gert::Shape* residual = vit::OptionalShape(context, kResidual, shape.out)) {
    if (vit::Rows(*residual) != shape.rows || vit::Width(*residual) != shape.out) {
      return vit::RefuseLinear("residual must have the shape (..., out), the shape of y");
    }
    epilogue |= vit::kLinearResidual;
  }
  const vit::LinearTiling tiling = vit::MakeLinearTiling(shape, epilogue, vit::GetPlatform(context));
  const bool bf16 = context->GetInputDesc(kX)->GetDataType() == ge::DT_BF16;
  return vit::SetTiling(context, tiling, vit::Cores(tiling.grid), vit::LinearKey(bf16), vit::LinearWorkspace(tiling));
}

}  // namespace

namespace ops {

class VitLinear : public OpDef {
 public:
  explicit VitLinear(const char* name) : OpDef(name) {
    const vit::DtypeColumns columns = vit::MakeColumns({ge::DT_FLOAT16, ge::DT_BF16}, 2);
    vit::AddInput(*this, "x", columns.activation);
    vit::AddInput(*this, "w", columns.activation);
    vit::AddInput(*this, "b", columns.parameter[0], false);
    vit::AddInput(*this, "residual", columns.activation, false);
    vit::AddInput(*this, "scale", columns.parameter[1], false);
    vit::AddOutput(*this, "y", columns.activation);
    SetInferShape(InferShape).SetInferDataType(InferDataType);
    vit::AddTargets(*this, Tiling);
  }
};

OP_ADD(VitLinear);

}  // namespace ops

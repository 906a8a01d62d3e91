// Host side of VitLayerNorm in the op package: definition, shape and dtype inference, tiling.
#include "layer_norm/op_host_shapes.h"

namespace {

constexpr size_t kX = 0, kGamma = 1, kBeta = 2;
constexpr size_t kY = 0, kMean = 1, kRstd = 2;
constexpr size_t kEps = 0;

ge::graphStatus InferShape(gert::InferShapeContext* context) {
  const gert::Shape& x = *context->GetInputShape(kX);
  *context->GetOutputShape(kY) = x;
  vit::SetStatisticsShape(context->GetOutputShape(kMean), x);
  vit::SetStatisticsShape(context->GetOutputShape(kRstd), x);
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferDataType(gert::InferDataTypeContext* context) {
  context->SetOutputDataType(kY, context->GetInputDataType(kX));
  context->SetOutputDataType(kMean, ge::DT_FLOAT);
  context->SetOutputDataType(kRstd, ge::DT_FLOAT);
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus Tiling(gert::TilingContext* context) {
  const vit::NormTensors tensors{"layer_norm", context, kX};
  const float eps = *context->GetAttrs()->GetFloat(kEps);
  if (!tensors.Fits(static_cast<double>(eps)) || !tensors.IsColumns(kGamma, "gamma") ||
      !tensors.IsColumns(kBeta, "beta")) {
    return ge::GRAPH_FAILED;
  }
  vit::LayerNormTiling tiling =
      vit::MakeLayerNormForwardTiling(static_cast<uint64_t>(tensors.XRows()), static_cast<uint32_t>(tensors.XWidth()),
                                      eps, tensors.ElemBytes(), false, vit::GetPlatform(context));
  tiling.gamma_float = tensors.IsWide(kGamma);
  tiling.beta_float = tensors.IsWide(kBeta);
  return vit::SetTiling(context, tiling, tiling.blocks, tensors.Key(), 0);
}

}  // namespace

namespace ops {

class VitLayerNorm : public OpDef {
 public:
  explicit VitLayerNorm(const char* name) : OpDef(name) {
    const vit::DtypeColumns columns = vit::MakeColumns(vit::kNormTypes, 2);
    vit::AddInput(*this, "x", columns.activation);
    vit::AddInput(*this, "gamma", columns.parameter[0]);
    vit::AddInput(*this, "beta", columns.parameter[1]);
    Attr("eps").AttrType(REQUIRED).Float();
    vit::AddOutput(*this, "y", columns.activation);
    vit::AddOutput(*this, "mean", columns.float32);
    vit::AddOutput(*this, "rstd", columns.float32);
    SetInferShape(InferShape).SetInferDataType(InferDataType);
    vit::AddTargets(*this, Tiling);
  }
};

OP_ADD(VitLayerNorm);

}  // namespace ops

// Host side of VitLayerNormGrad in the op package: definition, shape and dtype inference, tiling.
#include "layer_norm/op_host_shapes.h"

namespace {

constexpr size_t kDy = 0, kX = 1, kGamma = 2, kMean = 3, kRstd = 4;
constexpr size_t kDx = 0, kDgamma = 1, kDbeta = 2;

ge::graphStatus InferShape(gert::InferShapeContext* context) {
  const gert::Shape& x = *context->GetInputShape(kX);
  *context->GetOutputShape(kDx) = x;
  vit::SetColumnsShape(context->GetOutputShape(kDgamma), x);
  vit::SetColumnsShape(context->GetOutputShape(kDbeta), x);
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferDataType(gert::InferDataTypeContext* context) {
  context->SetOutputDataType(kDx, context->GetInputDataType(kX));
  context->SetOutputDataType(kDgamma, ge::DT_FLOAT);
  context->SetOutputDataType(kDbeta, ge::DT_FLOAT);
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus Tiling(gert::TilingContext* context) {
  const vit::NormTensors tensors{"layer_norm_grad", context, kX};
  if (!tensors.Fits(0) || !tensors.IsLikeX(kDy, "dy") || !tensors.IsColumns(kGamma, "gamma") ||
      !tensors.IsStatistics(kMean, "mean") || !tensors.IsStatistics(kRstd, "rstd")) {
    return ge::GRAPH_FAILED;
  }
  vit::LayerNormTiling tiling =
      vit::MakeLayerNormGradTiling(static_cast<uint64_t>(tensors.XRows()), static_cast<uint32_t>(tensors.XWidth()),
                                   tensors.ElemBytes(), false, vit::GetPlatform(context));
  tiling.gamma_float = tensors.IsWide(kGamma);
  return vit::SetTiling(context, tiling, tiling.blocks, tensors.Key(), vit::LayerNormGradWorkspace(tiling),
                        vit::Cores::kWaitForEachOther);
}

}  // namespace

namespace ops {

class VitLayerNormGrad : public OpDef {
 public:
  explicit VitLayerNormGrad(const char* name) : OpDef(name) {
    const vit::DtypeColumns columns = vit::MakeColumns(vit::kNormTypes, 1);
    vit::AddInput(*this, "dy", columns.activation);
    vit::AddInput(*this, "x", columns.activation);
    vit::AddInput(*this, "gamma", columns.parameter[0]);
    vit::AddInput(*this, "mean", columns.float32);
    vit::AddInput(*this, "rstd", columns.float32);
    vit::AddOutput(*this, "dx", columns.activation);
    vit::AddOutput(*this, "dgamma", columns.float32);
    vit::AddOutput(*this, "dbeta", columns.float32);
    SetInferShape(InferShape).SetInferDataType(InferDataType);
    vit::AddTargets(*this, Tiling);
  }
};

OP_ADD(VitLayerNormGrad);

}  // namespace ops

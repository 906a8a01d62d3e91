// Host side of VitAddLayerNormGrad in the op package: definition, shape and dtype inference, tiling.
#include "layer_norm/op_host_shapes.h"

namespace {

constexpr size_t kDsum = 0, kDy = 1, kSum = 2, kGamma = 3, kMean = 4, kRstd = 5;
constexpr size_t kDx = 0, kDgamma = 1, kDbeta = 2;

ge::graphStatus InferShape(gert::InferShapeContext* context) {
  const gert::Shape& x = *context->GetInputShape(kSum);
  *context->GetOutputShape(kDx) = x;
  vit::SetColumnsShape(context->GetOutputShape(kDgamma), x);
  vit::SetColumnsShape(context->GetOutputShape(kDbeta), x);
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferDataType(gert::InferDataTypeContext* context) {
  context->SetOutputDataType(kDx, context->GetInputDataType(kSum));
  context->SetOutputDataType(kDgamma, ge::DT_FLOAT);
  context->SetOutputDataType(kDbeta, ge::DT_FLOAT);
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus Tiling(gert::TilingContext* context) {
  const vit::NormTensors tensors{"add_layer_norm_grad", context, kSum};
  if (!tensors.Fits(0) || !tensors.IsLikeX(kDsum, "dsum") || !tensors.IsLikeX(kDy, "dy") ||
      !tensors.IsColumns(kGamma, "gamma") || !tensors.IsStatistics(kMean, "mean") ||
      !tensors.IsStatistics(kRstd, "rstd")) {
    return ge::GRAPH_FAILED;
  }
  vit::LayerNormTiling tiling =
      vit::MakeLayerNormGradTiling(static_cast<uint64_t>(tensors.XRows()), static_cast<uint32_t>(tensors.XWidth()),
                                   tensors.ElemBytes(), true, vit::GetPlatform(context));
  tiling.gamma_float = tensors.IsWide(kGamma);
  return vit::SetTiling(context, tiling, tiling.blocks, tensors.Key(), vit::LayerNormGradWorkspace(tiling),
                        vit::Cores::kWaitForEachOther);
}

}  // namespace

namespace ops {

class VitAddLayerNormGrad : public OpDef {
 public:
  explicit VitAddLayerNormGrad(const char* name) : OpDef(name) {
    const vit::DtypeColumns columns = vit::MakeColumns(vit::kNormTypes, 1);
    vit::AddInput(*this, "dsum", columns.activation);
    vit::AddInput(*this, "dy", columns.activation);
    vit::AddInput(*this, "sum", columns.activation);
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

OP_ADD(VitAddLayerNormGrad);

}  // namespace ops

// Host side of VitGeluMlp in the op package: definition, shape and dtype inference, tiling.
#include <cstdio>

#include "common/op_host_util.h"
#include "gelu_mlp/tiling.h"

namespace {

constexpr size_t kX = 0, kW1 = 1, kB1 = 2, kW2 = 3, kB2 = 4;
constexpr size_t kY = 0, kH = 1;
constexpr size_t kApproximate = 0, kSave = 1;

// x with its last dimension replaced.
void SetRows(gert::Shape* shape, const gert::Shape& x, int64_t width) {
  shape->SetDimNum(0);
  for (size_t i = 0; i + 1 < x.GetDimNum(); ++i) shape->AppendDim(x.GetDim(i));
  shape->AppendDim(width);
}

ge::graphStatus InferShape(gert::InferShapeContext* context) {
  const gert::Shape &x = *context->GetInputShape(kX), &w1 = *context->GetInputShape(kW1),
                    &w2 = *context->GetInputShape(kW2);
  const bool save = *context->GetAttrs()->GetBool(kSave);
  if (vit::IsUnknownRank(x)) {
    *context->GetOutputShape(kY) = x;
    *context->GetOutputShape(kH) = x;
  } else {
    const int64_t out = vit::IsUnknownRank(w2) ? vit::kUnknownDim : w2.GetDim(0);
    const int64_t hidden = vit::IsUnknownRank(w1) ? vit::kUnknownDim : w1.GetDim(0);
    SetRows(context->GetOutputShape(kY), x, out);
    SetRows(context->GetOutputShape(kH), x, hidden);
  }
  if (!save) vit::SetShape(context->GetOutputShape(kH), {1});
  return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferDataType(gert::InferDataTypeContext* context) {
  context->SetOutputDataType(kY, context->GetInputDataType(kX));
  return context->SetOutputDataType(kH, context->GetInputDataType(kX));
}

ge::graphStatus Tiling(gert::TilingContext* context) {
  const auto shape = [context](size_t input) -> const gert::Shape& {
    return context->GetInputShape(input)->GetOriginShape();
  };
  const gert::Shape &x = shape(kX), &w1 = shape(kW1), &b1 = shape(kB1), &w2 = shape(kW2), &b2 = shape(kB2);
  if (x.GetDimNum() < 1 || w1.GetDimNum() != 2 || w2.GetDimNum() != 2 || w1.GetDim(1) != vit::Width(x) ||
      w2.GetDim(1) != w1.GetDim(0) || b1.GetDimNum() != 1 || b1.GetDim(0) != w1.GetDim(0) || b2.GetDimNum() != 1 ||
      b2.GetDim(0) != w2.GetDim(0)) {
    std::fprintf(stderr,
                 "gelu_mlp: the shapes must be x (..., width), w1 (hidden, width), b1 (hidden), w2 (out, hidden), "
                 "b2 (out)\n");
    return ge::GRAPH_FAILED;
  }
  const int64_t approximate = *context->GetAttrs()->GetInt(kApproximate);
  const bool save = *context->GetAttrs()->GetBool(kSave);
  const std::string refusal = vit::CheckGeluMlp(vit::Rows(x), vit::Width(x), w1.GetDim(0), w2.GetDim(0), approximate);
  if (!refusal.empty()) {
    std::fprintf(stderr, "%s\n", refusal.c_str());
    return ge::GRAPH_FAILED;
  }
  const auto is_float = [context](size_t input) { return context->GetInputDesc(input)->GetDataType() == ge::DT_FLOAT; };
  const vit::GeluMlpTiling tiling =
      vit::MakeGeluMlpTiling(static_cast<uint32_t>(vit::Rows(x)), static_cast<uint32_t>(vit::Width(x)),
                             static_cast<uint32_t>(w1.GetDim(0)), static_cast<uint32_t>(w2.GetDim(0)), approximate == 1,
                             save, is_float(kB1), is_float(kB2), vit::GetPlatform(context));
  const bool bf16 = context->GetInputDesc(kX)->GetDataType() == ge::DT_BF16;
  return vit::SetTiling(context, tiling, tiling.rows.cores, vit::GeluMlpKey(approximate == 1, bf16),
                        vit::GeluMlpWorkspace(tiling));
}

}  // namespace

namespace ops {

class VitGeluMlp : public OpDef {
 public:
  explicit VitGeluMlp(const char* name) : OpDef(name) {
    const vit::DtypeColumns columns = vit::MakeColumns({ge::DT_FLOAT16, ge::DT_BF16}, 2);
    vit::AddInput(*this, "x", columns.activation);
    vit::AddInput(*this, "w1", columns.activation);
    vit::AddInput(*this, "b1", columns.parameter[0]);
    vit::AddInput(*this, "w2", columns.activation);
    vit::AddInput(*this, "b2", columns.parameter[1]);
    Attr("approximate").AttrType(REQUIRED).Int();
    Attr("save").AttrType(REQUIRED).Bool();
    vit::AddOutput(*this, "y", columns.activation);
    vit::AddOutput(*this, "h", columns.activation);
    SetInferShape(InferShape).SetInferDataType(InferDataType);
    vit::AddTargets(*this, Tiling);
  }
};

OP_ADD(VitGeluMlp);

}  // namespace ops

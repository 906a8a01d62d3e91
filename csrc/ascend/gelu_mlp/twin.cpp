// VitGeluMlp on the twin.
#include "op_kernel/vit_gelu_mlp.cpp"

#include <stdexcept>

#include "gelu_mlp/tiling.h"
#include "twin/registry.h"

namespace {

using twin::TensorArg;

[[noreturn]] void Refuse(const std::string& what) { throw std::invalid_argument("gelu_mlp: " + what); }

void ExpectShape(const TensorArg& tensor, const char* name, const std::vector<int64_t>& shape, const char* what) {
  if (tensor.shape != shape) Refuse(std::string(name) + " must have the shape " + what);
}

twin::Plan MakePlan(const std::vector<TensorArg>& inputs, const std::map<std::string, double>& attrs,
                    const Platform& platform) {
  const TensorArg &x = inputs.at(0), &w1 = inputs.at(1), &b1 = inputs.at(2), &w2 = inputs.at(3), &b2 = inputs.at(4);
  if (x.dtype != "float16" && x.dtype != "bfloat16") Refuse("x is " + x.dtype + ", expected float16 or bfloat16");
  if (x.shape.empty()) Refuse("x must have the shape (..., width)");
  if (w1.shape.size() != 2 || w1.shape[1] != x.shape.back()) Refuse("w1 must have the shape (hidden, width of x)");
  if (w2.shape.size() != 2 || w2.shape[1] != w1.shape[0]) Refuse("w2 must have the shape (out, first dimension of w1)");
  ExpectShape(b1, "b1", {w1.shape[0]}, "(hidden)");
  ExpectShape(b2, "b2", {w2.shape[0]}, "(out)");
  for (const TensorArg* w : {&w1, &w2}) {
    if (w->dtype != x.dtype) Refuse(std::string(w == &w1 ? "w1" : "w2") + " is " + w->dtype + ", expected " + x.dtype);
  }
  for (const TensorArg* b : {&b1, &b2}) {
    if (b->dtype != x.dtype && b->dtype != "float32") {
      Refuse(std::string(b == &b1 ? "b1" : "b2") + " is " + b->dtype + ", expected " + x.dtype + " or float32");
    }
  }
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < x.shape.size(); ++i) rows *= x.shape[i];
  const int64_t approximate = int64_t(attrs.at("approximate"));
  const bool save = attrs.at("save") != 0;
  const std::string refusal = vit::CheckGeluMlp(rows, x.shape.back(), w1.shape[0], w2.shape[0], approximate);
  if (!refusal.empty()) throw std::invalid_argument(refusal);
  const vit::GeluMlpTiling tiling =
      vit::MakeGeluMlpTiling(uint32_t(rows), uint32_t(x.shape.back()), uint32_t(w1.shape[0]), uint32_t(w2.shape[0]),
                             approximate == 1, save, b1.dtype == "float32", b2.dtype == "float32", platform);
  twin::Plan plan;
  std::vector<int64_t> y = x.shape, h = x.shape;
  y.back() = w2.shape[0];
  h.back() = w1.shape[0];
  plan.outputs = {{x.dtype, y}, {x.dtype, save ? h : std::vector<int64_t>{1}}};
  plan.blocks = tiling.rows.cores;
  plan.mode = twin::KernelMode::MIX_AIC_1_2;
  plan.workspace_bytes = vit::GeluMlpWorkspace(tiling);
  plan.tiling = twin::TilingBytes(tiling);
  plan.tiling_key = vit::GeluMlpKey(approximate == 1, x.dtype == "bfloat16");
  return plan;
}

// args: x, w1, b1, w2, b2, y, h, workspace, tiling.
void Entry(std::vector<GM_ADDR>& args) {
  vit_gelu_mlp(args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8]);
}

}  // namespace

TWIN_REGISTER(vit_gelu_mlp, MakePlan, Entry);

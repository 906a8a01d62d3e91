// VitGeluMlpGrad on the twin.
#include "op_kernel/vit_gelu_mlp_grad.cpp"

#include <stdexcept>

#include "gelu_mlp_grad/tiling.h"
#include "twin/registry.h"

namespace {

using twin::TensorArg;

[[noreturn]] void Refuse(const std::string& what) { throw std::invalid_argument("gelu_mlp: " + what); }

twin::Plan MakePlan(const std::vector<TensorArg>& inputs, const std::map<std::string, double>& attrs,
                    const Platform& platform) {
  const TensorArg &dy = inputs.at(0), &x = inputs.at(1), &h = inputs.at(2), &w1 = inputs.at(3), &w2 = inputs.at(4);
  if (x.dtype != "float16" && x.dtype != "bfloat16") Refuse("x is " + x.dtype + ", expected float16 or bfloat16");
  const std::pair<const char*, const TensorArg*> others[] = {{"dy", &dy}, {"h", &h}, {"w1", &w1}, {"w2", &w2}};
  for (const auto& [name, tensor] : others) {
    if (tensor->dtype != x.dtype) Refuse(std::string(name) + " is " + tensor->dtype + ", expected " + x.dtype);
  }
  if (x.shape.empty()) Refuse("x must have the shape (..., width)");
  if (w1.shape.size() != 2 || w1.shape[1] != x.shape.back()) Refuse("w1 must have the shape (hidden, width of x)");
  if (w2.shape.size() != 2 || w2.shape[1] != w1.shape[0]) Refuse("w2 must have the shape (out, first dimension of w1)");
  std::vector<int64_t> expected = x.shape;
  expected.back() = w2.shape[0];
  if (dy.shape != expected) Refuse("dy must have the shape of x with the first dimension of w2 at the end");
  expected.back() = w1.shape[0];
  if (h.shape != expected) Refuse("h must have the shape of x with the first dimension of w1 at the end");
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < x.shape.size(); ++i) rows *= x.shape[i];
  const int64_t approximate = int64_t(attrs.at("approximate"));
  const std::string refusal = vit::CheckGeluMlp(rows, x.shape.back(), w1.shape[0], w2.shape[0], approximate);
  if (!refusal.empty()) throw std::invalid_argument(refusal);
  const vit::GeluMlpGradTiling tiling = vit::MakeGeluMlpGradTiling(
      uint32_t(rows), uint32_t(x.shape.back()), uint32_t(w1.shape[0]), uint32_t(w2.shape[0]), platform);
  twin::Plan plan;
  plan.outputs = {{x.dtype, x.shape},
                  {"float32", w1.shape},
                  {"float32", {w1.shape[0]}},
                  {"float32", w2.shape},
                  {"float32", {w2.shape[0]}}};
  plan.blocks = tiling.cores;
  plan.mode = twin::KernelMode::MIX_AIC_1_2;
  plan.workspace_bytes = vit::GeluMlpGradWorkspace(tiling);
  plan.tiling = twin::TilingBytes(tiling);
  plan.tiling_key = vit::GeluMlpKey(approximate == 1, x.dtype == "bfloat16");
  return plan;
}

// args: dy, x, h, w1, w2, dx, dw1, db1, dw2, db2, workspace, tiling.
void Entry(std::vector<GM_ADDR>& args) {
  vit_gelu_mlp_grad(args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8], args[9], args[10],
                    args[11]);
}

}  // namespace

TWIN_REGISTER(vit_gelu_mlp_grad, MakePlan, Entry);

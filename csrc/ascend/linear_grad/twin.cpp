// VitLinearGrad on the twin.
#include "op_kernel/vit_linear_grad.cpp"

#include "linear/twin_check.h"
#include "linear_grad/tiling.h"

namespace {

using twin::TensorArg;

twin::Plan MakePlan(const std::vector<TensorArg>& inputs, const std::map<std::string, double>&,
                    const Platform& platform) {
  const TensorArg &dy = inputs.at(0), &x = inputs.at(1), &w = inputs.at(2), &b = inputs.at(3), &scale = inputs.at(4);
  const vit::LinearShape shape = vit::ExpectProduct(x, w);
  std::vector<int64_t> y = x.shape;
  y.back() = shape.out;
  vit::ExpectTensor(dy, "dy", x.dtype, y, "(..., out), the shape of y");
  const uint32_t epilogue =
      vit::VectorBits(b, "b", shape.out, x.dtype, vit::kLinearBias, vit::kLinearBiasFloat) |
      vit::VectorBits(scale, "scale", shape.out, x.dtype, vit::kLinearScale, vit::kLinearScaleFloat);
  const vit::LinearGradTiling tiling = vit::MakeLinearGradTiling(shape, epilogue, platform);
  twin::Plan plan;
  plan.outputs = {{x.dtype, x.shape},
                  {"float32", w.shape},
                  {"float32", {shape.out}},
                  {"float32", {(epilogue & vit::kLinearScale) != 0 ? shape.out : 1}}};
  plan.blocks = tiling.cores;
  plan.mode = twin::KernelMode::MIX_AIC_1_2;
  plan.workspace_bytes = vit::LinearGradWorkspace(tiling);
  plan.tiling = twin::TilingBytes(tiling);
  plan.tiling_key = vit::LinearKey(x.dtype == "bfloat16");
  return plan;
}

// args: dy, x, w, b, scale, dx, dw, db, dscale, workspace, tiling.
void Entry(std::vector<GM_ADDR>& args) {
  vit_linear_grad(args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8], args[9], args[10]);
}

}  // namespace

TWIN_REGISTER(vit_linear_grad, MakePlan, Entry);

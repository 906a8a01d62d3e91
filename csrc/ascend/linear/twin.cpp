// VitLinear on the twin.
#include "op_kernel/vit_linear.cpp"

#include "linear/tiling.h"
#include "linear/twin_check.h"
#include "twin/registry.h"

namespace {

using twin::TensorArg;

twin::Plan MakePlan(const std::vector<TensorArg>& inputs, const std::map<std::string, double>&,
                    const Platform& platform) {
  const TensorArg &x = inputs.at(0), &w = inputs.at(1), &b = inputs.at(2), &residual = inputs.at(3),
                  &scale = inputs.at(4);
  const vit::LinearShape shape = vit::ExpectProduct(x, w);
  std::vector<int64_t> y = x.shape;
  y.back() = shape.out;
  uint32_t epilogue = vit::VectorBits(b, "b", shape.out, x.dtype, vit::kLinearBias, vit::kLinearBiasFloat) |
                      vit::VectorBits(scale, "scale", shape.out, x.dtype, vit::kLinearScale, vit::kLinearScaleFloat);
  if (vit::IsPresent(residual, shape.out)) {
    vit::ExpectTensor(residual, "residual", x.dtype, y, "(..., out), the shape of y");
    epilogue |= vit::kLinearResidual;
  }
  const vit::LinearTiling tiling = vit::MakeLinearTiling(shape, epilogue, platform);
  twin::Plan plan;
  plan.outputs = {{x.dtype, y}};
  plan.blocks = vit::Cores(tiling.grid);
  plan.mode = twin::KernelMode::MIX_AIC_1_2;
  plan.workspace_bytes = vit::LinearWorkspace(tiling);
  plan.tiling = twin::TilingBytes(tiling);
  plan.tiling_key = vit::LinearKey(x.dtype == "bfloat16");
  return plan;
}

// args: x, w, b, residual, scale, y, workspace, tiling.
void Entry(std::vector<GM_ADDR>& args) {
  vit_linear(args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7]);
}

}  // namespace

TWIN_REGISTER(vit_linear, MakePlan, Entry);

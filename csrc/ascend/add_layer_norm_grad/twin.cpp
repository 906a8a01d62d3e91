// VitAddLayerNormGrad on the twin.
#include "op_kernel/vit_add_layer_norm_grad.cpp"

#include "layer_norm/twin_check.h"

namespace {

twin::Plan MakePlan(const std::vector<twin::TensorArg>& inputs, const std::map<std::string, double>&,
                    const Platform& platform) {
  const char* const op = "add_layer_norm";
  const size_t first = 1;  // dy
  const twin::TensorArg& x = inputs.at(first + 1);
  const char* const name = "sum";
  const vit::NormShape shape = vit::ExpectRows(op, name, x, 0);
  for (size_t i = 0; i <= first; ++i) vit::ExpectSame(op, i == first ? "dy" : "dsum", inputs.at(i), x);
  vit::LayerNormTiling tiling =
      vit::MakeLayerNormGradTiling(shape.rows, shape.width, shape.elem_bytes, first == 1, platform);
  tiling.gamma_float = vit::ExpectColumns(op, "gamma", inputs.at(first + 2), x);
  vit::ExpectStatistics(op, "mean", inputs.at(first + 3), x);
  vit::ExpectStatistics(op, "rstd", inputs.at(first + 4), x);
  twin::Plan plan;
  plan.outputs = {{x.dtype, x.shape}, {"float32", {x.shape.back()}}, {"float32", {x.shape.back()}}};
  plan.blocks = tiling.blocks;
  plan.mode = twin::KernelMode::MIX_AIV_1_0;
  plan.workspace_bytes = vit::LayerNormGradWorkspace(tiling);
  plan.tiling = twin::TilingBytes(tiling);
  plan.tiling_key = shape.key;
  return plan;
}

// args: dsum, dy, sum, gamma, mean, rstd, dx, dgamma, dbeta, workspace, tiling.
void Entry(std::vector<GM_ADDR>& args) {
  vit_add_layer_norm_grad(args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8], args[9],
                          args[10]);
}

}  // namespace

TWIN_REGISTER(vit_add_layer_norm_grad, MakePlan, Entry);

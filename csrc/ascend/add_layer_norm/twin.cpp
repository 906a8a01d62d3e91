// VitAddLayerNorm on the twin.
#include "op_kernel/vit_add_layer_norm.cpp"

#include "layer_norm/twin_check.h"

namespace {

twin::Plan MakePlan(const std::vector<twin::TensorArg>& inputs, const std::map<std::string, double>& attrs,
                    const Platform& platform) {
  const char* const op = "add_layer_norm";
  const twin::TensorArg& x = inputs.at(0);
  const vit::NormShape shape = vit::ExpectRows(op, "x", x, attrs.at("eps"));
  vit::ExpectSame(op, "residual", inputs.at(1), x);
  vit::LayerNormTiling tiling = vit::MakeLayerNormForwardTiling(shape.rows, shape.width, float(attrs.at("eps")),
                                                                shape.elem_bytes, true, platform);
  tiling.gamma_float = vit::ExpectColumns(op, "gamma", inputs.at(2), x);
  tiling.beta_float = vit::ExpectColumns(op, "beta", inputs.at(3), x);
  twin::Plan plan;
  plan.outputs = {{x.dtype, x.shape},
                  {x.dtype, x.shape},
                  {"float32", vit::StatisticsShape(x)},
                  {"float32", vit::StatisticsShape(x)}};
  plan.blocks = tiling.blocks;
  plan.mode = twin::KernelMode::AIV_ONLY;
  plan.tiling = twin::TilingBytes(tiling);
  plan.tiling_key = shape.key;
  return plan;
}

// args: x, residual, gamma, beta, sum, y, mean, rstd, workspace, tiling.
void Entry(std::vector<GM_ADDR>& args) {
  vit_add_layer_norm(args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8], args[9]);
}

}  // namespace

TWIN_REGISTER(vit_add_layer_norm, MakePlan, Entry);

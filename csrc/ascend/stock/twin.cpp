// The stand-ins for stock operators on the twin.
#include "op_kernel/stock_stream.cpp"

#include <stdexcept>

#include "twin/registry.h"

namespace {

// x (inputs, elems) fp16; attributes passes, row_elems, store.
twin::Plan MakePlan(const std::vector<twin::TensorArg>& inputs, const std::map<std::string, double>& attrs,
                    const Platform& platform) {
  const twin::TensorArg& x = inputs.at(0);
  if (x.shape.size() != 2 || x.dtype != "float16") {
    throw std::invalid_argument("stock_stream: x must be (inputs, elements) of float16");
  }
  vit::StockStreamTiling t{};
  t.inputs = uint32_t(x.shape[0]), t.elems = uint64_t(x.shape[1]);
  t.tiles = (t.elems + vit::kStockTile - 1) / vit::kStockTile;
  t.passes = uint32_t(attrs.at("passes"));
  t.row_elems = uint32_t(attrs.at("row_elems"));
  t.store = uint32_t(attrs.at("store"));
  if (t.row_elems == 0 || vit::kStockTile % t.row_elems != 0 || t.elems % t.row_elems != 0) {
    throw std::invalid_argument("stock_stream: row_elems must divide the number of elements and " +
                                std::to_string(vit::kStockTile));
  }
  twin::Plan plan;
  plan.outputs = {{"float16", {x.shape[1]}}};
  plan.blocks = uint32_t(std::min<uint64_t>(t.tiles, uint64_t(platform.aiv)));
  plan.mode = twin::KernelMode::AIV_ONLY;
  plan.tiling = twin::TilingBytes(t);
  return plan;
}

void Entry(std::vector<GM_ADDR>& args) { stock_stream(args[0], args[1], args[2], args[3]); }

}  // namespace

TWIN_REGISTER(stock_stream, MakePlan, Entry);

// What every op_host source needs: the columns of the OpDef (one per supported dtype combination), shape helpers that
// let unknown dimensions through, and the last step of every tiling function. Host side of the op package only.
#pragma once

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "common/platform.h"
#include "register/op_def_registry.h"
#include "tiling/platform/platform_ascendc.h"

namespace vit {

// The OpDef's lists, all equally long: column k is one combination the kernel is compiled for. `activation` is the
// dtype of x; each of the `parameter` lists (gamma, bias, ...) is independently the same or float32.
struct DtypeColumns {
  std::vector<ge::DataType> activation;
  std::vector<std::vector<ge::DataType>> parameter;
  std::vector<ge::DataType> float32;
};

inline DtypeColumns MakeColumns(std::initializer_list<ge::DataType> activations, int parameters) {
  DtypeColumns columns;
  columns.parameter.resize(parameters);
  for (const ge::DataType x : activations) {
    const unsigned choices = x == ge::DT_FLOAT ? 1u : 1u << parameters;
    for (unsigned choice = 0; choice < choices; ++choice) {
      columns.activation.push_back(x);
      columns.float32.push_back(ge::DT_FLOAT);
      for (int p = 0; p < parameters; ++p) {
        columns.parameter[p].push_back((choice >> p) & 1u ? ge::DT_FLOAT : x);
      }
    }
  }
  return columns;
}

// Inputs are declared contiguous: views such as slices of qkv are made dense before the kernel sees them.
inline void AddInput(ops::OpDef& op, const char* name, const std::vector<ge::DataType>& dtypes, bool required = true) {
  op.Input(name)
      .ParamType(required ? ops::REQUIRED : ops::OPTIONAL)
      .DataType(dtypes)
      .Format(std::vector<ge::Format>(dtypes.size(), ge::FORMAT_ND))
      .AutoContiguous();
}

inline void AddOutput(ops::OpDef& op, const char* name, const std::vector<ge::DataType>& dtypes) {
  op.Output(name)
      .ParamType(ops::REQUIRED)
      .DataType(dtypes)
      .Format(std::vector<ge::Format>(dtypes.size(), ge::FORMAT_ND));
}

// Atlas A2 and A3 share architecture 2201 and with it the kernels.
inline void AddTargets(ops::OpDef& op, gert::OpImplRegisterV2::TilingKernelFunc tiling) {
  op.AICore().SetTiling(tiling).AddConfig("ascend910b").AddConfig("ascend910_93");
}

// ---------------------------------------------------------------- shapes
constexpr int64_t kUnknownDim = -1, kUnknownRank = -2;

inline bool IsUnknownRank(const gert::Shape& shape) { return shape.GetDimNum() == 1 && shape.GetDim(0) == kUnknownRank; }

inline void SetShape(gert::Shape* shape, std::initializer_list<int64_t> dims) {
  shape->SetDimNum(0);
  for (const int64_t d : dims) shape->AppendDim(d);
}

// The product of dimensions [begin, end); unknown as soon as one of them is.
inline int64_t Product(const gert::Shape& shape, size_t begin, size_t end) {
  int64_t product = 1;
  for (size_t i = begin; i < end; ++i) {
    if (shape.GetDim(i) < 0) return kUnknownDim;
    product *= shape.GetDim(i);
  }
  return product;
}

// Rows and width of x as every kernel sees it: leading dimensions flattened.
inline int64_t Rows(const gert::Shape& shape) { return Product(shape, 0, shape.GetDimNum() - 1); }
inline int64_t Width(const gert::Shape& shape) { return shape.GetDim(shape.GetDimNum() - 1); }

// ---------------------------------------------------------------- tiling
// The chip at hand in the terms of tiling.h. Clock and bandwidth are not reported by the run time and no tiling depends
// on them: they are those of the first entry of the table.
inline Platform GetPlatform(gert::TilingContext* context) {
  const platform_ascendc::PlatformAscendC chip(context->GetPlatformInfo());
  Platform platform = kPlatforms[0];
  platform.sku = "";
  platform.aic = static_cast<int>(chip.GetCoreNumAic());
  platform.aiv = static_cast<int>(chip.GetCoreNumAiv());
  const auto size = [&chip](platform_ascendc::CoreMemType type) {
    uint64_t bytes = 0;
    chip.GetCoreMemSize(type, bytes);
    return static_cast<size_t>(bytes);
  };
  // The sizes reported are those of the hardware or already less what the framework keeps, by toolkit version.
  platform.ub = std::min(platform.ub, size(platform_ascendc::CoreMemType::UB));
  platform.l1 = std::min(platform.l1, size(platform_ascendc::CoreMemType::L1));
  platform.l0a = size(platform_ascendc::CoreMemType::L0_A);
  platform.l0b = size(platform_ascendc::CoreMemType::L0_B);
  platform.l0c = size(platform_ascendc::CoreMemType::L0_C);
  platform.l2 = size(platform_ascendc::CoreMemType::L2);
  return platform;
}

// Hands a finished tiling to the run time. `workspace_bytes` is the kernel's own part; the part that SyncAll and the
// framework use comes on top. A kernel whose cores wait for each other (SyncAll) has to have them all at the same time:
// without batch mode, launches on two streams can each get a part of the cores and wait for ever.
enum class Cores { kIndependent, kWaitForEachOther };
template <typename Tiling>
ge::graphStatus SetTiling(gert::TilingContext* context, const Tiling& tiling, uint32_t blocks, uint64_t key,
                          size_t workspace_bytes, Cores cores = Cores::kIndependent) {
  static_assert(sizeof(Tiling) % 8 == 0, "tiling data is padded to 8 bytes");
  gert::TilingData* raw = context->GetRawTilingData();
  if (raw == nullptr || raw->GetCapacity() < sizeof(Tiling)) return ge::GRAPH_FAILED;
  std::memcpy(raw->GetData(), &tiling, sizeof(Tiling));
  raw->SetDataSize(sizeof(Tiling));
  context->SetBlockDim(blocks);
  context->SetTilingKey(key);
  constexpr uint32_t kBatchMode = 1;
  if (cores == Cores::kWaitForEachOther && context->SetScheduleMode(kBatchMode) != ge::GRAPH_SUCCESS) {
    return ge::GRAPH_FAILED;
  }
  size_t* sizes = context->GetWorkspaceSizes(1);
  if (sizes == nullptr) return ge::GRAPH_FAILED;
  const platform_ascendc::PlatformAscendC chip(context->GetPlatformInfo());
  sizes[0] = workspace_bytes + chip.GetLibApiWorkSpaceSize();
  return ge::GRAPH_SUCCESS;
}

}  // namespace vit

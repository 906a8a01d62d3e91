// How an operator is launched on the twin: a plan (output shapes, launch geometry, tiling bytes) made from its
// inputs by the same tiling code the NPU host side uses, and an entry that calls the kernel function.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/platform.h"
#include "twin/types.h"

namespace twin {

struct TensorArg {
  std::string dtype;  // "float32" "float16" "bfloat16" "int32" "uint8"
  std::vector<int64_t> shape;
  void* data = nullptr;  // null in the cost-only mode and for an absent optional tensor (shape {0})
};
struct TensorSpec {
  std::string dtype;
  std::vector<int64_t> shape;
};

enum class KernelMode { AIV_ONLY, AIC_ONLY, MIX_AIV_1_0, MIX_AIC_1_0, MIX_AIC_1_1, MIX_AIC_1_2 };

struct Plan {
  std::vector<TensorSpec> outputs;
  uint32_t blocks = 1;
  KernelMode mode = KernelMode::AIV_ONLY;
  size_t workspace_bytes = 0;  // the user part; the twin adds nothing
  std::vector<uint8_t> tiling;
  uint64_t tiling_key = 0;
};

// Makes the plan; throws std::invalid_argument naming the argument, its value and what was expected.
using PlanFn = Plan (*)(const std::vector<TensorArg>& inputs, const std::map<std::string, double>& attrs,
                        const Platform& platform);
// Calls the kernel: args = inputs, outputs, workspace, tiling.
using EntryFn = void (*)(std::vector<GM_ADDR>& args);

struct Op {
  std::string name;
  PlanFn plan = nullptr;
  EntryFn entry = nullptr;
};

bool RegisterOp(const char* name, PlanFn plan, EntryFn entry);
const Op* FindOp(const std::string& name);
std::vector<std::string> OpNames();

// Bytes of one element; throws std::invalid_argument for an unknown name.
size_t DtypeBytes(const std::string& dtype);

#define TWIN_REGISTER(name, plan, entry) \
  static const bool twin_registered_##name = ::twin::RegisterOp(#name, plan, entry)

// Plan::tiling from a tiling struct.
template <typename T>
std::vector<uint8_t> TilingBytes(const T& tiling) {
  const uint8_t* p = reinterpret_cast<const uint8_t*>(&tiling);
  return std::vector<uint8_t>(p, p + sizeof(T));
}

}  // namespace twin

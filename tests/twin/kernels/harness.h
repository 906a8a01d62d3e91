// What the twin's test kernels share: one plan for all of them. Inputs and outputs are bytes, everything else is a
// list of integers; the attributes say how many blocks, which kernel type, which outputs.
#pragma once

#include "kernel_operator.h"
#include "twin/registry.h"

struct Params {
  int64_t p[40];
  int64_t operator[](int i) const { return p[i]; }
};

inline twin::Plan TestPlan(const std::vector<twin::TensorArg>&, const std::map<std::string, double>& attrs,
                           const Platform&) {
  const auto get = [&](const std::string& name, double fallback) {
    const auto it = attrs.find(name);
    return it == attrs.end() ? fallback : it->second;
  };
  twin::Plan plan;
  plan.blocks = uint32_t(get("blocks", 1));
  plan.mode = twin::KernelMode(int(get("mode", 0)));
  plan.workspace_bytes = size_t(get("workspace", 0));
  plan.tiling_key = uint64_t(get("key", 0));
  for (int i = 0; i < 4; ++i) {
    const double bytes = get("out" + std::to_string(i), -1);
    if (bytes >= 0) plan.outputs.push_back({"uint8", {int64_t(bytes)}});
  }
  Params params{};
  for (int i = 0; i < 40; ++i) params.p[i] = int64_t(get("p" + std::to_string(i), 0));
  params.p[39] = int64_t(get("mode", 0));
  plan.tiling = twin::TilingBytes(params);
  return plan;
}

// TEST_KERNEL(name) { ... }: `io` is inputs then outputs, `workspace`, and the integers `P`.
#define TEST_KERNEL(name)                                                              \
  static void name##_body(GM_ADDR* io, GM_ADDR workspace, const Params& P);            \
  static void name##_entry(std::vector<GM_ADDR>& args) {                               \
    const size_t n = args.size();                                                      \
    GET_TILING_DATA_WITH_STRUCT(Params, params, args[n - 1]);                          \
    ::twin::DeclareKernelType(int(params.p[39]), ::twin::Loc::Current());              \
    name##_body(args.data(), args[n - 2], params);                                     \
  }                                                                                    \
  TWIN_REGISTER(name, TestPlan, name##_entry);                                         \
  static void name##_body([[maybe_unused]] GM_ADDR* io, [[maybe_unused]] GM_ADDR workspace, \
                          [[maybe_unused]] const Params& P)

// A global tensor over an argument.
template <typename T>
AscendC::GlobalTensor<T> Global(GM_ADDR p) {
  AscendC::GlobalTensor<T> g;
  g.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(p));
  return g;
}

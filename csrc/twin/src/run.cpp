#include "run.h"

#include <cfenv>
#include <stdexcept>

namespace twin {

namespace {

// IEEE arithmetic, rounding to nearest, for as long as it lives. The caller's thread may be set otherwise: MindSpore's
// flush subnormals to zero, which would lose the small gradients that float16 keeps there.
class IeeeArithmetic {
 public:
  IeeeArithmetic() {
    std::fegetenv(&callers_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~IeeeArithmetic() { std::fesetenv(&callers_); }
  IeeeArithmetic(const IeeeArithmetic&) = delete;
  IeeeArithmetic& operator=(const IeeeArithmetic&) = delete;

 private:
  std::fenv_t callers_;
};

constexpr size_t kMostBytes = size_t(1) << 42;  // of one tensor: nothing of the kind has more memory

size_t TensorBytes(const std::string& what, const std::string& dtype, const std::vector<int64_t>& shape) {
  size_t bytes = DtypeBytes(dtype);
  for (int64_t d : shape) {
    if (d < 0) throw std::invalid_argument(Format("%s has a dimension of %lld; expected 0 or more", what.c_str(),
                                                  static_cast<long long>(d)));
    if (d > 0 && bytes > kMostBytes / size_t(d)) throw std::invalid_argument(what + " is larger than 4 TiB");
    bytes *= size_t(d);
  }
  return bytes;
}

void AddRegion(Launch& launch, GmKind kind, const std::string& name, size_t bytes, const void* data) {
  launch.regions.emplace_back();
  GmRegion& r = launch.regions.back();
  r.kind = kind;
  r.name = name;
  r.bytes = bytes;
  if (!bytes) return;
  r.pages = Pages(bytes);
  r.base = r.pages.data();
  if (launch.priced) r.lines.assign(bytes / size_t(model::kGmLine) + 2, LineUse{});
  if (launch.Cost()) {
    if (data) std::memcpy(r.base, data, kind == GmKind::kTiling ? bytes : 0);
    return;
  }
  if (data) {
    std::memcpy(r.base, data, bytes);
  } else {
    Poison(r.base, bytes);
  }
  if (launch.track_init) {
    r.init.Resize(bytes);
    r.init.Set(0, bytes, data != nullptr);
  }
  if (launch.hazards && kind != GmKind::kInput && kind != GmKind::kTiling) r.shadow = std::make_unique<GmShadow>(bytes);
}

}  // namespace

Result RunOp(const std::string& name, const std::vector<TensorArg>& inputs, const std::map<std::string, double>& attrs,
             const std::string& sku, const Settings& settings) {
  const IeeeArithmetic ieee;
  const Op* op = FindOp(name);
  if (!op) {
    std::string known;
    for (const std::string& n : OpNames()) known += (known.empty() ? "" : ", ") + n;
    throw std::invalid_argument("op '" + name + "' is not registered with the twin; known: " + known);
  }
  const Platform* platform = FindPlatform(sku.c_str());
  if (!platform) {
    std::string known;
    for (const Platform& p : kPlatforms) known += std::string(known.empty() ? "" : ", ") + p.sku;
    throw std::invalid_argument("sku '" + sku + "' is unknown; expected one of " + known);
  }
  for (size_t i = 0; i < inputs.size(); ++i) TensorBytes(Format("input %zu", i), inputs[i].dtype, inputs[i].shape);
  Launch launch;
  launch.platform = *platform;
  launch.settings = settings;
  launch.plan = op->plan(inputs, attrs, *platform);
  const bool vector_only = launch.plan.mode == KernelMode::AIV_ONLY || launch.plan.mode == KernelMode::MIX_AIV_1_0;
  if (launch.plan.blocks < 1 || int(launch.plan.blocks) > (vector_only ? platform->aiv : platform->aic)) {
    throw std::invalid_argument(Format("op '%s' plans %u blocks; the %s has %d cores of that kind", name.c_str(),
                                       launch.plan.blocks, platform->sku, vector_only ? platform->aiv : platform->aic));
  }
  launch.strict = settings.strict;
  launch.hazards = settings.strict && settings.mode != Mode::kCost;
  launch.priced = !launch.Deferred();
  launch.track_init = settings.strict && settings.mode == Mode::kEager;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string what = Format("input %zu", i);
    AddRegion(launch, GmKind::kInput, what, TensorBytes(what, inputs[i].dtype, inputs[i].shape), inputs[i].data);
  }
  const size_t first_output = launch.regions.size();
  for (size_t i = 0; i < launch.plan.outputs.size(); ++i) {
    const TensorSpec& s = launch.plan.outputs[i];
    const std::string what = Format("output %zu", i);
    AddRegion(launch, GmKind::kOutput, what, TensorBytes(what, s.dtype, s.shape), nullptr);
  }
  AddRegion(launch, GmKind::kWorkspace, "workspace", launch.plan.workspace_bytes, nullptr);
  AddRegion(launch, GmKind::kTiling, "tiling", launch.plan.tiling.size(), launch.plan.tiling.data());

  RunLaunch(launch, op->entry);

  Result r;
  r.specs = launch.plan.outputs;
  if (!launch.Cost()) {
    for (size_t i = 0; i < launch.plan.outputs.size(); ++i) {
      const GmRegion& g = launch.regions[first_output + i];
      r.outputs.emplace_back(g.base, g.base + g.bytes);
    }
  }
  Summarise(launch, r);
  for (const Core& c : launch.cores) r.core_names.push_back(NameOf(c));
  r.diagnostics = std::move(launch.diagnostics);
  r.notes = std::move(launch.notes);
  r.sites = std::move(launch.sites);
  r.trace = std::move(launch.trace);
  r.blocks = launch.plan.blocks;
  r.tiling_key = launch.plan.tiling_key;
  r.workspace_bytes = launch.plan.workspace_bytes;
  r.mode = launch.plan.mode;
  return r;
}

}  // namespace twin

// The twin as a library call: inputs in, outputs, diagnostics, counters and the estimate out. The Python module is a
// thin layer over this.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "launch.h"

namespace twin {

struct Result {
  std::vector<TensorSpec> specs;
  std::vector<std::vector<uint8_t>> outputs;  // empty in the cost-only mode
  std::vector<Diagnostic> diagnostics;        // locations point into the kernels' own text
  std::vector<NoteText> notes;
  std::map<std::string, Site> sites;
  std::map<std::string, double> counters;     // empty in the adversarial modes, as is the estimate
  std::map<std::string, double> estimate;     // microseconds, "binding" aside
  std::string binding;
  std::vector<TraceEvent> trace;
  std::vector<std::string> core_names;
  uint32_t blocks = 0;
  uint64_t tiling_key = 0;
  size_t workspace_bytes = 0;
  KernelMode mode = KernelMode::AIV_ONLY;
};

// Throws std::invalid_argument for a bad input, an unknown operator or SKU.
Result RunOp(const std::string& name, const std::vector<TensorArg>& inputs, const std::map<std::string, double>& attrs,
             const std::string& sku, const Settings& settings);

// Fills counters and estimate from the finished launch.
void Summarise(const Launch& launch, Result& result);

}  // namespace twin

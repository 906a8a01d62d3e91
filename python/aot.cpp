// The kernels on the twin as MindSpore CPU operators: the one symbol that ops.Custom(func_type="aot") calls for
// backend="twin".
//
// The C interface carries tensors only. Which kernel to run and with which attributes comes as the one uint8 tensor
// among the parameters, the text "vit_attention;scale=0.125"; inputs stand before it, outputs behind it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "run.h"

namespace {

struct Call {
  std::string op;
  std::map<std::string, double> attrs;
};

Call ParseCall(const std::string& text) {
  Call call;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(';', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const size_t equals = part.find('=');
    if (begin == 0) {
      call.op = part;
    } else if (equals != std::string::npos) {
      call.attrs[part.substr(0, equals)] = std::stod(part.substr(equals + 1));
    }
    begin = end + 1;
  }
  return call;
}

// What the checker found, on stderr: a MindSpore operator has no other way to say it.
void Print(const std::string& op, const std::vector<twin::Diagnostic>& diagnostics) {
  for (const twin::Diagnostic& d : diagnostics) {
    std::fprintf(stderr, "twin: %s: %s: %s (%s:%d, %s)\n", op.c_str(), twin::Name(d.rule), d.message.c_str(),
                 d.here.file, int(d.here.line), d.core.c_str());
  }
}

int Run(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes) {
  int text = 0;
  while (text < nparam && std::strcmp(dtypes[text], "uint8") != 0) ++text;
  if (text == nparam) throw std::invalid_argument("no parameter names the kernel");
  const Call call = ParseCall(std::string(static_cast<const char*>(params[text]), size_t(shapes[text][0])));
  std::vector<twin::TensorArg> inputs;
  for (int i = 0; i < text; ++i) {
    inputs.push_back({dtypes[i], std::vector<int64_t>(shapes[i], shapes[i] + ndims[i]), params[i]});
  }
  twin::Settings settings;
  settings.strict = call.attrs.count("strict") == 0 || call.attrs.at("strict") != 0;
  const twin::Result result = twin::RunOp(call.op, inputs, call.attrs, "910B1", settings);
  Print(call.op, result.diagnostics);
  if (int(result.outputs.size()) != nparam - text - 1) throw std::invalid_argument("another number of outputs");
  for (size_t i = 0; i < result.outputs.size(); ++i) {
    std::memcpy(params[text + 1 + int(i)], result.outputs[i].data(), result.outputs[i].size());
  }
  return result.diagnostics.empty() ? 0 : 2;
}

}  // namespace

// Returns 0, 1 for arguments that the kernel refuses, 2 when the twin found a violation of the hardware's rules.
extern "C" __attribute__((visibility("default"))) int VitTwin(int nparam, void** params, int* ndims, int64_t** shapes,
                                                              const char** dtypes, void*, void*) {
  try {
    return Run(nparam, params, ndims, shapes, dtypes);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "twin: %s\n", error.what());
    return 1;
  }
}

// Prints the definitions of one op_host source as JSON. The parity test compiles it with that source included and
// links nothing else: shape inference and tiling are declared here but never called, so their calls into the run
// time are left unresolved.
#include <cstdio>

#include VIT_OP_HOST_SOURCE

namespace {

const char* NameOf(ge::DataType type) {
  switch (type) {
    case ge::DT_FLOAT: return "float32";
    case ge::DT_FLOAT16: return "float16";
    case ge::DT_BF16: return "bfloat16";
    case ge::DT_INT32: return "int32";
    case ge::DT_INT64: return "int64";
    case ge::DT_UINT8: return "uint8";
    case ge::DT_BOOL: return "bool";
    default: return "other";
  }
}

const char* NameOf(ops::Option option) {
  return option == ops::REQUIRED ? "required" : option == ops::OPTIONAL ? "optional" : "other";
}

void PrintParams(const char* key, const std::vector<ops::OpParamDef*>& params) {
  std::printf("\"%s\": [", key);
  for (size_t i = 0; i < params.size(); ++i) {
    const ops::OpParamDef& p = *params[i];
    std::printf("%s{\"name\": \"%s\", \"option\": \"%s\", \"contiguous\": %s, \"formats\": %zu, \"unknown_formats\": %zu, "
                "\"dtypes\": [", i ? ", " : "", p.name.c_str(), NameOf(p.option), p.contiguous ? "true" : "false",
                p.formats.size(), p.unknown.size());
    for (size_t j = 0; j < p.dtypes.size(); ++j) std::printf("%s\"%s\"", j ? ", " : "", NameOf(p.dtypes[j]));
    std::printf("]}");
  }
  std::printf("], ");
}

}  // namespace

int main() {
  std::printf("[");
  bool first = true;
  for (const ops::OpDef* def : ops::parity::Definitions()) {
    std::printf("%s{\"type\": \"%s\", ", first ? "" : ", ", def->type.c_str());
    first = false;
    PrintParams("inputs", def->inputs);
    PrintParams("outputs", def->outputs);
    std::printf("\"attrs\": [");
    for (size_t i = 0; i < def->attrs.size(); ++i) {
      const ops::OpAttrDef& a = *def->attrs[i];
      std::printf("%s{\"name\": \"%s\", \"option\": \"%s\", \"type\": \"%s\", \"default\": \"%s\"}", i ? ", " : "",
                  a.name.c_str(), NameOf(a.option), a.type.c_str(), a.value.c_str());
    }
    std::printf("], \"configs\": [");
    for (size_t i = 0; i < def->core.configs.size(); ++i) {
      std::printf("%s\"%s\"", i ? ", " : "", def->core.configs[i].c_str());
    }
    std::printf("], \"infer_shape\": %s, \"infer_dtype\": %s, \"tiling\": %s}", def->has_infer_shape ? "true" : "false",
                def->has_infer_dtype ? "true" : "false", def->core.has_tiling ? "true" : "false");
  }
  std::printf("]\n");
  return 0;
}

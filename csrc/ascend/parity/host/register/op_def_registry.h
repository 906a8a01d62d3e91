// The operator definition builder. Unlike the rest of these headers it has bodies: it records what an op_host source
// declares and prints it as JSON (parity/host/dump.cpp), so that a test can hold the declaration against the kernel's
// argument list and the Python wrapper.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "exe_graph/runtime/infer_datatype_context.h"
#include "exe_graph/runtime/infer_shape_context.h"
#include "exe_graph/runtime/tiling_context.h"
#include "tiling/platform/platform_ascendc.h"

namespace gert {
class OpImplRegisterV2 {
 public:
  using InferShapeKernelFunc = ge::graphStatus (*)(InferShapeContext*);
  using InferDataTypeKernelFunc = ge::graphStatus (*)(InferDataTypeContext*);
  using TilingKernelFunc = ge::graphStatus (*)(TilingContext*);
};
}  // namespace gert

namespace ops {

enum Option { IGNORE = 0, OPTIONAL = 1, REQUIRED = 2, DYNAMIC = 3, VIRTUAL = 4 };

class OpParamDef {
 public:
  explicit OpParamDef(const char* name) : name(name) {}
  OpParamDef& ParamType(Option type) { return option = type, *this; }
  OpParamDef& DataType(std::vector<ge::DataType> types) { return dtypes = std::move(types), *this; }
  OpParamDef& Format(std::vector<ge::Format> list) { return formats = std::move(list), *this; }
  OpParamDef& UnknownShapeFormat(std::vector<ge::Format> list) { return unknown = std::move(list), *this; }
  OpParamDef& AutoContiguous() { return contiguous = true, *this; }

  std::string name;
  Option option = IGNORE;
  std::vector<ge::DataType> dtypes;
  std::vector<ge::Format> formats, unknown;
  bool contiguous = false;
};

class OpAttrDef {
 public:
  explicit OpAttrDef(const char* name) : name(name) {}
  OpAttrDef& AttrType(Option type) { return option = type, *this; }
  OpAttrDef& Bool(bool v) { return type = "bool", value = v ? "true" : "false", *this; }
  OpAttrDef& Bool() { return type = "bool", *this; }
  OpAttrDef& Float(float v) { return type = "float", value = std::to_string(v), *this; }
  OpAttrDef& Float() { return type = "float", *this; }
  OpAttrDef& Int(int64_t v) { return type = "int", value = std::to_string(v), *this; }
  OpAttrDef& Int() { return type = "int", *this; }

  std::string name, type, value;
  Option option = IGNORE;
};

class OpAICoreConfig {
 public:
  OpAICoreConfig& DynamicCompileStaticFlag(bool) { return *this; }
  OpAICoreConfig& DynamicFormatFlag(bool) { return *this; }
  OpAICoreConfig& DynamicRankSupportFlag(bool) { return *this; }
  OpAICoreConfig& DynamicShapeSupportFlag(bool) { return *this; }
  OpAICoreConfig& NeedCheckSupportFlag(bool) { return *this; }
  OpAICoreConfig& PrecisionReduceFlag(bool) { return *this; }
  OpAICoreConfig& ExtendCfgInfo(const char*, const char*) { return *this; }
};

class OpAICoreDef {
 public:
  OpAICoreDef& SetTiling(gert::OpImplRegisterV2::TilingKernelFunc fn) { return has_tiling = fn != nullptr, *this; }
  OpAICoreDef& AddConfig(const char* soc) { return configs.emplace_back(soc), *this; }
  OpAICoreDef& AddConfig(const char* soc, OpAICoreConfig&) { return configs.emplace_back(soc), *this; }

  bool has_tiling = false;
  std::vector<std::string> configs;
};

class OpDef {
 public:
  explicit OpDef(const char* type) : type(type) {}
  OpParamDef& Input(const char* name) { return Find(inputs, name); }
  OpParamDef& Output(const char* name) { return Find(outputs, name); }
  OpAttrDef& Attr(const char* name) { return Find(attrs, name); }
  OpDef& SetInferShape(gert::OpImplRegisterV2::InferShapeKernelFunc fn) { return has_infer_shape = fn != nullptr, *this; }
  OpDef& SetInferDataType(gert::OpImplRegisterV2::InferDataTypeKernelFunc fn) { return has_infer_dtype = fn != nullptr, *this; }
  OpAICoreDef& AICore() { return core; }

  std::string type;
  std::vector<OpParamDef*> inputs, outputs;
  std::vector<OpAttrDef*> attrs;
  OpAICoreDef core;
  bool has_infer_shape = false, has_infer_dtype = false;

 private:
  template <typename D>
  static D& Find(std::vector<D*>& list, const char* name) {
    for (D* d : list) {
      if (d->name == name) return *d;
    }
    list.push_back(new D(name));  // lives as long as the process, like every definition
    return *list.back();
  }
};

namespace parity {
inline std::vector<OpDef*>& Definitions() {
  static std::vector<OpDef*> all;
  return all;
}
inline bool Register(OpDef* def) { return Definitions().push_back(def), true; }
}  // namespace parity

}  // namespace ops

#define OP_ADD(type) static const bool registered_##type = ::ops::parity::Register(new type(#type))

#pragma once

#include "exe_graph/runtime/shape.h"

namespace gert {

class InferDataTypeContext {
 public:
  ge::DataType GetInputDataType(const size_t index) const;
  ge::DataType GetOptionalInputDataType(const size_t ir_index) const;
  ge::graphStatus SetOutputDataType(const size_t index, const ge::DataType datatype);
  const RuntimeAttrs* GetAttrs() const;
};

}  // namespace gert

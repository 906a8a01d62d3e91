#pragma once

#include "exe_graph/runtime/shape.h"

namespace gert {

class InferShapeContext {
 public:
  const char* GetNodeName() const;
  const Shape* GetInputShape(const size_t index) const;
  const Shape* GetOptionalInputShape(const size_t ir_index) const;
  Shape* GetOutputShape(const size_t index);
  const RuntimeAttrs* GetAttrs() const;
};

}  // namespace gert

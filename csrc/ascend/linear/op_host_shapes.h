// What the tiling functions of a linear layer and its gradient demand of their tensors.
#pragma once

#include <cstdio>

#include "common/op_host_util.h"
#include "linear/tiling.h"

namespace vit {

inline ge::graphStatus RefuseLinear(const char* what) {
  std::fprintf(stderr, "linear: %s\n", what);
  return ge::GRAPH_FAILED;
}

// Null for an absent optional tensor: one that was not given, one without elements, or, from a framework that knows
// neither, one of the shape (1), which no operand of a layer with more than one output has.
inline const gert::Shape* OptionalShape(gert::TilingContext* context, size_t input, int64_t out) {
  const gert::StorageShape* shape = context->GetOptionalInputShape(input);
  if (shape == nullptr) return nullptr;
  const gert::Shape& dims = shape->GetOriginShape();
  const bool absent = dims.GetDimNum() == 1 && (dims.GetDim(0) == 0 || (dims.GetDim(0) == 1 && out != 1));
  return absent ? nullptr : &dims;
}

// x (..., in) and w (out, in); false after saying what is wrong.
inline bool ReadLinearShape(gert::TilingContext* context, size_t x_input, size_t w_input, LinearShape* shape) {
  const gert::Shape &x = context->GetInputShape(x_input)->GetOriginShape(),
                    &w = context->GetInputShape(w_input)->GetOriginShape();
  if (x.GetDimNum() < 1 || w.GetDimNum() != 2 || w.GetDim(1) != Width(x)) {
    RefuseLinear("the shapes must be x (..., in), w (out, in)");
    return false;
  }
  *shape = {Rows(x), Width(x), w.GetDim(0)};
  const std::string refusal = CheckLinear(*shape);
  if (!refusal.empty()) std::fprintf(stderr, "%s\n", refusal.c_str());
  return refusal.empty();
}

// An optional vector over the columns of y: sets its bits of the epilogue; false after saying what is wrong.
inline bool ReadVector(gert::TilingContext* context, size_t input, const char* name, int64_t out, uint32_t present,
                       uint32_t is_float, uint32_t* epilogue) {
  const gert::Shape* shape = OptionalShape(context, input, out);
  if (shape == nullptr) return true;
  if (shape->GetDimNum() != 1 || shape->GetDim(0) != out) {
    std::fprintf(stderr, "linear: %s must have the shape (out)\n", name);
    return false;
  }
  *epilogue |= present;
  if (context->GetOptionalInputDesc(input)->GetDataType() == ge::DT_FLOAT) *epilogue |= is_float;
  return true;
}

}  // namespace vit

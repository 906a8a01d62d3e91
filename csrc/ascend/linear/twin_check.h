// What the twin demands of the tensors of a linear layer and its gradient; on the NPU op_host does.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "linear/tiling.h"
#include "twin/registry.h"

namespace vit {

[[noreturn]] inline void RefuseLinear(const std::string& what) { throw std::invalid_argument("linear: " + what); }

// An absent optional tensor has the shape (0,), or, from a framework without empty tensors, (1,): no operand of a layer
// with more than one output looks like that.
inline bool IsPresent(const twin::TensorArg& tensor, int64_t out) {
  return tensor.shape != std::vector<int64_t>{0} && (out == 1 || tensor.shape != std::vector<int64_t>{1});
}

inline void ExpectTensor(const twin::TensorArg& tensor, const char* name, const std::string& dtype,
                         const std::vector<int64_t>& shape, const char* what) {
  if (tensor.shape != shape) RefuseLinear(std::string(name) + " must have the shape " + what);
  if (tensor.dtype != dtype) RefuseLinear(std::string(name) + " is " + tensor.dtype + ", expected " + dtype);
}

// x (..., in) and w (out, in).
inline LinearShape ExpectProduct(const twin::TensorArg& x, const twin::TensorArg& w) {
  if (x.dtype != "float16" && x.dtype != "bfloat16") {
    RefuseLinear("x is " + x.dtype + ", expected float16 or bfloat16");
  }
  if (x.shape.empty()) RefuseLinear("x must have the shape (..., in)");
  LinearShape shape{1, x.shape.back(), w.shape.empty() ? 0 : w.shape[0]};
  for (size_t i = 0; i + 1 < x.shape.size(); ++i) shape.rows *= x.shape[i];
  ExpectTensor(w, "w", x.dtype, {shape.out, shape.in}, "(out, last dimension of x)");
  const std::string refusal = CheckLinear(shape);
  if (!refusal.empty()) throw std::invalid_argument(refusal);
  return shape;
}

// The bits of the epilogue for an optional vector over the columns of y, of x's dtype or float32.
inline uint32_t VectorBits(const twin::TensorArg& tensor, const char* name, int64_t out, const std::string& dtype,
                           uint32_t present, uint32_t is_float) {
  if (!IsPresent(tensor, out)) return 0;
  if (tensor.shape != std::vector<int64_t>{out}) RefuseLinear(std::string(name) + " must have the shape (out)");
  if (tensor.dtype != dtype && tensor.dtype != "float32") {
    RefuseLinear(std::string(name) + " is " + tensor.dtype + ", expected " + dtype + " or float32");
  }
  return tensor.dtype == "float32" ? present | is_float : present;
}

}  // namespace vit

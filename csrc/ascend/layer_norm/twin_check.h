// What the twin demands of the tensors of the four layer-norm operators; on the NPU op_host does.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "layer_norm/tiling.h"
#include "twin/registry.h"

namespace vit {

struct NormShape {
  uint64_t rows;
  uint32_t width, elem_bytes;
  uint64_t key;
};

[[noreturn]] inline void RefuseNorm(const char* op, const std::string& what) {
  throw std::invalid_argument(std::string(op) + ": " + what);
}

inline NormShape ExpectRows(const char* op, const char* name, const twin::TensorArg& x, double eps) {
  if (x.shape.empty()) RefuseNorm(op, std::string(name) + " must have the shape (..., width)");
  const uint64_t key = x.dtype == "float16"    ? kLayerNormHalf
                       : x.dtype == "bfloat16" ? kLayerNormBf16
                       : x.dtype == "float32"  ? kLayerNormFloat
                                               : 0;
  if (key == 0) RefuseNorm(op, std::string(name) + " is " + x.dtype + ", expected float16, bfloat16 or float32");
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < x.shape.size(); ++i) rows *= x.shape[i];
  const std::string refusal = CheckLayerNorm(op, rows, x.shape.back(), eps);
  if (!refusal.empty()) throw std::invalid_argument(refusal);
  return {uint64_t(rows), uint32_t(x.shape.back()), key == kLayerNormFloat ? 4u : 2u, key};
}

inline void ExpectSame(const char* op, const char* name, const twin::TensorArg& tensor, const twin::TensorArg& x) {
  if (tensor.shape != x.shape) RefuseNorm(op, std::string(name) + " must have the shape of the other activations");
  if (tensor.dtype != x.dtype) RefuseNorm(op, std::string(name) + " is " + tensor.dtype + ", expected " + x.dtype);
}

// 1 when the vector is float32 beside 16-bit activations.
inline uint32_t ExpectColumns(const char* op, const char* name, const twin::TensorArg& tensor,
                              const twin::TensorArg& x) {
  if (tensor.shape != std::vector<int64_t>{x.shape.back()}) {
    RefuseNorm(op, std::string(name) + " must have the shape (width), the last dimension of x");
  }
  if (tensor.dtype != x.dtype && tensor.dtype != "float32") {
    RefuseNorm(op, std::string(name) + " is " + tensor.dtype + ", expected " + x.dtype + " or float32");
  }
  return tensor.dtype != x.dtype ? 1 : 0;
}

// The leading dimensions of x: the shape of its statistics; (1) for a single row.
inline std::vector<int64_t> StatisticsShape(const twin::TensorArg& x) {
  if (x.shape.size() == 1) return {1};
  return {x.shape.begin(), x.shape.end() - 1};
}

inline void ExpectStatistics(const char* op, const char* name, const twin::TensorArg& tensor,
                             const twin::TensorArg& x) {
  if (tensor.shape != StatisticsShape(x))
    RefuseNorm(op, std::string(name) + " must have x's shape without its last dimension");
  if (tensor.dtype != "float32") RefuseNorm(op, std::string(name) + " is " + tensor.dtype + ", expected float32");
}

}  // namespace vit

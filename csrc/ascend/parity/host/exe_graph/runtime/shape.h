// Shapes and attributes as the run time hands them to shape inference and tiling.
#pragma once

#include <cstddef>
#include <cstdint>

#include "graph/types.h"

namespace gert {

class Shape {
 public:
  Shape() = default;
  size_t GetDimNum() const;
  void SetDimNum(const size_t dim_num);
  int64_t GetDim(const size_t idx) const;
  void SetDim(size_t idx, const int64_t dim_value);
  Shape& AppendDim(const int64_t value);
  int64_t GetShapeSize() const;
  bool operator==(const Shape& rht) const;
};

class StorageShape {
 public:
  const Shape& GetOriginShape() const;
  const Shape& GetStorageShape() const;
};

class CompileTimeTensorDesc {
 public:
  ge::DataType GetDataType() const;
};

class RuntimeAttrs {
 public:
  template <typename T>
  const T* GetAttrPointer(size_t index) const;
  const int64_t* GetInt(const size_t index) const;
  const float* GetFloat(const size_t index) const;
  const bool* GetBool(const size_t index) const;
  size_t GetAttrNum() const;
};

}  // namespace gert

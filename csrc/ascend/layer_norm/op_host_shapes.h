// What the host sides of the four layer-norm operators share: columns of the OpDef, shape rules, the demands on their
// tensors.
#pragma once

#include <cstdio>
#include <string>

#include "common/op_host_util.h"
#include "layer_norm/tiling.h"

namespace vit {

constexpr std::initializer_list<ge::DataType> kNormTypes{ge::DT_FLOAT16, ge::DT_BF16, ge::DT_FLOAT};

// The statistics of x: one number per row, in the shape of x without its last dimension; (1) for a single row.
inline void SetStatisticsShape(gert::Shape* shape, const gert::Shape& x) {
  *shape = x;
  if (IsUnknownRank(x)) return;
  const size_t rank = x.GetDimNum();
  if (rank > 1) {
    shape->SetDimNum(rank - 1);
  } else {
    SetShape(shape, {1});
  }
}

// One vector over the columns of x, for a parameter or its gradient.
inline void SetColumnsShape(gert::Shape* shape, const gert::Shape& x) {
  SetShape(shape, {IsUnknownRank(x) ? kUnknownDim : Width(x)});
}

struct NormTensors {
  const char* op;
  gert::TilingContext* context;
  size_t x;

  bool Refuse(const std::string& what) const {
    std::fprintf(stderr, "%s: %s\n", op, what.c_str());
    return false;
  }
  const gert::Shape& ShapeOf(size_t input) const { return context->GetInputShape(input)->GetOriginShape(); }
  int64_t XRows() const { return Rows(ShapeOf(x)); }
  int64_t XWidth() const { return Width(ShapeOf(x)); }
  ge::DataType XType() const { return context->GetInputDesc(x)->GetDataType(); }
  uint32_t ElemBytes() const { return XType() == ge::DT_FLOAT ? 4 : 2; }
  uint64_t Key() const {
    return XType() == ge::DT_FLOAT ? kLayerNormFloat : XType() == ge::DT_BF16 ? kLayerNormBf16 : kLayerNormHalf;
  }
  // float32 parameters beside 16-bit activations.
  uint32_t IsWide(size_t input) const { return context->GetInputDesc(input)->GetDataType() != XType() ? 1 : 0; }

  // Each says what is wrong before it returns false.
  bool Fits(double eps) const {
    if (ShapeOf(x).GetDimNum() < 1) return Refuse("x must have the shape (..., width)");
    const std::string refusal = CheckLayerNorm(op, XRows(), XWidth(), eps);
    if (!refusal.empty()) std::fprintf(stderr, "%s\n", refusal.c_str());
    return refusal.empty();
  }
  bool IsLikeX(size_t input, const char* name) const {
    return ShapeOf(input) == ShapeOf(x) || Refuse(std::string(name) + " must have the shape of the other activations");
  }
  bool IsColumns(size_t input, const char* name) const {
    const gert::Shape& shape = ShapeOf(input);
    return (shape.GetDimNum() == 1 && shape.GetDim(0) == XWidth()) ||
           Refuse(std::string(name) + " must have the shape (width), the last dimension of x");
  }
  bool IsStatistics(size_t input, const char* name) const {
    gert::Shape expected;
    SetStatisticsShape(&expected, ShapeOf(x));
    return ShapeOf(input) == expected || Refuse(std::string(name) + " must have x's shape without its last dimension");
  }
};

}  // namespace vit

// Packing: copying a block of a matrix into the panel layout the register tile reads (microkernel.h).
//
// A panel is depth x width with the summation index outermost. The source is one of two shapes, which is all
// that distinguishes the NN, NT and TN products:
//   DepthInner  element (i, k) at source[i * stride + k]: the panel is a transpose, done in registers
//   DepthOuter  element (i, k) at source[k * stride + i]: the panel is a copy of short runs
// Both apply a function to the elements on their way, so that GELU(h) or a scaled operand is never stored.
#pragma once

#include "simd.h"

namespace vit {
namespace VIT_ISA {

// Element functions. `k` is the summation index; only DepthOuter may depend on it.
struct Same {
  Vec operator()(Vec v, int64_t) const { return v; }
};
struct Times {
  float factor;
  Vec operator()(Vec v, int64_t) const { return v * factor; }
};
struct TimesRow {  // DepthOuter only
  const float* factor;
  Vec operator()(Vec v, int64_t k) const { return v * factor[k]; }
};
template <class Gelu>
struct Activate {
  Vec operator()(Vec v, int64_t) const { return Gelu::value(v); }
};

template <class Function>
struct DepthInner {
  const float* source;
  int64_t stride;
  Function function;

  // Packs rows i .. i + count (count <= kWidth) at k .. k + depth; rows from count on become zero.
  template <int kWidth>
  void pack(float* panel, int64_t i, int64_t count, int64_t k, int64_t depth) const {
    static_assert(kWidth % kLanes == 0 || (kWidth < kLanes && 2 * kWidth >= kLanes), "see write()");
    for (int first = 0; first < kWidth; first += kLanes) {
      const float* from = source + (i + first) * stride + k;
      const int rows = static_cast<int>(imax(0, imin(kLanes, count - first)));
      int64_t d = 0;
      if (rows == kLanes) {
        for (; d + kLanes < depth; d += kLanes) block<kWidth>(panel + d * kWidth + first, from + d);
      } else {
        for (; d + kLanes < depth; d += kLanes) {
          edge_block<kWidth>(panel + d * kWidth + first, from + d, rows, kLanes, AllLanes{}, false);
        }
      }
      const int rest = static_cast<int>(depth - d);
      edge_block<kWidth>(panel + d * kWidth + first, from + d, rows, rest, FirstLanes{rest}, true);
    }
  }

 private:
  template <int kWidth>
  void block(float* to, const float* from) const {
    Vec rows[kLanes];
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) rows[r] = function(load(from + r * stride), 0);
    transpose(rows);
#pragma GCC unroll 16
    for (int k = 0; k < kLanes; ++k) store(to + k * kWidth, rows[k]);
  }

  // A panel narrower than a register is written with stores that run into the row after, which comes next; only
  // the last row of the panel must not, for another thread may own what follows.
  template <int kWidth, class Lanes>
  void edge_block(float* to, const float* from, int count, int depth, Lanes lanes, bool last) const {
    Vec rows[kLanes] = {};
    for (int r = 0; r < count; ++r) rows[r] = function(lanes.load(from + r * stride), 0);
    transpose(rows);
    const int open = last && kWidth < kLanes ? depth - 1 : depth;
    for (int k = 0; k < open; ++k) store(to + k * kWidth, rows[k]);
    if (open < depth) store_first(to + open * kWidth, rows[open], kWidth);
  }
};

template <class Function>
struct DepthOuter {
  const float* source;
  int64_t stride;
  Function function;

  template <int kWidth>
  void pack(float* panel, int64_t i, int64_t count, int64_t k, int64_t depth) const {
    const float* from = source + k * stride + i;
    if (count == kWidth && kWidth % kLanes == 0) {
      for (int64_t d = 0; d < depth; ++d) {
#pragma GCC unroll 2
        for (int v = 0; v < kWidth; v += kLanes) {
          store(panel + d * kWidth + v, function(load(from + d * stride + v), k + d));
        }
      }
      return;
    }
    for (int64_t d = 0; d < depth; ++d) {
      for (int v = 0; v < kWidth; v += kLanes) {
        const int in = static_cast<int>(imax(0, imin(kLanes, count - v)));
        const int out = kWidth - v < kLanes ? kWidth - v : kLanes;
        const Vec values = function(load_first(from + d * stride + v, in), k + d);
        store_first(panel + d * kWidth + v, values, out);
      }
    }
  }
};

}  // namespace VIT_ISA
}  // namespace vit

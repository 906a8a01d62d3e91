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

// The rows of a block of panel that hold data, as a type: all of them, known when compiling, or `count`.
template <int kCount>
struct FixedRows {
  static constexpr int count = kCount;
};
struct SomeRows {
  int count;
};

VIT_INLINE void fetch_row(const float* p, int64_t count) {
  for (int64_t j = 0; j < count + 15; j += 16) __builtin_prefetch(p + imin(j, count - 1), 0, 2);
}

template <class Function>
struct DepthInner {
  const float* source;
  int64_t stride;
  Function function;

  // Elements of the summation to pack in one go before turning to the next panel: all, as they are
  // neighbours.
  static constexpr int64_t kSlab = INT64_MAX;

  // Packs rows i .. i + kWidth at k .. k + depth. There are `count` rows from i on; those of the panel beyond
  // them become zero.
  template <int kWidth>
  void pack(float* panel, int64_t i, int64_t count, int64_t k, int64_t depth) const {
    static_assert(kWidth % kLanes == 0 || (kWidth < kLanes && 2 * kWidth >= kLanes), "see block()");
    constexpr int kRows = kWidth < kLanes ? kWidth : kLanes;
    for (int first = 0; first < kWidth; first += kLanes) {
      const float* const from = source + (i + first) * stride + k;
      if (count - first >= kRows) {
        strip<kWidth>(panel + first, from, FixedRows<kRows>{}, depth);
      } else {
        strip<kWidth>(panel + first, from, SomeRows{static_cast<int>(imax(0, count - first))}, depth);
      }
    }
  }

  // Asks for a part of what pack() would read, for the second-level cache: the rows that fall to `part`.
  void fetch(int64_t i, int64_t count, int64_t k, int64_t depth, int64_t parts, int64_t part) const {
    const Range rows = share(count, parts, part);
    for (int64_t r = rows.begin; r < rows.end; ++r) fetch_row(source + (i + r) * stride + k, depth);
  }

 private:
  // A panel narrower than a register is written with stores that run into the row after, which comes next;
  // only the last row of the panel must not, for another thread may own what follows.
  template <int kWidth, class Rows>
  void strip(float* to, const float* from, Rows rows, int64_t depth) const {
    constexpr int kCut = kWidth < kLanes ? 1 : 0;
    int64_t k = 0;
    for (; k + kLanes <= depth; k += kLanes) {
      const int whole = k + kLanes < depth ? kLanes : kLanes - kCut;
      block<kWidth>(to + k * kWidth, from + k, rows, FixedRows<kLanes>{}, AllLanes{}, whole);
    }
    if (k < depth) {
      const int rest = static_cast<int>(depth - k);
      block<kWidth>(to + k * kWidth, from + k, rows, SomeRows{rest}, FirstLanes{rest}, rest - kCut);
    }
  }

  // Transposes rows x steps elements; the first `whole` steps are written as whole registers.
  template <int kWidth, class Rows, class Steps, class Lanes>
  void block(float* to, const float* from, Rows rows, Steps steps, Lanes lanes, int whole) const {
    Vec v[kLanes];
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r)
      v[r] = r < rows.count ? function(lanes.load(from + r * stride), 0) : Vec{};
    transpose(v);
#pragma GCC unroll 16
    for (int k = 0; k < kLanes; ++k) {
      if (k < whole) {
        store(to + k * kWidth, v[k]);
      } else if (k < steps.count) {
        store_first(to + k * kWidth, v[k], kWidth);
      }
    }
  }
};

template <class Function>
struct DepthOuter {
  const float* source;
  int64_t stride;
  Function function;

  // A few rows of the source at a time across all panels, so that whole stretches of each are read.
  static constexpr int64_t kSlab = 8;

  template <int kWidth>
  void pack(float* panel, int64_t i, int64_t count, int64_t k, int64_t depth) const {
    const float* const from = source + k * stride + i;
    if constexpr (kWidth < kLanes) {
      // A whole register is read where the matrix goes on beyond the panel.
      if (count >= kLanes) {
        narrow<kWidth>(panel, from, AllLanes{}, k, depth);
      } else {
        narrow<kWidth>(panel, from, FirstLanes{static_cast<int>(imin(kWidth, count))}, k, depth);
      }
    } else {
      for (int first = 0; first < kWidth; first += kLanes) {
        const int in = static_cast<int>(imax(0, imin(kLanes, count - first)));
        if (in == kLanes) {
          strip<kWidth>(panel + first, from + first, AllLanes{}, k, depth);
        } else {
          strip<kWidth>(panel + first, from + first, FirstLanes{in}, k, depth);
        }
      }
    }
  }

  void fetch(int64_t i, int64_t count, int64_t k, int64_t depth, int64_t parts, int64_t part) const {
    const Range rows = share(depth, parts, part);
    for (int64_t d = rows.begin; d < rows.end; ++d) fetch_row(source + (k + d) * stride + i, count);
  }

 private:
  template <int kWidth, class Lanes>
  void strip(float* to, const float* from, Lanes lanes, int64_t k, int64_t depth) const {
    for (int64_t d = 0; d < depth; ++d)
      store(to + d * kWidth, function(lanes.load(from + d * stride), k + d));
  }

  // A panel of three quarters of a register: four steps fill three registers.
  template <int kWidth, class Lanes>
  void narrow(float* to, const float* from, Lanes lanes, int64_t k, int64_t depth) const {
    static_assert(4 * kWidth == 3 * kLanes, "see join_quarters");
    int64_t d = 0;
    for (; d + 4 <= depth; d += 4) {
      Vec v[4];
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) v[r] = function(lanes.load(from + (d + r) * stride), k + d + r);
      store(to + d * kWidth, join_quarters<3>(v[0], v[1]));
      store(to + d * kWidth + kLanes, join_quarters<2>(v[1], v[2]));
      store(to + d * kWidth + 2 * kLanes, join_quarters<1>(v[2], v[3]));
    }
    for (; d < depth; ++d) store_first(to + d * kWidth, function(lanes.load(from + d * stride), k + d), kWidth);
  }
};

}  // namespace VIT_ISA
}  // namespace vit

// Vector clocks over the pipes of a core. Component p of a clock is the sequence number up to which pipe p is known
// to have finished.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "twin/issue.h"

namespace twin {

constexpr int kClock = 8;  // seven pipes, padded to a vector register

struct Clock {
  std::array<uint32_t, kClock> at{};
  // True when anything moved forward.
  bool Join(const Clock& o) {
    bool moved = false;
    for (int i = 0; i < kClock; ++i) {
      moved |= o.at[i] > at[i];
      at[i] = std::max(at[i], o.at[i]);
    }
    return moved;
  }
};

// What a cross-core flag carries: the setter's knowledge of every core.
using Snapshot = std::shared_ptr<const std::vector<Clock>>;

}  // namespace twin

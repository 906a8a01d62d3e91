// What the tiling code may know about a chip: core counts, clock, bandwidth and on-chip memory sizes. Pure arithmetic,
// shared by the CANN host side (which fills it from PlatformAscendC), the twin and the tests.
#pragma once

#include <cstddef>
#include <cstring>

struct Platform {
  const char* sku;
  int aic, aiv;            // cube and vector cores
  double clock_ghz;        // core clock
  double hbm_tbs;          // HBM bandwidth, TB/s
  size_t ub, l1, l0a, l0b, l0c, bt, l2;  // bytes; ub is what a kernel with a TPipe may use
};

// Sources: reference sections 1.2 and 1.3. The 910_93 die is the same architecture (2201).
constexpr size_t kKiB = 1024;
constexpr Platform kPlatforms[] = {
    {"910B1", 24, 48, 1.85, 1.8, 184 * kKiB, 512 * kKiB - 256, 64 * kKiB, 64 * kKiB, 128 * kKiB, 1 * kKiB,
     192 * kKiB * kKiB},
    {"910B2", 24, 48, 1.80, 1.6, 184 * kKiB, 512 * kKiB - 256, 64 * kKiB, 64 * kKiB, 128 * kKiB, 1 * kKiB,
     192 * kKiB * kKiB},
    {"910B3", 20, 40, 1.80, 1.6, 184 * kKiB, 512 * kKiB - 256, 64 * kKiB, 64 * kKiB, 128 * kKiB, 1 * kKiB,
     192 * kKiB * kKiB},
    {"910B4", 20, 40, 1.50, 0.8, 184 * kKiB, 512 * kKiB - 256, 64 * kKiB, 64 * kKiB, 128 * kKiB, 1 * kKiB,
     96 * kKiB * kKiB},
};

// Null when the SKU is unknown.
inline const Platform* FindPlatform(const char* sku) {
  for (const Platform& p : kPlatforms) {
    if (std::strcmp(p.sku, sku) == 0) return &p;
  }
  return nullptr;
}

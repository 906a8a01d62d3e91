// What the host asks about the chip.
#pragma once

#include <cstdint>

#include "exe_graph/runtime/tiling_context.h"

namespace platform_ascendc {

enum class CoreMemType { L0_A = 0, L0_B = 1, L0_C = 2, L1 = 3, L2 = 4, UB = 5, HBM = 6 };
enum class SocVersion { ASCEND910 = 0, ASCEND910B, ASCEND310P, ASCEND310B };

class PlatformAscendC {
 public:
  explicit PlatformAscendC(fe::PlatFormInfos* platformInfo);
  uint32_t GetCoreNum() const;
  uint32_t GetCoreNumAic() const;
  uint32_t GetCoreNumAiv() const;
  uint32_t GetLibApiWorkSpaceSize() const;
  void GetCoreMemSize(const CoreMemType& memType, uint64_t& size) const;
  SocVersion GetSocVersion() const;
};

}  // namespace platform_ascendc

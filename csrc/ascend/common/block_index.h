// Which AI Core this code runs on.
#pragma once

#include "kernel_operator.h"

namespace vit {

// The same on the cube core and the two vector cores of an AI Core.
__aicore__ inline uint32_t BlockIndex() {
  return static_cast<uint32_t>(AscendC::GetBlockIdx() / AscendC::GetSubBlockNum());
}

}  // namespace vit

// Flags, barriers, cross-core synchronisation, atomics, core identity, cache control.
#pragma once

#include "tensor.h"

namespace AscendC {

template <HardEvent event>
__aicore__ void SetFlag(int32_t eventID);
template <HardEvent event>
__aicore__ void WaitFlag(int32_t eventID);
template <pipe_t pipe>
__aicore__ void PipeBarrier();

template <uint8_t modeId, pipe_t pipe>
__aicore__ void CrossCoreSetFlag(uint16_t flagId);
template <uint8_t modeId = 0, pipe_t pipe = PIPE_S>
__aicore__ void CrossCoreWaitFlag(uint16_t flagId);
template <bool isAIVOnly = true>
__aicore__ void SyncAll();
template <bool isAIVOnly = true>
__aicore__ void SyncAll(const GlobalTensor<int32_t>& gmWorkspace, const LocalTensor<int32_t>& ubWorkspace,
                        const int32_t usedCores = 0);

template <typename T>
__aicore__ void SetAtomicAdd();
template <typename T>
__aicore__ void SetAtomicMax();
template <typename T>
__aicore__ void SetAtomicMin();
__aicore__ void SetAtomicNone();

__aicore__ int64_t GetBlockIdx();
__aicore__ int64_t GetBlockNum();
__aicore__ int64_t GetSubBlockIdx();
__aicore__ int64_t GetSubBlockNum();
__aicore__ int64_t GetSystemCycle();
__aicore__ void InitSocState();
__aicore__ GM_ADDR GetUserWorkspace(GM_ADDR workspace);

template <typename T, CacheLine entireType, DcciDst dcciDst>
__aicore__ void DataCacheCleanAndInvalid(const GlobalTensor<T>& dst);
template <typename T>
__aicore__ void InitOutput(GlobalTensor<T> gmWorkspaceAddr, uint32_t size, T value = 0);

__aicore__ float ToFloat(const bfloat16_t& value);
__aicore__ bfloat16_t ToBfloat16(const float& value);

}  // namespace AscendC

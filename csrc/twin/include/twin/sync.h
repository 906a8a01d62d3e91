// Flags between pipes, barriers inside a pipe, flags and barriers between cores, atomic mode.
#pragma once

#include "twin/tensor.h"

namespace twin {

void SetFlag(AscendC::HardEvent event, int id, Loc loc);
void WaitFlag(AscendC::HardEvent event, int id, Loc loc);
void PipeBarrier(pipe_t pipe, Loc loc);
void CrossCoreSetFlag(int mode, pipe_t pipe, int id, Loc loc);
void CrossCoreWaitFlag(int id, Loc loc);
void SyncAll(bool vector_only, Loc loc);
void SyncAllSoft(const GlobalRef& gm, const TensorRef& ub, int used_cores, Loc loc);
void SetAtomic(Atomic mode, ElemType type, Loc loc);

}  // namespace twin

namespace AscendC {

template <HardEvent event>
void SetFlag(int32_t id, twin::Loc loc = twin::Loc::Current()) {
  twin::SetFlag(event, id, loc);
}
template <HardEvent event>
void WaitFlag(int32_t id, twin::Loc loc = twin::Loc::Current()) {
  twin::WaitFlag(event, id, loc);
}
template <pipe_t pipe>
void PipeBarrier(twin::Loc loc = twin::Loc::Current()) {
  static_assert(pipe != PIPE_S, "PipeBarrier does not exist for the scalar pipe");
  twin::PipeBarrier(pipe, loc);
}

template <uint8_t modeId, pipe_t pipe>
void CrossCoreSetFlag(twin::checked<uint16_t> flag_id, twin::Loc loc = twin::Loc::Current()) {
  twin::CrossCoreSetFlag(modeId, pipe, flag_id, loc);
}
template <uint8_t modeId = 0, pipe_t pipe = PIPE_S>
void CrossCoreWaitFlag(twin::checked<uint16_t> flag_id, twin::Loc loc = twin::Loc::Current()) {
  twin::CrossCoreWaitFlag(flag_id, loc);
}
template <bool isAIVOnly = true>
void SyncAll(twin::Loc loc = twin::Loc::Current()) {
  twin::SyncAll(isAIVOnly, loc);
}
template <bool isAIVOnly = true>
void SyncAll(const GlobalTensor<int32_t>& gm_workspace, const LocalTensor<int32_t>& ub_workspace,
             const int32_t used_cores = 0, twin::Loc loc = twin::Loc::Current()) {
  twin::SyncAllSoft(gm_workspace.Ref(), ub_workspace.Ref(), used_cores, loc);
}

template <typename T>
void SetAtomicAdd(twin::Loc loc = twin::Loc::Current()) {
  twin::SetAtomic(twin::Atomic::kAdd, twin::ElemTypeOf<T>(), loc);
}
template <typename T>
void SetAtomicMax(twin::Loc loc = twin::Loc::Current()) {
  twin::SetAtomic(twin::Atomic::kMax, twin::ElemTypeOf<T>(), loc);
}
template <typename T>
void SetAtomicMin(twin::Loc loc = twin::Loc::Current()) {
  twin::SetAtomic(twin::Atomic::kMin, twin::ElemTypeOf<T>(), loc);
}
inline void SetAtomicNone(twin::Loc loc = twin::Loc::Current()) {
  twin::SetAtomic(twin::Atomic::kNone, twin::ElemType::kOther, loc);
}
inline void DisableDmaAtomic(twin::Loc loc = twin::Loc::Current()) { SetAtomicNone(loc); }

}  // namespace AscendC

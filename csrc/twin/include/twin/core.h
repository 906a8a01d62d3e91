// The core a fiber runs on, as the device code and the API functions see it: who it is, and the special registers
// (masks, atomic mode, dequantisation scale) that instructions read when they are issued.
#pragma once

#include <cstdint>

#include "twin/types.h"

namespace AscendC {
class TPipe;
}

namespace twin {

enum class CoreType : uint8_t { AIC, AIV };
enum class Atomic : uint8_t { kNone, kAdd, kMax, kMin };
enum class ElemType : uint8_t { kInt8, kUint8, kInt16, kUint16, kHalf, kBf16, kInt32, kUint32, kFloat, kInt64, kUint64,
                                kDouble, kOther };
const char* Name(ElemType type);

template <typename T> constexpr ElemType ElemTypeOf() { return ElemType::kOther; }
template <> constexpr ElemType ElemTypeOf<int8_t>() { return ElemType::kInt8; }
template <> constexpr ElemType ElemTypeOf<uint8_t>() { return ElemType::kUint8; }
template <> constexpr ElemType ElemTypeOf<int16_t>() { return ElemType::kInt16; }
template <> constexpr ElemType ElemTypeOf<uint16_t>() { return ElemType::kUint16; }
template <> constexpr ElemType ElemTypeOf<half>() { return ElemType::kHalf; }
template <> constexpr ElemType ElemTypeOf<bfloat16_t>() { return ElemType::kBf16; }
template <> constexpr ElemType ElemTypeOf<int32_t>() { return ElemType::kInt32; }
template <> constexpr ElemType ElemTypeOf<uint32_t>() { return ElemType::kUint32; }
template <> constexpr ElemType ElemTypeOf<float>() { return ElemType::kFloat; }
template <> constexpr ElemType ElemTypeOf<int64_t>() { return ElemType::kInt64; }
template <> constexpr ElemType ElemTypeOf<uint64_t>() { return ElemType::kUint64; }
template <> constexpr ElemType ElemTypeOf<double>() { return ElemType::kDouble; }

// Registers that outlive an instruction. Kernels must leave all of them as they found them.
struct SprState {
  AscendC::MaskMode mask_mode = AscendC::MaskMode::NORMAL;
  uint64_t mask_low = ~0ull, mask_high = ~0ull;  // normal mode: one bit per lane of a repeat
  uint64_t mask_count = 0;                       // counter mode: elements
  bool mask_changed = false;                     // by SetVectorMask and not yet by ResetMask
  Atomic atomic = Atomic::kNone;
  ElemType atomic_type = ElemType::kFloat;
  float deq_scale = 1.0f;
  uint64_t cmp_mask[2] = {0, 0};  // written by the register form of Compare
  bool initialised = false;       // by TPipe or InitSocState
  Loc mask_loc, atomic_loc;
};

struct Launch;     // launch.h: what all cores share
struct CoreState;  // launch.h: memories, clocks, queues

struct Core {
  CoreType type = CoreType::AIV;
  int index = 0;     // over all cores of the launch
  int block = 0;     // AI Core (or AIV in a vector-only launch)
  int sub = 0;       // 0 on AIC, 0 or 1 on AIV
  int ratio = 1;     // AIVs per AI Core in this launch, as GetTaskRatio() on this core
  SprState spr;
  AscendC::TPipe* pipe = nullptr;
  Launch* launch = nullptr;
  CoreState* state = nullptr;
};

Core& Cur();
inline bool IsAic() { return Cur().type == CoreType::AIC; }
std::string NameOf(const Core& core);  // "AIC 3", "AIV 7"

}  // namespace twin

#define ASCEND_IS_AIC (::twin::IsAic())
#define ASCEND_IS_AIV (!::twin::IsAic())
#define ASCEND_IS_NOT_AIC (!::twin::IsAic())
#define ASCEND_IS_NOT_AIV (::twin::IsAic())

namespace AscendC {

int64_t GetBlockIdx();
int64_t GetBlockNum();
int64_t GetSubBlockIdx();
int64_t GetSubBlockNum();
int64_t GetTaskRatio();
void InitSocState(twin::Loc loc = twin::Loc::Current());
int64_t GetSystemCycle();

}  // namespace AscendC

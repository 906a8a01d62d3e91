// The mask register and its two modes.
#pragma once

#include "twin/vector_core.h"

namespace twin {
void SetMaskRegister(AscendC::MaskMode mode, uint64_t high, uint64_t low, uint32_t lanes, Loc loc);
}

namespace AscendC {

void SetMaskCount(twin::Loc loc = twin::Loc::Current());
void SetMaskNorm(twin::Loc loc = twin::Loc::Current());
void ResetMask(twin::Loc loc = twin::Loc::Current());

// Normal mode: a bitmap of lanes. Counter mode: `maskLow` elements.
template <typename T, MaskMode mode = MaskMode::NORMAL>
void SetVectorMask(const uint64_t maskHigh, const uint64_t maskLow, twin::Loc loc = twin::Loc::Current()) {
  twin::SetMaskRegister(mode, maskHigh, maskLow, twin::kRepeatBytes / sizeof(T), loc);
}
// The first `len` lanes, or `len` elements.
template <typename T, MaskMode mode = MaskMode::NORMAL>
void SetVectorMask(int32_t len, twin::Loc loc = twin::Loc::Current()) {
  if (mode == MaskMode::COUNTER) {
    twin::SetMaskRegister(mode, 0, static_cast<uint64_t>(len), twin::kRepeatBytes / sizeof(T), loc);
    return;
  }
  const auto bits = [](int32_t n) { return n >= 64 ? ~0ull : n <= 0 ? 0ull : (1ull << n) - 1; };
  if (len < 0 || len > int32_t(twin::kRepeatBytes / sizeof(T))) {
    twin::Report(twin::Rule::kMask, twin::Format("SetVectorMask(%d): a repeat has %d lanes", len,
                                                 int(twin::kRepeatBytes / sizeof(T))), loc);
  }
  twin::SetMaskRegister(mode, bits(len - 64), bits(len), twin::kRepeatBytes / sizeof(T), loc);
}

}  // namespace AscendC

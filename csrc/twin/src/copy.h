// Shared by everything that writes global memory.
#pragma once

#include <cmath>

#include "launch.h"

namespace twin {

void AtomicStore(uint8_t* dst, const uint8_t* src, uint32_t bytes, Atomic mode, ElemType type);
// A write span that respects the core's atomic mode at issue.
Span GmWrite(const GlobalRef& dst, int64_t offset, uint32_t len, uint32_t count, int64_t stride, ElemType type,
             Loc loc);
// Atomic writes also read: adds the read span, which must not be uninitialised.
void AddAtomicRead(Instr& in, const Span& write);

}  // namespace twin

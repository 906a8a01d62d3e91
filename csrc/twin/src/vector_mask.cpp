// The mask register. It outlives instructions, so a kernel has to leave it as it found it: all lanes, normal mode.
#include "twin/vector_mask.h"

namespace twin {

void SetMaskRegister(AscendC::MaskMode mode, uint64_t high, uint64_t low, uint32_t lanes, Loc loc) {
  SprState& spr = Cur().spr;
  if (mode != spr.mask_mode) {
    Report(Rule::kMask, Format("SetVectorMask for %s mode while the core is in %s mode",
                               mode == AscendC::MaskMode::COUNTER ? "counter" : "normal",
                               spr.mask_mode == AscendC::MaskMode::COUNTER ? "counter" : "normal"), loc, spr.mask_loc);
  }
  if (mode == AscendC::MaskMode::COUNTER) {
    spr.mask_count = low;
  } else {
    if (lanes <= 64 && high != 0 && high != ~0ull) {
      Report(Rule::kMask, Format("SetVectorMask: a repeat has %u lanes, the high word must be 0", lanes), loc);
    }
    spr.mask_low = low;
    spr.mask_high = high;
  }
  spr.mask_changed = true;
  spr.mask_loc = loc;
}

}  // namespace twin

namespace AscendC {

void SetMaskCount(twin::Loc loc) {
  twin::Cur().spr.mask_mode = MaskMode::COUNTER;
  twin::Cur().spr.mask_loc = loc;
}

void SetMaskNorm(twin::Loc loc) {
  twin::Cur().spr.mask_mode = MaskMode::NORMAL;
  twin::Cur().spr.mask_loc = loc;
}

void ResetMask(twin::Loc loc) {
  twin::SprState& spr = twin::Cur().spr;
  spr.mask_low = spr.mask_high = ~0ull;
  spr.mask_changed = false;
  spr.mask_loc = loc;
}

}  // namespace AscendC

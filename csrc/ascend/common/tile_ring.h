// fp32 tiles on their way from the cube core to its two vector cores: a ring of slots in the workspace, one flag for
// "written" and one for "read". The ring is small enough to stay in L2, and its length bounds both flags' counters.
#pragma once

#include "common/grid_data.h"
#include "common/panel_cube.h"

namespace vit {

// The rows of a tile that a vector core takes: the first half, rounded up, or the rest.
struct TileRows {
  uint32_t first, count;
  __aicore__ inline explicit TileRows(uint32_t rows) {
    const uint32_t middle = CeilDiv(rows, 2);
    first = GetSubBlockIdx() == 0 ? 0 : middle;
    count = GetSubBlockIdx() == 0 ? middle : rows - middle;
  }
};

// The slots of one AI Core. A tile lies there row-major, its rows padded to whole fractals.
class TileRing {
 public:
  __aicore__ inline TileRing(GM_ADDR base, uint32_t slots) : base_(base), slots_(slots) {}
  __aicore__ inline uint32_t Slots() const { return slots_; }
  __aicore__ inline GlobalTensor<float> Tile(uint32_t index) const {
    GlobalTensor<float> g;
    g.SetGlobalBuffer(reinterpret_cast<__gm__ float*>(base_) + uint64_t(index % slots_) * kRingTileElems,
                      kRingTileElems);
    return g;
  }

 private:
  GM_ADDR base_;
  uint32_t slots_;
};

// A tile that needs no vector core: L0C -> dst, m rows of n columns, `pitch` elements apart.
template <typename T>
__aicore__ inline void StoreTile(const GlobalTensor<T>& dst, const LocalTensor<float>& c, uint32_t m, uint32_t n,
                                 uint32_t pitch) {
  FixpipeParamsV220 p(n, m, RoundUp(m, kFractal), pitch, false);
  p.quantPre = kNarrow<T>;
  Fixpipe<T, float, CFG_ROW_MAJOR>(dst, c, p);
}
__aicore__ inline void StoreFloats(const GlobalTensor<float>& dst, const LocalTensor<float>& c, uint32_t m, uint32_t n,
                                   uint32_t pitch) {
  Fixpipe<float, float, CFG_ROW_MAJOR>(dst, c, FixpipeParamsV220(n, m, RoundUp(m, kFractal), pitch, false));
}

// The cube's end: puts tiles in and knows how many have been read.
template <uint16_t ready, uint16_t done>
class TileWriter {
 public:
  __aicore__ inline TileWriter(GM_ADDR base, uint32_t slots) : ring_(base, slots) {}

  __aicore__ inline void Put(const LocalTensor<float>& c, uint32_t m, uint32_t n) {
    if (written_ >= ring_.Slots()) Await(written_ - ring_.Slots() + 1);
    const uint32_t width = RoundUp(n, kFractal);
    StoreFloats(ring_.Tile(written_), c, m, width, width);
    CrossCoreSetFlag<2, PIPE_FIX>(ready);
    ++written_;
  }
  __aicore__ inline uint32_t Written() const { return written_; }

  // Until the first `tiles` tiles have been read.
  __aicore__ inline void Await(uint32_t tiles) {
    for (; read_ < tiles; ++read_) CrossCoreWaitFlag(done);
  }
  // After the last tile: no flag may be left over.
  __aicore__ inline void Finish() { Await(written_); }

 private:
  TileRing ring_;
  uint32_t written_ = 0, read_ = 0;
};

}  // namespace vit

// The cube half of the GELU-MLP forward: x w1^T into the ring of hidden tiles, and gelu(...) w2^T, which the vector
// cores left in the workspace, into the ring of output tiles. Which product comes when: mlp_steps.h.
#pragma once

#include "common/panel_cube.h"
#include "mlp_workspace.h"

namespace vit {

template <typename T>
class GeluMlpCube {
 public:
  __aicore__ inline GeluMlpCube(GM_ADDR x, GM_ADDR w1, GM_ADDR w2, GM_ADDR workspace, const GeluMlpTiling& t)
      : t_(t), steps_(t.rows, BlockIndex()), workspace_(workspace, t), hidden_(workspace_.HiddenRing(), kHiddenRing),
        out_(workspace_.OutRing(), kOutRing) {
    x_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(x), uint64_t(t.rows.rows) * t.width);
    w1_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(w1), uint64_t(t.rows.first) * t.width);
    w2_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(w2), uint64_t(t.rows.second) * t.rows.first);
  }

  __aicore__ inline void Run(TPipe& pipe) {
    PanelCube<T, PanelLayout::kNT, GeluMlpCube>(pipe, t_.panels, *this).Run();
    hidden_.Finish();
    out_.Finish();
  }

  // ---- what PanelCube asks for

  __aicore__ inline uint32_t Count() const { return steps_.Count(); }

  __aicore__ inline PanelProduct<T> At(uint32_t index) const {
    const MlpStep s = steps_.At(index);
    PanelProduct<T> p;
    p.m = s.rows;
    p.n = s.cols;
    p.k = s.second ? t_.rows.first : t_.width;
    p.a = s.second ? workspace_.Hidden(s.block) : x_[uint64_t(s.row) * t_.width];
    p.b = s.second ? w2_[uint64_t(s.col) * p.k] : w1_[uint64_t(s.col) * p.k];
    p.a_pitch = p.b_pitch = p.k;
    p.k_first = s.second ? steps_.FirstColumn() : 0;
    p.keep_a = steps_.KeepsRows(index);
    return p;
  }

  // The second product reads hidden columns as they become ready.
  __aicore__ inline bool Fetch(uint32_t index, uint32_t k_end) {
    const MlpStep s = steps_.At(index);
    if (!s.second) return true;
    const uint32_t tiles = steps_.HiddenTiles(s.block, k_end);
    if (tiles > hidden_.Written()) return false;
    hidden_.Await(tiles);
    return true;
  }

  __aicore__ inline void Store(uint32_t index, uint32_t, const LocalTensor<float>& c, uint32_t m, uint32_t n) {
    if (steps_.At(index).second) {
      out_.Put(c, m, n);
    } else {
      hidden_.Put(c, m, n);
    }
  }

 private:
  const GeluMlpTiling& t_;
  const MlpSequence steps_;
  const MlpWorkspace<T> workspace_;
  TileWriter<kHiddenReady, kHiddenDone> hidden_;
  TileWriter<kOutReady, kOutDone> out_;
  GlobalTensor<T> x_, w1_, w2_;
};

}  // namespace vit

// The cube half of the first phase: dh = dy w2 into the ring of tiles, dx = dpre w1 from what the vector cores made of
// them, narrowed on its way out of L0C. Same order of products as the forward (mlp_steps.h).
#pragma once

#include "common/panel_cube.h"
#include "grad_workspace.h"

namespace vit {

template <typename T>
class RowGradsCube {
 public:
  __aicore__ inline RowGradsCube(GM_ADDR dy, GM_ADDR w1, GM_ADDR w2, GM_ADDR dx, GM_ADDR workspace,
                                 const GeluMlpGradTiling& t)
      : t_(t), steps_(t.rows, BlockIndex()), workspace_(workspace, t), tiles_(workspace_.Ring(), kHiddenRing) {
    dy_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dy), uint64_t(t.rows.rows) * t.columns);
    w1_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(w1), uint64_t(t.rows.first) * t.rows.second);
    w2_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(w2), uint64_t(t.columns) * t.rows.first);
    dx_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(dx), uint64_t(t.rows.rows) * t.rows.second);
  }

  __aicore__ inline void Run(TPipe& pipe) {
    PanelCube<T, PanelLayout::kNN, RowGradsCube>(pipe, t_.panels, *this).Run();
    tiles_.Finish();
  }

  // ---- what PanelCube asks for

  __aicore__ inline uint32_t Count() const { return steps_.Count(); }

  __aicore__ inline PanelProduct<T> At(uint32_t index) const {
    const MlpStep s = steps_.At(index);
    PanelProduct<T> p;
    p.m = s.rows;
    p.n = s.cols;
    p.k = p.a_pitch = s.second ? t_.rows.first : t_.columns;
    p.k_first = s.second ? steps_.FirstColumn() : 0;
    p.a = s.second ? workspace_.Dpre(s.row, 0) : dy_[uint64_t(s.row) * t_.columns];
    p.b = s.second ? w1_[s.col] : w2_[s.col];
    p.b_pitch = s.second ? t_.rows.second : t_.rows.first;
    p.keep_a = steps_.KeepsRows(index);
    return p;
  }

  __aicore__ inline bool Fetch(uint32_t index, uint32_t k_end) {
    const MlpStep s = steps_.At(index);
    if (!s.second) return true;
    const uint32_t tiles = steps_.HiddenTiles(s.block, k_end);
    if (tiles > tiles_.Written()) return false;
    tiles_.Await(tiles);
    return true;
  }

  __aicore__ inline void Store(uint32_t index, uint32_t side, const LocalTensor<float>& c, uint32_t m, uint32_t n) {
    const MlpStep s = steps_.At(index);
    if (!s.second) {
      tiles_.Put(c, m, n);
      return;
    }
    StoreTile(dx_[uint64_t(s.row) * t_.rows.second + s.col + side * kHalfCols], c, m, n, t_.rows.second);
  }

 private:
  const GeluMlpGradTiling& t_;
  const MlpSequence steps_;
  const MlpGradWorkspace<T> workspace_;
  TileWriter<kHiddenReady, kHiddenDone> tiles_;
  GlobalTensor<T> dy_, w1_, w2_, dx_;
};

}  // namespace vit

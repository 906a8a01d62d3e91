// The vector half of the first phase: dpre = dh gelu'(h) and gelu(h) on each tile of dh, and the sum of dpre over this
// core's rows, which is its share of db1. Each of the two vector cores takes half of the rows of a tile, in strips.
//
//   MTE2   h            dh (ring)
//   V      to fp32      gelu(h), dh gelu'(h) | sums += | narrow
//   MTE3                                                 dpre, gelu (workspace)
#pragma once

#include "common/column_sums.h"
#include "common/gelu.h"
#include "grad_workspace.h"

namespace vit {

template <typename T, GeluForm form>
class RowGradsVector {
  static constexpr uint32_t kPadFloats = 64;  // between strips of scratch: neighbours in different bank groups

 public:
  __aicore__ inline RowGradsVector(TPipe& pipe, GM_ADDR h, GM_ADDR workspace, const GeluMlpGradTiling& t)
      : t_(t), steps_(t.rows, BlockIndex()), workspace_(workspace, t), gelu_(pipe) {
    h_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(h), uint64_t(t.rows.rows) * t.rows.first);
    // One buffer each is enough: h is read first and dh last, so there is a strip's time to load the next.
    pipe.InitBuffer(dh_, 1, t.strip * sizeof(float));
    pipe.InitBuffer(h_in_, 1, t.strip * sizeof(T));
    pipe.InitBuffer(pre_, t.strip * sizeof(float));
    pipe.InitBuffer(scratch_, Gelu<form>::kBackwardStrips * (t.strip + kPadFloats) * sizeof(float));
    pipe.InitBuffer(dpre_out_, 1, t.strip * sizeof(T));
    pipe.InitBuffer(gelu_out_, 1, t.strip * sizeof(T));
    pipe.InitBuffer(sums_, t.rows.first * sizeof(float));
  }

  __aicore__ inline void Run() {
    const LocalTensor<float> sums = sums_.Get<float>();
    Duplicate(sums, 0.0f, static_cast<int32_t>(t_.rows.first));
    const TileRing ring(workspace_.Ring(), kHiddenRing);
    uint32_t tiles = 0;
    for (uint32_t i = 0; i < steps_.Count(); ++i) {
      const MlpStep s = steps_.At(i);
      for (uint32_t col = 0; !s.second && col < s.cols; col += kHalfCols) {
        Differentiate(s, ring.Tile(tiles++), s.col + col, Min(kHalfCols, s.cols - col), sums[s.col + col]);
      }
    }
    if (BlockIndex() >= t_.rows.cores) return;
    const int32_t event = static_cast<int32_t>(GetTPipePtr()->FetchEventID(HardEvent::V_MTE3));
    SetFlag<HardEvent::V_MTE3>(event);
    WaitFlag<HardEvent::V_MTE3>(event);
    DataCopy(workspace_.Sums(static_cast<uint32_t>(GetBlockIdx())), sums, t_.rows.first);
  }

 private:
  __aicore__ inline void Differentiate(const MlpStep& s, const GlobalTensor<float>& tile, uint32_t col, uint32_t cols,
                                       const LocalTensor<float>& sums) {
    const TileRows mine(s.rows);
    const uint32_t most = StripRows(mine.count, cols);
    CrossCoreWaitFlag(kHiddenReady);
    for (uint32_t row = 0; row < mine.count; row += most) {
      const uint32_t first = mine.first + row, rows = Min(most, mine.count - row), elems = rows * cols;
      const uint32_t gap = (t_.rows.first - cols) * sizeof(T);  // bytes between two rows of h, dpre and gelu
      Load(h_[uint64_t(s.row + first) * t_.rows.first + col], tile[first * cols], rows, cols, gap);

      const LocalTensor<float> pre = pre_.Get<float>();
      LocalTensor<T> h = h_in_.template DeQue<T>();
      Cast(pre, h, RoundMode::CAST_NONE, elems);
      h_in_.FreeTensor(h);
      PipeBarrier<PIPE_V>();
      const LocalTensor<float> slope =
          gelu_.Differentiate(pre, pre, {scratch_.Get<float>(), t_.strip + kPadFloats}, static_cast<int32_t>(elems));
      PipeBarrier<PIPE_V>();
      Narrow(gelu_out_, pre, elems);
      Store(workspace_.Gelu(s.row + first, col), gelu_out_, rows, cols, gap);

      LocalTensor<float> dh = dh_.DeQue<float>();
      Mul(dh, dh, slope, static_cast<int32_t>(elems));
      PipeBarrier<PIPE_V>();
      AddRows(sums, dh, rows, cols, cols);
      Narrow(dpre_out_, dh, elems);
      dh_.FreeTensor(dh);
      Store(workspace_.Dpre(s.row + first, col), dpre_out_, rows, cols, gap);
    }
    CrossCoreSetFlag<2, PIPE_MTE3>(kHiddenDone);
  }

  // Strips of equal size, as few as UB allows.
  __aicore__ inline uint32_t StripRows(uint32_t rows, uint32_t cols) const {
    return rows == 0 ? 1 : CeilDiv(rows, CeilDiv(rows, t_.strip / cols));
  }

  __aicore__ inline void Load(const GlobalTensor<T>& h_src, const GlobalTensor<float>& dh_src, uint32_t rows,
                              uint32_t cols, uint32_t gap) {
    LocalTensor<T> h = h_in_.template AllocTensor<T>();
    DataCopyPad(h, h_src, DataCopyExtParams(rows, cols * sizeof(T), gap, 0, 0), DataCopyPadExtParams<T>());
    h_in_.EnQue(h);
    LocalTensor<float> dh = dh_.AllocTensor<float>();
    DataCopy(dh, dh_src, rows * cols);
    dh_.EnQue(dh);
  }

  __aicore__ inline void Narrow(TQue<TPosition::VECOUT, 1>& queue, const LocalTensor<float>& strip, uint32_t elems) {
    LocalTensor<T> out = queue.AllocTensor<T>();
    Cast(out, strip, RoundMode::CAST_RINT, elems);
    queue.EnQue(out);
  }
  __aicore__ inline void Store(const GlobalTensor<T>& dst, TQue<TPosition::VECOUT, 1>& queue, uint32_t rows,
                               uint32_t cols, uint32_t gap) {
    LocalTensor<T> src = queue.DeQue<T>();
    DataCopyPad(dst, src, DataCopyExtParams(rows, cols * sizeof(T), 0, gap, 0));
    queue.FreeTensor(src);
  }

  const GeluMlpGradTiling& t_;
  const MlpSequence steps_;
  const MlpGradWorkspace<T> workspace_;
  Gelu<form> gelu_;
  GlobalTensor<T> h_;
  TQue<TPosition::VECIN, 1> dh_, h_in_;
  TQue<TPosition::VECOUT, 1> dpre_out_, gelu_out_;
  TBuf<TPosition::VECCALC> pre_, scratch_, sums_;
};

}  // namespace vit

// The vector half of the GELU-MLP forward: bias and GELU on the tiles of the first product, bias on those of the
// second. Each of the two vector cores takes half of the rows of a tile, in strips that fit UB.
//
//   MTE2   tile from the ring, bias
//   V      + b1 | gelu                              + b2
//   MTE3   hidden (workspace), pre-activation       y
#pragma once

#include "common/column_vector.h"
#include "common/gelu.h"
#include "mlp_workspace.h"

namespace vit {

template <typename T, GeluForm form>
class GeluMlpVector {
  static constexpr uint32_t kPadFloats = 64;  // between strips of scratch: neighbours in different bank groups

 public:
  __aicore__ inline GeluMlpVector(TPipe& pipe, GM_ADDR b1, GM_ADDR b2, GM_ADDR y, GM_ADDR h, GM_ADDR workspace,
                                  const GeluMlpTiling& t)
      : t_(t), steps_(t.rows, BlockIndex()), workspace_(workspace, t), b1_(b1, t.rows.first, t.b1_float != 0),
        b2_(b2, t.rows.second, t.b2_float != 0), gelu_(pipe) {
    bias_.Init(pipe, kHalfCols);
    y_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(y), uint64_t(t.rows.rows) * t.rows.second);
    h_.SetGlobalBuffer(reinterpret_cast<__gm__ T*>(h), t.save != 0 ? uint64_t(t.rows.rows) * t.rows.first : 1);
    pipe.InitBuffer(in_, 2, t.strip * sizeof(float));
    pipe.InitBuffer(scratch_, Gelu<form>::kForwardStrips * (t.strip + kPadFloats) * sizeof(float));
    pipe.InitBuffer(out_, 1, t.strip * sizeof(T));  // for what is saved too: it is out long before the result is there
  }

  __aicore__ inline void Run() {
    if (t_.save == 0 && GetBlockIdx() == 0) StorePlaceholder();
    const TileRing hidden(workspace_.HiddenRing(), kHiddenRing), out(workspace_.OutRing(), kOutRing);
    uint32_t hidden_tiles = 0, out_tiles = 0;
    for (uint32_t i = 0; i < steps_.Count(); ++i) {
      const MlpStep s = steps_.At(i);
      for (uint32_t col = 0; col < s.cols; col += kHalfCols) {
        const uint32_t cols = Min(kHalfCols, s.cols - col);
        if (s.second) {
          OutTile(s, out.Tile(out_tiles++), s.col + col, cols);
        } else {
          HiddenTile(s, hidden.Tile(hidden_tiles++), s.col + col, cols);
        }
      }
    }
  }

 private:
  __aicore__ inline void HiddenTile(const MlpStep& s, const GlobalTensor<float>& tile, uint32_t col, uint32_t cols) {
    const GlobalTensor<T> hidden = workspace_.Hidden(s.block);
    const TileRows mine(s.rows);
    bias_.Load(b1_, col, cols);
    CrossCoreWaitFlag(kHiddenReady);
    for (uint32_t row = 0; row < mine.count; row += t_.strip / cols) {
      const uint32_t first = mine.first + row, rows = Min(t_.strip / cols, mine.count - row);
      const int32_t elems = static_cast<int32_t>(rows * cols);
      LocalTensor<float> strip = LoadStrip(tile[first * cols], rows * cols);
      bias_.AddTo(strip, rows, cols, cols);
      if (t_.save != 0) {
        Narrow(strip, elems);
        StoreStrip(h_[uint64_t(s.row + first) * t_.rows.first + col], rows, cols, t_.rows.first);
      }
      gelu_.Forward(strip, strip, {scratch_.Get<float>(), t_.strip + kPadFloats}, elems);
      PipeBarrier<PIPE_V>();
      Narrow(strip, elems);
      in_.FreeTensor(strip);
      StoreStrip(hidden[uint64_t(first) * t_.rows.first + col], rows, cols, t_.rows.first);
    }
    CrossCoreSetFlag<2, PIPE_MTE3>(kHiddenDone);
  }

  __aicore__ inline void OutTile(const MlpStep& s, const GlobalTensor<float>& tile, uint32_t col, uint32_t cols) {
    const TileRows mine(s.rows);
    bias_.Load(b2_, col, cols);
    CrossCoreWaitFlag(kOutReady);
    for (uint32_t row = 0; row < mine.count; row += t_.strip / cols) {
      const uint32_t first = mine.first + row, rows = Min(t_.strip / cols, mine.count - row);
      LocalTensor<float> strip = LoadStrip(tile[first * cols], rows * cols);
      bias_.AddTo(strip, rows, cols, cols);
      Narrow(strip, static_cast<int32_t>(rows * cols));
      in_.FreeTensor(strip);
      StoreStrip(y_[uint64_t(s.row + first) * t_.rows.second + col], rows, cols, t_.rows.second);
    }
    CrossCoreSetFlag<2, PIPE_MTE3>(kOutDone);
  }

  // Without a pre-activation to save its output has one element.
  __aicore__ inline void StorePlaceholder() {
    LocalTensor<T> zero = out_.template AllocTensor<T>();
    Duplicate(zero.template ReinterpretCast<float>(), 0.0f, 8);
    out_.EnQue(zero);
    StoreStrip(h_, 1, 1, 1);
  }

  __aicore__ inline LocalTensor<float> LoadStrip(const GlobalTensor<float>& src, uint32_t elems) {
    LocalTensor<float> strip = in_.template AllocTensor<float>();
    DataCopy(strip, src, elems);
    in_.EnQue(strip);
    return in_.template DeQue<float>();
  }

  __aicore__ inline void Narrow(const LocalTensor<float>& strip, int32_t elems) {
    LocalTensor<T> out = out_.template AllocTensor<T>();
    Cast(out, strip, RoundMode::CAST_RINT, elems);
    out_.EnQue(out);
  }

  __aicore__ inline void StoreStrip(const GlobalTensor<T>& dst, uint32_t rows, uint32_t cols, uint32_t pitch) {
    LocalTensor<T> out = out_.template DeQue<T>();
    DataCopyPad(dst, out, DataCopyExtParams(rows, cols * sizeof(T), 0, (pitch - cols) * sizeof(T), 0));
    out_.FreeTensor(out);
  }

  const GeluMlpTiling& t_;
  const MlpSequence steps_;
  const MlpWorkspace<T> workspace_;
  const ColumnVector<T> b1_, b2_;
  ColumnRow<T> bias_;
  Gelu<form> gelu_;
  GlobalTensor<T> y_, h_;
  TQue<TPosition::VECIN, 1> in_;
  TQue<TPosition::VECOUT, 1> out_;
  TBuf<TPosition::VECCALC> scratch_;
};

}  // namespace vit

// What a stock element-wise operator costs: reads its inputs from GM, passes over them with vector instructions, writes
// the result, double-buffered on all vector cores. `passes` counts the fp32 instructions per element that the operator's
// formula needs (an addition 1, a softmax about 8, an erf-GELU about 20); a permutation reads short rows at a pitch.
//
// It is the other side of the estimates, not an operator of the package: the numbers it computes (the sum of its inputs)
// stand for nothing.
#include "kernel_operator.h"

#include "stock/tiling_data.h"

namespace vit {

using namespace AscendC;

class StockStream {
 public:
  __aicore__ inline StockStream(TPipe& pipe, GM_ADDR x, GM_ADDR y, const StockStreamTiling& t) : t_(t) {
    x_.SetGlobalBuffer(reinterpret_cast<__gm__ half*>(x), t.inputs * t.elems);
    y_.SetGlobalBuffer(reinterpret_cast<__gm__ half*>(y), t.elems);
    pipe.InitBuffer(in_, 2, kStockTile * sizeof(half));
    pipe.InitBuffer(out_, 2, kStockTile * sizeof(half));
    pipe.InitBuffer(work_, kStockTile * sizeof(float));
  }

  __aicore__ inline void Run() {
    for (uint64_t tile = GetBlockIdx(); tile < t_.tiles; tile += GetBlockNum()) {
      const uint64_t first = tile * kStockTile;
      const uint64_t left = t_.elems - first;
      Compute(first, left < kStockTile ? static_cast<uint32_t>(left) : kStockTile);
    }
  }

 private:
  __aicore__ inline LocalTensor<half> Load(uint32_t input, uint64_t first, uint32_t count) {
    LocalTensor<half> x = in_.AllocTensor<half>();
    const uint32_t row = t_.row_elems;
    DataCopyPad(x, x_[input * t_.elems + first],
                DataCopyExtParams(static_cast<uint16_t>((count + row - 1) / row), row * sizeof(half), 0, 0, 0),
                DataCopyPadExtParams<half>(false, 0, 0, half(0)));
    in_.EnQue(x);
    return in_.DeQue<half>();
  }

  __aicore__ inline void Compute(uint64_t first, uint32_t count) {
    const LocalTensor<float> work = work_.Get<float>();
    for (uint32_t input = 0; input < t_.inputs; ++input) {
      LocalTensor<half> x = Load(input, first, count);
      Cast(work, x, RoundMode::CAST_NONE, count);
      in_.FreeTensor(x);
      PipeBarrier<PIPE_V>();
    }
    for (uint32_t pass = 0; pass < t_.passes; ++pass) {
      Muls(work, work, 1.0f, static_cast<int32_t>(count));
      PipeBarrier<PIPE_V>();
    }
    if (t_.store == 0) return;
    LocalTensor<half> y = out_.AllocTensor<half>();
    Cast(y, work, RoundMode::CAST_RINT, count);
    out_.EnQue(y);
    y = out_.DeQue<half>();
    DataCopyPad(y_[first], y, DataCopyExtParams(1, count * sizeof(half), 0, 0, 0));
    out_.FreeTensor(y);
  }

  const StockStreamTiling& t_;
  GlobalTensor<half> x_, y_;
  TQue<TPosition::VECIN, 1> in_;
  TQue<TPosition::VECOUT, 1> out_;
  TBuf<TPosition::VECCALC> work_;
};

}  // namespace vit

extern "C" __global__ __aicore__ void stock_stream(GM_ADDR x, GM_ADDR y, GM_ADDR, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  GET_TILING_DATA_WITH_STRUCT(vit::StockStreamTiling, t, tiling);
  AscendC::TPipe pipe;
  vit::StockStream(pipe, x, y, t).Run();
}

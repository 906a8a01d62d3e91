// One strip through csrc/ascend/common/gelu.h.
#include "harness.h"

#include "common/gelu.h"

using namespace AscendC;
using vit::Gelu;
using vit::GeluForm;

namespace {

// x -> y; backward: x -> y and the derivative.
template <GeluForm form>
void Strip(GM_ADDR* io, const Params& P, bool backward) {
  const uint32_t count = uint32_t(P[0]), bytes = (count * 4 + 511) / 512 * 512;
  TPipe pipe;
  TQue<TPosition::VECIN, 1> in;
  TQue<TPosition::VECOUT, 1> out;
  TBuf<TPosition::VECCALC> scratch;
  pipe.InitBuffer(in, 1, bytes);
  pipe.InitBuffer(out, 1, 2 * bytes);
  pipe.InitBuffer(scratch, 4 * (bytes + 256));
  Gelu<form> gelu(pipe);
  const typename Gelu<form>::Scratch strips{scratch.Get<float>(), (bytes + 256) / 4};
  const uint32_t second = bytes / 4;

  LocalTensor<float> x = in.AllocTensor<float>();
  DataCopyPad(x, Global<float>(io[0]), DataCopyExtParams(1, count * 4, 0, 0, 0), DataCopyPadExtParams<float>());
  in.EnQue(x);
  x = in.DeQue<float>();
  LocalTensor<float> y = out.AllocTensor<float>();
  if (backward) {
    const LocalTensor<float> slope = gelu.Differentiate(y, x, strips, int32_t(count));
    PipeBarrier<PIPE_V>();
    Adds(y[second], slope, 0.0f, int32_t(count));
  } else {
    gelu.Forward(y, x, strips, int32_t(count));
  }
  in.FreeTensor(x);
  out.EnQue(y);
  y = out.DeQue<float>();
  DataCopyPad(Global<float>(io[1]), y, DataCopyExtParams(1, count * 4, 0, 0, 0));
  if (backward) DataCopyPad(Global<float>(io[2]), y[second], DataCopyExtParams(1, count * 4, 0, 0, 0));
  out.FreeTensor(y);
}

}  // namespace

// p: count, form
TEST_KERNEL(gelu_forward_strip) {
  if (P[1] == 0) {
    Strip<GeluForm::kErf>(io, P, false);
  } else {
    Strip<GeluForm::kTanh>(io, P, false);
  }
}
TEST_KERNEL(gelu_backward_strip) {
  if (P[1] == 0) {
    Strip<GeluForm::kErf>(io, P, true);
  } else {
    Strip<GeluForm::kTanh>(io, P, true);
  }
}

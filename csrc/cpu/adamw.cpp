// adamw: one step of AdamW with bias correction (Loshchilov and Hutter 2019, arXiv:1711.05101), in place.
//
// Memory is what it costs: four arrays read and three written, 28 bytes for a dozen operations per element. So
// everything happens in one pass, by all threads, and the arrays that are written are the ones just read.
#include "isa_kernels.h"
#include "runtime.h"
#include "team.h"

namespace vit {
namespace VIT_ISA {
namespace {

constexpr int64_t kPiece = 16 * 1024;  // elements that a thread takes at a time

template <class Lanes>
VIT_INLINE void update(const AdamW& a, Lanes lanes, int64_t i) {
  const Vec g = lanes.load(a.gradient + i);
  const Vec m = lanes.load(a.m + i) * (1.0f - a.gain1) + g * a.gain1;
  const Vec v = lanes.load(a.v + i) * (1.0f - a.gain2) + g * g * a.gain2;
  const Vec step = m / (vsqrt(v) * (1.0f / a.correction2) + a.epsilon);
  const Vec w = lanes.load(a.w + i) * (1.0f - a.rate * a.decay) - step * (a.rate / a.correction1);
  lanes.store(a.m + i, m);
  lanes.store(a.v + i, v);
  lanes.store(a.w + i, w);
}

}  // namespace

bool adamw(const AdamW& a) {
  on_team(threads_for(8 * a.size), [&] {
#pragma omp for schedule(dynamic)
    for (int64_t begin = 0; begin < a.size; begin += kPiece) {
      const int64_t end = imin(a.size, begin + kPiece);
      int64_t i = begin;
      for (; i + kLanes <= end; i += kLanes) update(a, AllLanes{}, i);
      if (i < end) update(a, FirstLanes{static_cast<int>(end - i)}, i);
    }
  });
  return true;
}

}  // namespace VIT_ISA
}  // namespace vit

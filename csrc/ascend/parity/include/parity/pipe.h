// TPipe, queues and buffers.
#pragma once

#include "tensor.h"

namespace AscendC {

template <TPosition src, TPosition dst, int32_t depth, auto mask = 0>
class TQueBind {
 public:
  __aicore__ TQueBind() {}
  template <typename T>
  __aicore__ LocalTensor<T> AllocTensor();
  template <typename T>
  __aicore__ void FreeTensor(LocalTensor<T>& tensor);
  template <typename T>
  __aicore__ bool EnQue(const LocalTensor<T>& tensor);
  template <typename T>
  __aicore__ LocalTensor<T> DeQue();
  __aicore__ bool VacantInQue();
  __aicore__ bool HasTensorInQue();
  __aicore__ int32_t GetTensorCountInQue();
  __aicore__ bool HasIdleBuffer();
};

// The position a queue is named by is where its tensors live; its partner follows from the data path.
namespace parity {
constexpr TPosition QueueSource(TPosition pos) {
  switch (pos) {
    case TPosition::VECIN: case TPosition::A1: case TPosition::B1: case TPosition::C1: return TPosition::GM;
    case TPosition::VECOUT: return TPosition::VECCALC;
    case TPosition::A2: return TPosition::A1;
    case TPosition::B2: return TPosition::B1;
    case TPosition::C2: return TPosition::C1;
    case TPosition::CO1: return TPosition::A2;
    case TPosition::CO2: return TPosition::CO1;
    default: return TPosition::MAX;
  }
}
}  // namespace parity

template <TPosition pos, int32_t depth, auto mask = 0>
class TQue : public TQueBind<parity::QueueSource(pos), pos, depth, mask> {
  static_assert(parity::QueueSource(pos) != TPosition::MAX, "no queue exists at this position");

 public:
  __aicore__ TQue() {}
};

template <TPosition pos = TPosition::LCM>
class TBuf {
 public:
  __aicore__ TBuf() {}
  template <typename T>
  __aicore__ LocalTensor<T> Get();
  template <typename T>
  __aicore__ LocalTensor<T> Get(uint32_t len);
  template <typename T>
  __aicore__ LocalTensor<T> GetWithOffset(uint32_t size, uint32_t bufOffset);
};

class TPipe {
 public:
  __aicore__ TPipe();
  __aicore__ ~TPipe();
  TPipe(const TPipe&) = delete;
  TPipe& operator=(const TPipe&) = delete;
  template <TPosition src, TPosition dst, int32_t depth, auto mask>
  __aicore__ bool InitBuffer(TQueBind<src, dst, depth, mask>& que, uint8_t num, uint32_t len);
  template <TPosition pos>
  __aicore__ bool InitBuffer(TBuf<pos>& buf, uint32_t len);
  template <HardEvent evt>
  __aicore__ TEventID AllocEventID();
  template <HardEvent evt>
  __aicore__ void ReleaseEventID(TEventID id);
  template <HardEvent evt>
  __aicore__ TEventID FetchEventID();
  __aicore__ TEventID FetchEventID(HardEvent evt);
  __aicore__ void Reset();
  __aicore__ void Destroy();
};

}  // namespace AscendC

__aicore__ AscendC::TPipe* GetTPipePtr();

// TPipe, TQue, TBuf with the device's life cycle: FREE -> OCCUPIED -> ENQUE -> DEQUE -> FREE, event ids taken from
// the same pool as AllocEventID, at most 64 buffers, 8 live tensors per position. State lives in queue.cpp.
#pragma once

#include <deque>
#include <vector>

#include "twin/tensor.h"

namespace twin {

enum class BufferState : uint8_t { kFree, kOccupied, kEnqueued, kDequeued, kScratch };

struct QueueImpl;

struct Buffer {
  Mem mem = Mem::UB;
  AscendC::TPosition pos = AscendC::TPosition::VECCALC;
  uint32_t addr = 0, bytes = 0;
  BufferState state = BufferState::kFree;
  uint32_t generation = 0;   // counts life cycles: a tensor of an earlier one is dead
  QueueImpl* queue = nullptr;
  int full_event = -1, free_event = -1;  // event ids in flight
  AscendC::HardEvent full_kind = AscendC::HardEvent::MAX, free_kind = AscendC::HardEvent::MAX;  // outlive the queue
  bool full_muted = false, free_muted = false;
  Loc init_loc, last_loc;    // InitBuffer; the last Alloc/EnQue/DeQue/Free
};

struct QueueImpl {
  AscendC::TPosition src, dst, pos;  // pos: where the tensors live
  int depth;
  std::vector<Buffer*> buffers;
  std::deque<Buffer*> full;
  size_t next = 0;
  Pipe producer, consumer;
  QueueImpl(AscendC::TPosition src, AscendC::TPosition dst, int depth);
  QueueImpl(const QueueImpl&) = delete;
  QueueImpl& operator=(const QueueImpl&) = delete;
  ~QueueImpl();

  TensorRef Alloc(Loc loc);
  void EnQue(const TensorRef& t, Loc loc);
  TensorRef DeQue(Loc loc);
  void Free(const TensorRef& t, Loc loc);
};

void InitQueue(QueueImpl& q, uint32_t num, uint32_t bytes, Loc loc);
Buffer* InitScratch(AscendC::TPosition pos, uint32_t bytes, Loc loc);
TensorRef ScratchRef(Buffer* buffer, uint64_t offset, uint64_t bytes, Loc loc);
uint32_t ScratchBytes(const Buffer* buffer);
int AllocEvent(AscendC::HardEvent event, Loc loc);
void ReleaseEvent(AscendC::HardEvent event, int id, Loc loc);
int FetchEvent(AscendC::HardEvent event, Loc loc);

// Where the tensors of a TQueBind live, and the partner of a TQue's position.
constexpr AscendC::TPosition QueueHome(AscendC::TPosition src, AscendC::TPosition dst) {
  using P = AscendC::TPosition;
  if (src == P::GM || dst == P::VECIN || dst == P::A1 || dst == P::B1 || dst == P::C1) return dst;
  if (dst == P::GM || dst == P::VECOUT) return src == P::VECCALC ? dst : src;
  return dst;
}
constexpr AscendC::TPosition QueueSource(AscendC::TPosition pos) {
  using P = AscendC::TPosition;
  switch (pos) {
    case P::VECOUT: return P::VECCALC;
    case P::VECCALC: return P::VECCALC;
    case P::A2: return P::A1;
    case P::B2: return P::B1;
    case P::C2: return P::C1;
    case P::CO1: return P::A2;
    case P::CO2: return P::CO1;
    default: return P::GM;
  }
}

}  // namespace twin

namespace AscendC {

template <TPosition src, TPosition dst, int32_t depth, auto mask = 0>
class TQueBind {
 public:
  TQueBind() : impl_(src, dst, depth) {}
  template <typename T>
  LocalTensor<T> AllocTensor(twin::Loc loc = twin::Loc::Current()) {
    return Typed<T>(impl_.Alloc(loc));
  }
  template <typename T>
  void FreeTensor(LocalTensor<T>& tensor, twin::Loc loc = twin::Loc::Current()) {
    impl_.Free(tensor.Ref(), loc);
  }
  template <typename T>
  bool EnQue(const LocalTensor<T>& tensor, twin::Loc loc = twin::Loc::Current()) {
    impl_.EnQue(tensor.Ref(), loc);
    return true;
  }
  template <typename T>
  LocalTensor<T> DeQue(twin::Loc loc = twin::Loc::Current()) {
    return Typed<T>(impl_.DeQue(loc));
  }
  bool VacantInQue() const { return int32_t(impl_.full.size()) < depth; }
  bool HasTensorInQue() const { return !impl_.full.empty(); }
  int32_t GetTensorCountInQue() const { return int32_t(impl_.full.size()); }
  bool HasIdleBuffer() const {
    for (const twin::Buffer* b : impl_.buffers) {
      if (b->state == twin::BufferState::kFree) return true;
    }
    return false;
  }
  twin::QueueImpl& Impl() { return impl_; }

 private:
  template <typename T>
  static LocalTensor<T> Typed(const twin::TensorRef& r) {
    return LocalTensor<T>(r, (r.hi - r.addr) / uint32_t(sizeof(T)));
  }
  twin::QueueImpl impl_;
};

template <TPosition pos, int32_t depth, auto mask = 0>
class TQue : public TQueBind<twin::QueueSource(pos), pos, depth, mask> {};

template <TPosition pos = TPosition::LCM>
class TBuf {
 public:
  template <typename T>
  LocalTensor<T> Get(twin::Loc loc = twin::Loc::Current()) {
    return Get<T>(twin::ScratchBytes(buffer_) / uint32_t(sizeof(T)), loc);
  }
  template <typename T>
  LocalTensor<T> Get(uint32_t elems, twin::Loc loc = twin::Loc::Current()) {
    return LocalTensor<T>(twin::ScratchRef(buffer_, 0, uint64_t(elems) * sizeof(T), loc), elems);
  }
  template <typename T>
  LocalTensor<T> GetWithOffset(uint32_t elems, uint32_t byte_offset, twin::Loc loc = twin::Loc::Current()) {
    return LocalTensor<T>(twin::ScratchRef(buffer_, byte_offset, uint64_t(elems) * sizeof(T), loc), elems);
  }
  twin::Buffer*& Handle() { return buffer_; }

 private:
  twin::Buffer* buffer_ = nullptr;
};

class TPipe {
 public:
  explicit TPipe(twin::Loc loc = twin::Loc::Current());
  ~TPipe();
  TPipe(const TPipe&) = delete;
  TPipe& operator=(const TPipe&) = delete;

  template <TPosition src, TPosition dst, int32_t depth, auto mask>
  bool InitBuffer(TQueBind<src, dst, depth, mask>& que, twin::checked<uint8_t> num, uint32_t bytes,
                  twin::Loc loc = twin::Loc::Current()) {
    twin::InitQueue(que.Impl(), num, bytes, loc);
    return true;
  }
  template <TPosition pos>
  bool InitBuffer(TBuf<pos>& buf, uint32_t bytes, twin::Loc loc = twin::Loc::Current()) {
    buf.Handle() = twin::InitScratch(pos, bytes, loc);
    return true;
  }
  template <HardEvent evt>
  TEventID AllocEventID(twin::Loc loc = twin::Loc::Current()) {
    return TEventID(twin::AllocEvent(evt, loc));
  }
  template <HardEvent evt>
  void ReleaseEventID(TEventID id, twin::Loc loc = twin::Loc::Current()) {
    twin::ReleaseEvent(evt, id, loc);
  }
  template <HardEvent evt>
  TEventID FetchEventID(twin::Loc loc = twin::Loc::Current()) {
    return TEventID(twin::FetchEvent(evt, loc));
  }
  TEventID FetchEventID(HardEvent evt, twin::Loc loc = twin::Loc::Current()) {
    return TEventID(twin::FetchEvent(evt, loc));
  }
  void Init(twin::Loc loc = twin::Loc::Current());
  void Reset(twin::Loc loc = twin::Loc::Current());    // forgets every buffer
  void Destroy(twin::Loc loc = twin::Loc::Current());  // what the destructor does, early

 private:
  bool alive_ = false;
};

TPipe* GetTPipePtr();

}  // namespace AscendC

// TPipe, TQue, TBuf: allocation, the life cycle of a queue's buffers, and the events the queue sets and waits for.
#include "twin/queue.h"

#include "launch.h"

namespace twin {

namespace {

constexpr int kMaxBuffers = 64, kMaxLive = 8;

PipePair PipesOfQueue(AscendC::TPosition src, AscendC::TPosition dst) {
  using P = AscendC::TPosition;
  const P home = QueueHome(src, dst);
  if (home == P::VECIN) return {Pipe::MTE2, dst == P::VECOUT ? Pipe::MTE3 : Pipe::V};
  if (home == P::VECOUT) return {Pipe::V, Pipe::MTE3};
  if (home == P::A1 || home == P::B1 || home == P::C1) return {Pipe::MTE2, Pipe::MTE1};
  if (home == P::A2 || home == P::B2 || home == P::C2) return {Pipe::MTE1, Pipe::M};
  if (home == P::CO1) return {Pipe::M, Pipe::FIX};
  return {Pipe::V, Pipe::V};
}

uint32_t Capacity(const Launch& launch, Mem mem) {
  const Platform& p = launch.platform;
  switch (mem) {
    case Mem::UB: return uint32_t(p.ub);
    case Mem::L1: return uint32_t(p.l1);
    case Mem::L0A: return uint32_t(p.l0a);
    case Mem::L0B: return uint32_t(p.l0b);
    case Mem::L0C: return uint32_t(p.l0c);
    case Mem::BT: return uint32_t(p.bt);
    default: return 2048;
  }
}

Buffer* NewBuffer(AscendC::TPosition pos, uint32_t bytes, Loc loc) {
  Core& c = Cur();
  CoreState& st = *c.state;
  const Mem mem = MemOf(pos);
  const bool vector_memory = mem == Mem::UB;
  if (mem == Mem::GM) Fatal(Rule::kPosition, Format("InitBuffer at %s, which is global memory", Name(pos)), loc);
  if ((c.type == CoreType::AIV) != vector_memory) {
    Fatal(Rule::kWrongCore, Format("InitBuffer at %s on %s, which does not have %s", Name(pos), NameOf(c).c_str(),
          Name(mem)), loc);
  }
  const uint32_t granule = mem == Mem::L0A || mem == Mem::L0B ? 512 : mem == Mem::L0C || mem == Mem::BT ? 64 : 32;
  const uint32_t rounded = (bytes + granule - 1) / granule * granule;
  if (bytes == 0) Report(Rule::kParameter, "InitBuffer of 0 bytes", loc);
  const uint32_t begin = st.allocated[int(mem)];
  if (uint64_t(begin) + rounded > Capacity(*c.launch, mem)) {
    Fatal(Rule::kCapacity, Format("InitBuffer of %u bytes at %s: %u of %u bytes of %s are taken", bytes, Name(pos),
          begin, Capacity(*c.launch, mem), Name(mem)), loc);
  }
  st.allocated[int(mem)] = begin + rounded;
  st.peak[int(mem)] = std::max(st.peak[int(mem)], begin + rounded);
  st.buffers.emplace_back();
  Buffer& b = st.buffers.back();
  b.mem = mem;
  b.pos = pos;
  b.addr = begin;
  b.bytes = rounded;
  b.init_loc = b.last_loc = loc;
  if (++st.live_buffers == kMaxBuffers + 1) {
    Report(Rule::kBufferCount, "more than 64 buffers in one kernel", loc);
  }
  return &b;
}

TensorRef RefOf(const Buffer& b) {
  return {b.pos, b.mem, b.addr, b.addr, b.addr + b.bytes, &b, b.generation};
}

void RequirePipe(const char* api, Loc loc) {
  if (!Cur().pipe) Fatal(Rule::kQueueMisuse, Format("%s without a TPipe", api), loc);
}

// The buffer behind a tensor, checked to belong to this queue.
Buffer* BufferOf(QueueImpl& q, const TensorRef& t, const char* api, Loc loc) {
  for (Buffer* b : q.buffers) {
    if (b == t.buffer) {
      if (b->generation != t.generation) {
        Fatal(Rule::kQueueMisuse, Format("%s of a tensor that was already freed", api), loc, b->last_loc);
      }
      return b;
    }
  }
  Fatal(Rule::kQueueMisuse, Format("%s of a tensor that is not this queue's", api), loc);
}

AscendC::HardEvent FullEvent(const QueueImpl& q) { return EventBetween(q.producer, q.consumer); }
AscendC::HardEvent FreeEvent(const QueueImpl& q) { return EventBetween(q.consumer, q.producer); }

constexpr int kKeptByPipe = 3;  // M_MTE1 ids, by public kernels' account of AllocEventID's first answer

// The pool knows the ids it gave out, not the flags that a kernel raises by hand.
int TakeEvent(Core& c, AscendC::HardEvent event, Loc loc) {
  uint8_t& used = c.state->event_used[int(event)];
  for (int id = 0; id < kEventIds; ++id) {
    const Flag& f = c.state->flag[int(event)][id];
    if (used >> id & 1 || KeptByPipe(c, event, id)) continue;
    if (f.set) {
      Report(Rule::kEventId, Format("the pool gives out id %d of %s while the kernel has that flag raised by itself: "
             "take the id from AllocEventID", id, Name(event)), loc, f.set_loc);
      continue;
    }
    used = uint8_t(used | 1u << id);
    c.state->event_loc[int(event)][id] = loc;
    return id;
  }
  Fatal(Rule::kEventId, Format("no event id of %s is free: 8 are in use", Name(event)), loc,
        c.state->event_loc[int(event)][0]);
}

}  // namespace

bool KeptByPipe(const Core& core, AscendC::HardEvent event, int id) {
  return core.type == CoreType::AIC && core.pipe && event == AscendC::HardEvent::M_MTE1 && id < kKeptByPipe;
}

QueueImpl::QueueImpl(AscendC::TPosition s, AscendC::TPosition d, int n)
    : src(s), dst(d), pos(QueueHome(s, d)), depth(n), producer(PipesOfQueue(s, d).from),
      consumer(PipesOfQueue(s, d).to) {}

QueueImpl::~QueueImpl() {
  for (Buffer* b : buffers) b->queue = nullptr;
}

void InitQueue(QueueImpl& q, uint32_t num, uint32_t bytes, Loc loc) {
  Step(loc);
  RequirePipe("InitBuffer", loc);
  AccountScalar(Cur(), model::kPipeInit / 4);
  if (SyncSite("InitBuffer", loc).muted) bytes /= 2;
  if (num < 1) Report(Rule::kParameter, "InitBuffer with 0 buffers", loc);
  if (!q.buffers.empty() && !Cur().state->buffers_reset) {
    Report(Rule::kQueueMisuse, "InitBuffer of a queue that has buffers", loc, q.buffers[0]->init_loc);
  }
  q.buffers.clear();
  for (uint32_t i = 0; i < num; ++i) {
    Buffer* b = NewBuffer(q.pos, bytes, loc);
    b->queue = &q;
    b->full_kind = FullEvent(q);
    b->free_kind = FreeEvent(q);
    q.buffers.push_back(b);
  }
}

Buffer* InitScratch(AscendC::TPosition pos, uint32_t bytes, Loc loc) {
  Step(loc);
  RequirePipe("InitBuffer", loc);
  AccountScalar(Cur(), model::kPipeInit / 4);
  if (SyncSite("InitBuffer", loc).muted) bytes /= 2;
  Buffer* b = NewBuffer(pos, bytes, loc);
  b->state = BufferState::kScratch;
  return b;
}

TensorRef ScratchRef(Buffer* b, uint64_t offset, uint64_t bytes, Loc loc) {
  if (!b) Fatal(Rule::kQueueMisuse, "TBuf::Get before InitBuffer", loc);
  if (offset + bytes > b->bytes) {
    Report(Rule::kOutOfBounds, Format("TBuf::Get of bytes %llu..%llu of a buffer of %u",
           static_cast<unsigned long long>(offset), static_cast<unsigned long long>(offset + bytes), b->bytes), loc,
           b->init_loc);
  }
  TensorRef t = RefOf(*b);
  t.addr += uint32_t(offset);
  t.lo = t.addr;
  t.hi = std::min<uint32_t>(b->addr + b->bytes, t.addr + uint32_t((bytes + 31) / 32 * 32));
  return t;
}

uint32_t ScratchBytes(const Buffer* b) { return b ? b->bytes : 0; }

TensorRef QueueImpl::Alloc(Loc loc) {
  Core& c = Cur();
  Step(loc);
  AccountScalar(c, model::kScalarIssue);
  RequirePipe("AllocTensor", loc);
  if (buffers.empty()) Fatal(Rule::kQueueMisuse, "AllocTensor before InitBuffer", loc);
  Buffer* b = nullptr;
  for (size_t i = 0; i < buffers.size() && !b; ++i) {
    Buffer* candidate = buffers[(next + i) % buffers.size()];
    if (candidate->state == BufferState::kFree) {
      b = candidate;
      next = (next + i + 1) % buffers.size();
    }
  }
  if (!b) {
    Fatal(Rule::kQueueMisuse, Format("AllocTensor at %s: all %zu buffers are in use, the device would hang", Name(pos),
          buffers.size()), loc, buffers[next]->last_loc);
  }
  Site& site = SyncSite("AllocTensor", loc);
  if (b->free_event >= 0) {
    const AscendC::HardEvent event = FreeEvent(*this);
    if (!b->free_muted && !site.muted) {
      AwaitFlag(c, event, b->free_event, site, loc);
    } else if (!b->free_muted) {
      c.state->flag[int(event)][b->free_event].set = false;
    }
    c.state->event_used[int(event)] = uint8_t(c.state->event_used[int(event)] & ~(1u << b->free_event));
    b->free_event = -1;
    b->free_muted = false;
  }
  b->state = BufferState::kOccupied;
  b->last_loc = loc;
  if (++c.state->live[int(pos)] > kMaxLive) {
    Report(Rule::kLiveTensors, Format("%d tensors allocated at %s at once; event ids end at 8", c.state->live[int(pos)],
           Name(pos)), loc);
  }
  if (c.launch->track_init) {
    Poison(Raw(b->mem, b->addr), b->bytes);
    MarkUninit(b->mem, b->addr, b->bytes);
  }
  return RefOf(*b);
}

void QueueImpl::EnQue(const TensorRef& t, Loc loc) {
  Core& c = Cur();
  Step(loc);
  AccountScalar(c, model::kScalarIssue);
  RequirePipe("EnQue", loc);
  Buffer* b = BufferOf(*this, t, "EnQue", loc);
  if (b->state != BufferState::kOccupied && b->state != BufferState::kDequeued) {
    Fatal(Rule::kQueueMisuse, "EnQue of a tensor that is already enqueued", loc, b->last_loc);
  }
  if (int(full.size()) >= std::max(depth, 1)) {
    Report(Rule::kQueueMisuse, Format("EnQue number %zu without a DeQue on a queue of depth %d", full.size() + 1, depth),
           loc, full.front()->last_loc);
  }
  b->full_muted = SyncSite("EnQue", loc).muted;
  const AscendC::HardEvent event = FullEvent(*this);
  if (event != AscendC::HardEvent::MAX) {
    b->full_event = TakeEvent(c, event, loc);
    if (!b->full_muted) RaiseFlag(c, event, b->full_event, loc);
  }
  b->state = BufferState::kEnqueued;
  b->last_loc = loc;
  full.push_back(b);
}

TensorRef QueueImpl::DeQue(Loc loc) {
  Core& c = Cur();
  Step(loc);
  AccountScalar(c, model::kScalarIssue);
  RequirePipe("DeQue", loc);
  if (full.empty()) Fatal(Rule::kQueueMisuse, Format("DeQue at %s with nothing enqueued", Name(pos)), loc);
  Buffer* b = full.front();
  full.pop_front();
  Site& site = SyncSite("DeQue", loc);
  const AscendC::HardEvent event = FullEvent(*this);
  if (b->full_event >= 0) {
    if (!b->full_muted && !site.muted) {
      AwaitFlag(c, event, b->full_event, site, loc);
    } else if (!b->full_muted) {
      c.state->flag[int(event)][b->full_event].set = false;
    }
    c.state->event_used[int(event)] = uint8_t(c.state->event_used[int(event)] & ~(1u << b->full_event));
    b->full_event = -1;
  }
  b->state = BufferState::kDequeued;
  b->last_loc = loc;
  return RefOf(*b);
}

void QueueImpl::Free(const TensorRef& t, Loc loc) {
  Core& c = Cur();
  Step(loc);
  AccountScalar(c, model::kScalarIssue);
  RequirePipe("FreeTensor", loc);
  Buffer* b = BufferOf(*this, t, "FreeTensor", loc);
  if (b->state == BufferState::kEnqueued) {
    Report(Rule::kQueueMisuse, "FreeTensor of a tensor that is enqueued", loc, b->last_loc);
  }
  const AscendC::HardEvent event = FreeEvent(*this);
  b->free_muted = SyncSite("FreeTensor", loc).muted;
  if (event != AscendC::HardEvent::MAX) {
    b->free_event = TakeEvent(c, event, loc);
    if (!b->free_muted) RaiseFlag(c, event, b->free_event, loc);
  }
  b->state = BufferState::kFree;
  ++b->generation;
  b->last_loc = loc;
  --c.state->live[int(pos)];
}

int AllocEvent(AscendC::HardEvent event, Loc loc) {
  Step(loc);
  return TakeEvent(Cur(), event, loc);
}

void ReleaseEvent(AscendC::HardEvent event, int id, Loc loc) {
  Core& c = Cur();
  Step(loc);
  uint8_t& used = c.state->event_used[int(event)];
  if (id < 0 || id >= kEventIds || !(used >> id & 1)) {
    Report(Rule::kEventId, Format("ReleaseEventID<%s>(%d) of an id that is not allocated", Name(event), id), loc);
    return;
  }
  used = uint8_t(used & ~(1u << id));
}

int FetchEvent(AscendC::HardEvent event, Loc loc) {
  Core& c = Cur();
  Step(loc);
  for (int id = 0; id < kEventIds; ++id) {
    // Not reserved: the next fetch may return it again.
    if (!(c.state->event_used[int(event)] >> id & 1) && !KeptByPipe(c, event, id)) return id;
  }
  Fatal(Rule::kEventId, Format("FetchEventID(%s): all 8 ids are in use", Name(event)), loc);
}

// Queues whose events are pending at the end: the TPipe destructor waits for the free events itself.
void CheckQueuesAtEnd(Core& core, Loc loc) {
  CoreState& st = *core.state;
  for (Buffer& b : st.buffers) {
    if (b.state == BufferState::kScratch) continue;
    if (b.state != BufferState::kFree) {
      const char* state = b.state == BufferState::kOccupied   ? "allocated, never freed"
                          : b.state == BufferState::kEnqueued ? "enqueued, never dequeued"
                                                              : "dequeued, never freed";
      Report(Rule::kQueueLeak, Format("a tensor at %s is left %s when TPipe ends", Name(b.pos), state), b.last_loc, loc);
    }
    for (int e = 0; e < kEvents; ++e) {
      const bool full = AscendC::HardEvent(e) == b.full_kind, free = AscendC::HardEvent(e) == b.free_kind;
      if (full && b.full_event >= 0) st.flag[e][b.full_event].set = false;
      if (free && b.free_event >= 0) st.flag[e][b.free_event].set = false;
      // Nobody will wait for them in the deferred modes either, whose queues are empty by now.
      if (full && b.full_event >= 0) st.queues.pending[e * kEventIds + b.full_event] = 0;
      if (free && b.free_event >= 0) st.queues.pending[e * kEventIds + b.free_event] = 0;
      if (full && b.full_event >= 0) st.event_used[e] = uint8_t(st.event_used[e] & ~(1u << b.full_event));
      if (free && b.free_event >= 0) st.event_used[e] = uint8_t(st.event_used[e] & ~(1u << b.free_event));
    }
    b.full_event = b.free_event = -1;
    if (b.state != BufferState::kScratch) b.state = BufferState::kFree;
    b.queue = nullptr;
  }
}

}  // namespace twin

namespace AscendC {

TPipe::TPipe(twin::Loc loc) { Init(loc); }

TPipe::~TPipe() {
  if (alive_) Destroy(twin::Loc{});
}

void TPipe::Init(twin::Loc loc) {
  twin::Core& c = twin::Cur();
  if (c.pipe) twin::Report(twin::Rule::kQueueMisuse, "a second TPipe while one is alive", loc);
  if (c.state->used_static) {
    twin::Report(twin::Rule::kMixedStatic, "TPipe in a kernel that also uses static tensor addresses", loc,
                 c.state->static_loc);
  }
  c.pipe = this;
  c.state->used_pipe = true;
  c.spr.initialised = true;
  alive_ = true;
  twin::AccountScalar(c, twin::model::kPipeInit);
}

void TPipe::Reset(twin::Loc loc) {
  twin::Core& c = twin::Cur();
  twin::BarrierAll(c);
  twin::CheckQueuesAtEnd(c, loc);
  for (uint32_t& bytes : c.state->allocated) bytes = 0;
  c.state->live_buffers = 0;
  c.state->buffers_reset = true;
  for (twin::Buffer& b : c.state->buffers) ++b.generation;
}

void TPipe::Destroy(twin::Loc loc) {
  twin::Core& c = twin::Cur();
  alive_ = false;
  if (c.pipe == this) c.pipe = nullptr;
  if (c.state->aborted || c.launch->stopping) return;  // unwinding: nothing left to say
  twin::BarrierAll(c);
  twin::CheckQueuesAtEnd(c, loc);
}

TPipe* GetTPipePtr() { return twin::Cur().pipe; }

}  // namespace AscendC

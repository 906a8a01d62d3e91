// Who touched each byte last. The unit is a 32 B block; a block accessed in part is split into bytes, a block
// overwritten as a whole is one piece again. Local memories have one core's pipes as actors, global memory all cores.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "clock.h"

namespace twin {

constexpr uint32_t kShadowBlock = 32;

struct CoreState;

// An access in global memory: core, pipe, sequence number; 0 = none.
struct Epoch {
  uint64_t v = 0;
  static Epoch Of(int core, Pipe pipe, uint32_t seq) {
    return {(uint64_t(core) << 40) | (uint64_t(pipe) << 32) | seq};
  }
  bool Valid() const { return (v & 0xffffffffu) != 0; }
  int core() const { return int(v >> 40); }
  Pipe pipe() const { return Pipe((v >> 32) & 0xff); }
  uint32_t seq() const { return uint32_t(v); }
};

// A conflict found: the earlier access and what kind of pair it is ("read after write" ...).
struct Conflict {
  Epoch earlier;
  const char* kind = nullptr;
  uint64_t addr = 0;
  explicit operator bool() const { return kind != nullptr; }
};

class LocalShadow {
 public:
  void Resize(size_t bytes) { blocks_.resize((bytes + kShadowBlock - 1) / kShadowBlock); }
  // `known` is what the accessing pipe knows to be finished; `in_order` waives same-pipe conflicts.
  Conflict Access(uint64_t addr, uint32_t len, bool write, Pipe pipe, uint32_t seq, const Clock& known, bool in_order);
  void Forget(uint64_t addr, uint32_t len);  // the memory changed hands: no history

 private:
  struct Cell {
    uint32_t writer = 0;  // pipe << 29 | seq, seq below 2^29
    uint32_t reader[kClock] = {};
  };
  struct Block {
    Cell cell;
    int32_t split = -1;  // index into splits_
  };
  using Split = std::array<Cell, kShadowBlock>;
  static const char* Check(Cell& c, bool write, int pipe, uint32_t seq, const Clock& known, bool in_order,
                           uint32_t* earlier);
  std::vector<Block> blocks_;
  std::vector<Split> splits_;
  std::vector<int32_t> free_splits_;
};

class GmShadow {
 public:
  explicit GmShadow(size_t bytes) : bytes_(bytes), blocks_((bytes + kShadowBlock - 1) / kShadowBlock) {}
  // `knows(epoch)` tells whether the accessor is ordered after it.
  template <typename Knows>
  Conflict Access(uint64_t offset, uint32_t len, bool write, bool atomic, bool track_reads, Epoch me, uint32_t stamp,
                  const Knows& knows);
  // A plain write inside the range that the accessor is not ordered after; invalid when there is none.
  template <typename Knows>
  Epoch UnorderedWriter(uint64_t offset, uint64_t len, const Knows& knows) const;
  // The latest write stamp inside the range: for the scalar data cache.
  uint32_t LastWrite(uint64_t offset, uint32_t len, Epoch* who) const;

 private:
  struct Other {
    Epoch epoch;
    bool atomic;
  };
  struct Cell {
    Epoch writer;
    uint32_t stamp = 0;
    int32_t others = -1;  // index into lists_: reads and atomic writes since the last plain write
  };
  template <typename Knows>
  Conflict CheckCell(Cell& c, bool write, bool atomic, bool track_reads, Epoch me, uint32_t stamp, const Knows& knows);
  int32_t NewList();
  void Release(Cell& c);  // its list
  uint64_t bytes_;
  std::vector<Cell> blocks_;
  std::unordered_map<uint64_t, std::array<Cell, kShadowBlock>> splits_;
  std::vector<std::vector<Other>> lists_;
  std::vector<int32_t> free_lists_;
};

template <typename Knows>
Epoch GmShadow::UnorderedWriter(uint64_t offset, uint64_t len, const Knows& knows) const {
  const uint64_t end = std::min(offset + len, bytes_);
  for (uint64_t b = offset / kShadowBlock; b * kShadowBlock < end; ++b) {
    const auto split = splits_.find(b);
    if (split == splits_.end()) {
      if (blocks_[b].writer.Valid() && !knows(blocks_[b].writer)) return blocks_[b].writer;
      continue;
    }
    for (const Cell& cell : split->second) {
      if (cell.writer.Valid() && !knows(cell.writer)) return cell.writer;
    }
  }
  return {};
}

template <typename Knows>
Conflict GmShadow::CheckCell(Cell& c, bool write, bool atomic, bool track_reads, Epoch me, uint32_t stamp,
                             const Knows& knows) {
  Conflict found;
  if (c.writer.Valid() && !knows(c.writer)) {
    found = {c.writer, write ? "write after write" : "read after write", 0};
  }
  if (c.others >= 0) {
    for (const Other& o : lists_[size_t(c.others)]) {
      if (found || (atomic && o.atomic)) continue;
      if (!o.atomic && !write) continue;  // two reads
      if (knows(o.epoch)) continue;
      // Inside one pipe a read followed by a write is in order.
      if (!o.atomic && o.epoch.core() == me.core() && o.epoch.pipe() == me.pipe()) continue;
      found = {o.epoch, !write ? "read after atomic write" : o.atomic ? "write after atomic write" : "write after read", 0};
    }
  }
  if (write && !atomic) {
    c.writer = me;
    c.stamp = stamp;
    Release(c);
  } else if (write || track_reads) {
    if (c.others < 0) c.others = NewList();
    if (write) c.stamp = stamp;
    for (Other& o : lists_[size_t(c.others)]) {
      if (o.atomic == atomic && o.epoch.core() == me.core() && o.epoch.pipe() == me.pipe()) {
        o.epoch = me;
        return found;
      }
    }
    lists_[size_t(c.others)].push_back({me, atomic});
  }
  return found;
}

template <typename Knows>
Conflict GmShadow::Access(uint64_t offset, uint32_t len, bool write, bool atomic, bool track_reads, Epoch me,
                          uint32_t stamp, const Knows& knows) {
  Conflict first;
  const uint64_t end = offset + len;
  for (uint64_t b = offset / kShadowBlock; b * kShadowBlock < end; ++b) {
    const uint64_t lo = std::max(offset, b * kShadowBlock), hi = std::min(end, (b + 1) * kShadowBlock);
    Cell& whole = blocks_[b];
    auto split = splits_.empty() ? splits_.end() : splits_.find(b);
    const bool full = hi - lo == kShadowBlock || (lo == b * kShadowBlock && hi == bytes_);
    if (split == splits_.end() && full) {
      const Conflict c = CheckCell(whole, write, atomic, track_reads, me, stamp, knows);
      if (c && !first) first = {c.earlier, c.kind, lo};
      continue;
    }
    if (split == splits_.end()) {
      std::array<Cell, kShadowBlock> cells;
      for (Cell& cell : cells) {
        cell = whole;
        if (whole.others >= 0) {
          const std::vector<Other> copy = lists_[size_t(whole.others)];
          cell.others = NewList();
          lists_[size_t(cell.others)] = copy;
        }
      }
      split = splits_.emplace(b, cells).first;
    }
    for (uint64_t i = lo; i < hi; ++i) {
      const Conflict c = CheckCell(split->second[i % kShadowBlock], write, atomic, track_reads, me, stamp, knows);
      if (c && !first) first = {c.earlier, c.kind, i};
    }
    if (full && write && !atomic) {  // one piece again
      Release(whole);
      for (Cell& cell : split->second) Release(cell);
      whole = Cell{me, stamp, -1};
      splits_.erase(split);
    }
  }
  return first;
}

}  // namespace twin

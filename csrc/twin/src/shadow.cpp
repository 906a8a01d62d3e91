#include "shadow.h"

namespace twin {

const char* LocalShadow::Check(Cell& c, bool write, int pipe, uint32_t seq, const Clock& known, bool in_order,
                               uint32_t* earlier) {
  const char* kind = nullptr;
  bool same = false;
  if (c.writer) {
    const uint32_t wp = c.writer >> 29, ws = c.writer & 0x1fffffffu;
    same = int(wp) == pipe;
    if (ws > known.at[wp] && !(same && (in_order || ws == seq))) {
      kind = write ? "write after write" : "read after write";
      *earlier = c.writer;
    }
  }
  if (write) {
    // A reader on another pipe says more than the writer before it on the same one.
    for (int p = 0; p < kPipes && (!kind || same); ++p) {
      if (p != pipe && c.reader[p] > known.at[p]) {  // in one pipe a write never overtakes an earlier read
        kind = "write after read";
        same = false;
        *earlier = uint32_t(p) << 29 | c.reader[p];
      }
    }
    c.writer = uint32_t(pipe) << 29 | seq;
  } else {
    c.reader[pipe] = seq;
  }
  return kind;
}

Conflict LocalShadow::Access(uint64_t addr, uint32_t len, bool write, Pipe pipe, uint32_t seq, const Clock& known,
                             bool in_order) {
  Conflict first;
  const uint64_t end = addr + len;
  for (uint64_t b = addr / kShadowBlock; b * kShadowBlock < end; ++b) {
    const uint64_t lo = std::max(addr, b * kShadowBlock), hi = std::min(end, (b + 1) * kShadowBlock);
    Block& block = blocks_[b];
    uint32_t earlier = 0;
    const char* kind = nullptr;
    uint64_t at = lo;
    if (block.split < 0 && hi - lo == kShadowBlock) {
      kind = Check(block.cell, write, int(pipe), seq, known, in_order, &earlier);
    } else {
      if (block.split < 0) {
        if (free_splits_.empty()) {
          free_splits_.push_back(int32_t(splits_.size()));
          splits_.emplace_back();
        }
        block.split = free_splits_.back();
        free_splits_.pop_back();
        splits_[size_t(block.split)].fill(block.cell);
      }
      Split& cells = splits_[size_t(block.split)];
      for (uint64_t i = lo; i < hi; ++i) {
        uint32_t e = 0;
        const char* k = Check(cells[i % kShadowBlock], write, int(pipe), seq, known, in_order, &e);
        if (k && !kind) kind = k, earlier = e, at = i;
      }
      if (write && hi - lo == kShadowBlock) {  // one piece again; keep the latest readers of its bytes
        Cell merged = cells[0];
        for (const Cell& c : cells) {
          for (int p = 0; p < kPipes; ++p) merged.reader[p] = std::max(merged.reader[p], c.reader[p]);
        }
        block.cell = merged;
        free_splits_.push_back(block.split);
        block.split = -1;
      }
    }
    if (kind && !first) first = {Epoch::Of(0, Pipe(earlier >> 29), earlier & 0x1fffffffu), kind, at};
  }
  return first;
}

void LocalShadow::Forget(uint64_t addr, uint32_t len) {
  for (uint64_t b = addr / kShadowBlock; b * kShadowBlock < addr + len; ++b) {
    Block& block = blocks_[b];
    block.cell = Cell{};
    if (block.split >= 0) free_splits_.push_back(block.split);
    block.split = -1;
  }
}

int32_t GmShadow::NewList() {
  if (free_lists_.empty()) {
    lists_.emplace_back();
    return int32_t(lists_.size()) - 1;
  }
  const int32_t i = free_lists_.back();
  free_lists_.pop_back();
  return i;
}

void GmShadow::Release(Cell& c) {
  if (c.others < 0) return;
  lists_[size_t(c.others)].clear();
  free_lists_.push_back(c.others);
  c.others = -1;
}

uint32_t GmShadow::LastWrite(uint64_t offset, uint32_t len, Epoch* who) const {
  uint32_t stamp = 0;
  for (uint64_t b = offset / kShadowBlock; b * kShadowBlock < offset + len && b < blocks_.size(); ++b) {
    const auto split = splits_.find(b);
    if (split == splits_.end()) {
      if (blocks_[b].stamp > stamp) stamp = blocks_[b].stamp, *who = blocks_[b].writer;
    } else {
      for (uint64_t i = std::max(offset, b * kShadowBlock); i < std::min(offset + len, (b + 1) * kShadowBlock); ++i) {
        const Cell& c = split->second[i % kShadowBlock];
        if (c.stamp > stamp) stamp = c.stamp, *who = c.writer;
      }
    }
  }
  return stamp;
}

}  // namespace twin

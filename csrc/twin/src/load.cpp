// L1 to L0: fractal moves. A fractal is 512 B, sixteen rows of 32 B; L0A holds them row of fractals by row (Zz), L0B
// row of fractals by row with each fractal transposed (Zn).
#include <cstring>

#include "launch.h"
#include "twin/cube.h"

namespace twin {

namespace {

constexpr uint32_t kFractal = 512, kRow = 32;

// dst[c][r] = src[r][c] over the first rows of a 16 x 16 tile of 2-byte elements.
void TransposeFractal(Mem dst_mem, uint64_t dst, Mem src_mem, uint64_t src, uint32_t rows = 16) {
  for (uint32_t r = 0; r < rows; ++r) MoveBytes({dst_mem, dst + r * 2, kRow}, {src_mem, src + r * kRow, 2}, 2, 16);
}

// 8 x 8 elements of 2 B whose rows are 32 B apart: three times, row i and row i + 4 are shuffled like the two halves of a
// deck of cards.
void TransposeQuarter(const uint8_t* from, uint8_t* to) {
  typedef uint16_t Eight __attribute__((vector_size(16)));
  Eight now[8], next[8];
  for (int i = 0; i < 8; ++i) std::memcpy(&now[i], from + i * kRow, 16);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) {
      const Eight x = now[i], y = now[i + 4];
      next[2 * i] = Eight{x[0], y[0], x[1], y[1], x[2], y[2], x[3], y[3]};
      next[2 * i + 1] = Eight{x[4], y[4], x[5], y[5], x[6], y[6], x[7], y[7]};
    }
    for (int i = 0; i < 8; ++i) now[i] = next[i];
  }
  for (int i = 0; i < 8; ++i) std::memcpy(to + i * kRow, &now[i], 16);
}

// The same without the history, when the whole fractal has one.
void MoveFractal(Mem dst_mem, uint64_t dst, Mem src_mem, uint64_t src, bool transpose) {
  if (!transpose) {
    MoveBytes(dst_mem, dst, src_mem, src, kFractal);
    return;
  }
  Launch& launch = *Cur().launch;
  const bool plain = !launch.track_init || Cur().state->bank[int(src_mem)].init.FirstClear(src, kFractal) == src + kFractal;
  if (!plain) {
    TransposeFractal(dst_mem, dst, src_mem, src);
    return;
  }
  const uint8_t* const from = Raw(src_mem, src);
  uint8_t* const to = Raw(dst_mem, dst);
  for (uint32_t quarter = 0; quarter < 4; ++quarter) {
    const uint32_t r = quarter / 2, c = quarter % 2;  // in units of 8 elements
    TransposeQuarter(from + r * 256 + c * 16, to + c * 256 + r * 16);
  }
  MarkInit(dst_mem, dst, kFractal);
}

bool CheckLoad(const TensorRef& dst, const TensorRef& src, const char* name, Loc loc) {
  if (src.mem != Mem::L1 || (dst.mem != Mem::L0A && dst.mem != Mem::L0B)) {
    Report(Rule::kPosition, Format("%s from %s to %s does not exist", name, Name(src.mem), Name(dst.mem)), loc);
    return false;
  }
  CheckAligned(dst, name, "the destination", loc);
  CheckAligned(src, name, "the source", loc);
  return true;
}

void SetLoadCost(Instr& in, Mem dst, uint64_t bytes, bool three_d) {
  in.cost.local_bytes = bytes;
  in.cost.cycles = uint32_t(double(bytes) / (dst == Mem::L0A ? model::kL0aBytes : model::kL0bBytes)) + 1;
  in.cost.latency = uint32_t(three_d ? model::kMte1Latency3d : model::kMte1Latency2d);
}

Span Copying(Span s) {
  s.copy = true;
  return s;
}

}  // namespace

void Load2d(const TensorRef& dst, const TensorRef& src, const AscendC::LoadData2DParams& p, uint32_t elem_bytes,
            Loc loc) {
  const char* name = "LoadData(2D)";
  const uint32_t n = p.repeatTimes;
  if (!n || !CheckLoad(dst, src, name, loc)) return;
  if (p.ifTranspose && elem_bytes != 2) {
    Report(Rule::kDtype, "LoadData(2D) with ifTranspose exists for 16-bit types only", loc);
    return;
  }
  if (p.addrMode) Report(Rule::kParameter, "LoadData(2D): the twin models addrMode 0 (increasing addresses) only", loc);
  const int64_t from = int64_t(p.srcStride) * kFractal, to = int64_t(p.dstGap + 1) * kFractal;
  const int64_t start = int64_t(p.startIndex) * kFractal;
  Instr in(Pipe::MTE1, name, loc);
  in.spans.push_back(Copying(Touch(src, start, kFractal, false, n, from)));
  in.spans.push_back(Copying(Touch(dst, 0, kFractal, true, n, to)));
  SetLoadCost(in, dst.mem, uint64_t(n) * kFractal, false);
  const uint64_t s0 = src.addr + uint64_t(start), d0 = dst.addr;
  in.run = [=, transpose = p.ifTranspose, dst_mem = dst.mem] {
    if (!transpose) {
      MoveBytes({dst_mem, d0, to}, {Mem::L1, s0, from}, kFractal, n);
      return;
    }
    for (uint32_t i = 0; i < n; ++i) {
      MoveFractal(dst_mem, d0 + uint64_t(i) * uint64_t(to), Mem::L1, s0 + uint64_t(i) * uint64_t(from), transpose);
    }
  };
  Issue(std::move(in));
}

void Load2d(const TensorRef& dst, const GlobalRef& src, const AscendC::LoadData2DParams& p, uint32_t, Loc loc) {
  const char* name = "LoadData(2D)";
  const uint32_t n = p.repeatTimes;
  if (!n) return;
  if (dst.mem != Mem::L0A && dst.mem != Mem::L0B && dst.mem != Mem::L1) {
    Report(Rule::kPosition, Format("LoadData(2D) from GM to %s does not exist", Name(dst.mem)), loc);
    return;
  }
  if (p.ifTranspose) Report(Rule::kParameter, "LoadData(2D) from GM cannot transpose", loc);
  CheckAligned(dst, name, "the destination", loc);
  const int64_t from = int64_t(p.srcStride) * kFractal, to = int64_t(p.dstGap + 1) * kFractal;
  const int64_t start = int64_t(p.startIndex) * kFractal;
  Instr in(Pipe::MTE2, name, loc);
  const Span r = Copying(Touch(src, start, kFractal, false, n, from));
  in.spans.push_back(r);
  in.spans.push_back(Copying(Touch(dst, 0, kFractal, true, n, to)));
  in.cost.burst_bytes = kFractal;
  in.cost.bursts = n;
  const uint64_t d0 = dst.addr;
  in.run = [=, dst_mem = dst.mem] {
    for (uint32_t i = 0; i < n; ++i) {
      MoveBytes(dst_mem, d0 + uint64_t(i) * uint64_t(to), Mem::GM, r.addr + uint64_t(i) * uint64_t(from), kFractal);
    }
  };
  Issue(std::move(in));
}

void Load2dTranspose(const TensorRef& dst, const TensorRef& src, const AscendC::LoadData2dTransposeParams& p,
                     uint32_t elem_bytes, Loc loc) {
  const char* name = "LoadDataWithTranspose";
  const uint32_t n = p.repeatTimes;
  if (!n || !CheckLoad(dst, src, name, loc)) return;
  if (elem_bytes != 2) {
    Report(Rule::kDtype, "the twin models LoadDataWithTranspose for 16-bit types only", loc);
    return;
  }
  if (p.addrMode) Report(Rule::kParameter, "LoadDataWithTranspose: the twin models addrMode 0 only", loc);
  const int64_t from = int64_t(p.srcStride) * kFractal, to = int64_t(p.dstGap + 1) * kFractal;
  const int64_t start = int64_t(p.startIndex) * kFractal;
  Instr in(Pipe::MTE1, name, loc);
  in.spans.push_back(Copying(Touch(src, start, kFractal, false, n, from)));
  in.spans.push_back(Copying(Touch(dst, 0, kFractal, true, n, to)));
  SetLoadCost(in, dst.mem, uint64_t(n) * kFractal, false);
  const uint64_t s0 = src.addr + uint64_t(start), d0 = dst.addr;
  in.run = [=, dst_mem = dst.mem] {
    for (uint32_t i = 0; i < n; ++i) {
      MoveFractal(dst_mem, d0 + uint64_t(i) * uint64_t(to), Mem::L1, s0 + uint64_t(i) * uint64_t(from), true);
    }
  };
  Issue(std::move(in));
}

void Load3d(const TensorRef& dst, const TensorRef& src, const Load3dSpec& p, uint32_t elem_bytes, Loc loc) {
  const char* name = "LoadData(3D)";
  if (!CheckLoad(dst, src, name, loc)) return;
  if (!p.plain) {
    Report(Rule::kParameter, "LoadData(3D): the twin models 1 x 1 filters without stride, dilation and padding", loc);
    return;
  }
  const uint32_t c0 = kRow / elem_bytes;
  const bool to_b = dst.mem == Mem::L0B;
  const bool transpose = to_b || p.transpose;
  if (elem_bytes != 2) {
    Report(Rule::kDtype, "the twin models LoadData(3D) for 16-bit types only", loc);
    return;
  }
  const uint32_t rows = p.h * p.w;
  const auto require = [&](bool ok, const char* what) {
    if (!ok) {
      Report(Rule::kParameter, Format("%s: %s (l1H %u l1W %u channelSize %u kExtension %u mExtension %u kStartPt %u "
             "mStartPt %u)", name, what, p.h, p.w, p.channels, p.k_ext, p.m_ext, p.k_start, p.m_start), loc);
    }
    return ok;
  };
  if (!require(p.h >= 1 && p.h <= 32767 && p.w >= 1 && p.w <= 32767, "l1H and l1W are 1..32767") ||
      !require(p.k_ext >= 1 && p.m_ext >= 1, "the extensions are 1..65535") ||
      !require(p.channels % c0 == 0, "channelSize must be a multiple of 16") ||
      !require(p.k_start % 16 == 0 && p.m_start % 16 == 0, "kStartPt and mStartPt are multiples of 16") ||
      !require(p.k_start + p.k_ext <= p.channels, "kStartPt + kExtension exceeds channelSize") ||
      !require(p.m_start + p.m_ext <= rows, "mStartPt + mExtension exceeds l1H * l1W")) {
    return;
  }
  // Whole fractals move: extensions round up to 16; rows past the feature map stay undefined.
  const uint32_t m_blocks = (p.m_ext + 15) / 16, k_blocks = (p.k_ext + c0 - 1) / c0;
  const uint32_t rows_there = std::min(m_blocks * 16, rows - p.m_start);
  Instr in(Pipe::MTE1, name, loc);
  const int64_t column = int64_t(rows) * kRow;
  const int64_t first = int64_t(p.k_start / c0) * column + int64_t(p.m_start) * kRow;
  in.spans.push_back(Copying(Touch(src, first, rows_there * kRow, false, k_blocks, column)));
  in.spans.push_back(Copying(Touch(dst, 0, m_blocks * k_blocks * kFractal, true)));
  SetLoadCost(in, dst.mem, uint64_t(m_blocks) * k_blocks * kFractal, true);
  const uint64_t s0 = src.addr + uint64_t(first), d0 = dst.addr;
  in.run = [=, dst_mem = dst.mem] {
    for (uint32_t mi = 0; mi < m_blocks; ++mi) {
      for (uint32_t ki = 0; ki < k_blocks; ++ki) {
        // L0A transposed holds the transposed matrix row of fractals by row; otherwise (mi, ki) order for both.
        const uint32_t index = transpose && !to_b ? ki * m_blocks + mi : mi * k_blocks + ki;
        const uint64_t d = d0 + uint64_t(index) * kFractal;
        const uint64_t s = s0 + uint64_t(ki) * uint64_t(column) + uint64_t(mi) * kFractal;
        const uint32_t valid = std::min(16u, rows_there - mi * 16);
        if (valid == 16) {
          MoveFractal(dst_mem, d, Mem::L1, s, transpose);
          continue;
        }
        Poison(Raw(dst_mem, d), kFractal);
        MarkUninit(dst_mem, d, kFractal);
        if (transpose) {
          TransposeFractal(dst_mem, d, Mem::L1, s, valid);
        } else {
          MoveBytes(dst_mem, d, Mem::L1, s, valid * kRow);
        }
      }
    }
  };
  Issue(std::move(in));
}

void FillConst(const TensorRef& dst, uint32_t repeats, uint32_t blocks, uint32_t gap, uint64_t value,
               uint32_t elem_bytes, Loc loc) {
  const char* name = "InitConstValue";
  if (dst.mem != Mem::L1 && dst.mem != Mem::L0A && dst.mem != Mem::L0B) {
    Report(Rule::kPosition, Format("%s on %s does not exist on 2201", name, Name(dst.mem)), loc);
    return;
  }
  const uint32_t unit = dst.mem == Mem::L1 ? kRow : kFractal;
  if (!blocks) blocks = 1;
  if (!repeats) return;
  if (repeats > 32767 || blocks > 32767 || gap > 32767) {
    Report(Rule::kParameter, Format("%s: repeatTimes, blockNum and dstGap are 0..32767", name), loc);
  }
  CheckAligned(dst, name, "the destination", loc);
  const uint32_t len = blocks * unit;
  const int64_t step = int64_t(len) + int64_t(gap) * unit;
  // L1 is filled by MTE2, L0 by MTE1.
  Instr in(dst.mem == Mem::L1 ? Pipe::MTE2 : Pipe::MTE1, name, loc);
  const Span w = Touch(dst, 0, len, true, repeats, step);
  in.spans.push_back(w);
  in.cost.local_bytes = uint64_t(len) * repeats;
  in.cost.cycles = uint32_t(double(in.cost.local_bytes) / 128.0) + 4;
  in.cost.latency = uint32_t(model::kMte1Latency2d);
  in.run = [=] {
    for (uint32_t i = 0; i < repeats; ++i) {
      uint8_t* out = Raw(w.mem, w.addr + uint64_t(i) * uint64_t(step));
      for (uint32_t b = 0; b < len; b += elem_bytes) std::memcpy(out + b, &value, elem_bytes);
    }
  };
  Issue(std::move(in));
}

}  // namespace twin

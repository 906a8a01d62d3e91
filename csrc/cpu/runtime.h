// What the kernels need from the process: which instruction set runs, how many threads, scratch memory, and
// whether it is safe to run at all. Compiled once, for the lowest instruction set.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace vit {

// One block of 64-byte aligned memory for the length of one call. Blocks are kept and handed out again, so a
// model in a steady state allocates nothing; two calls that overlap in time get different blocks.
class Scratch {
 public:
  explicit Scratch(size_t floats);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  float* data() const { return data_; }  // null when there is no memory
  float* take(size_t floats) {           // the next piece, 64-byte aligned
    float* piece = data_ + used_;
    used_ += padded(floats);
    return piece;
  }
  static constexpr size_t padded(size_t floats) { return (floats + 15) / 16 * 16; }

 private:
  float* data_;
  size_t used_ = 0;
  int slot_;
};

size_t scratch_bytes();

int threads();
void set_threads(int count);

// Threads worth waking for this much work (in fused multiply-adds or elements touched): one below a floor
// that costs less than the wake-up. Results never depend on the answer.
int threads_for(int64_t work);

// True in a child of fork(): OpenMP's worker threads exist only in the parent, so a kernel would wait for
// ever.
bool forked();

}  // namespace vit

// A team of threads that all compute with the same arithmetic.
#pragma once

#include <omp.h>

#include "simd.h"

namespace vit {
namespace VIT_ISA {

// IEEE arithmetic, rounding to nearest and with subnormal numbers, for as long as it lives. The thread that calls a kernel
// may be set otherwise: MindSpore's main thread flushes subnormals to zero and its workers do not, so that one operator
// would give other bits from call to call.
class IeeeArithmetic {
 public:
#if defined(__x86_64__)
  IeeeArithmetic() : callers_(__builtin_ia32_stmxcsr()) { set(0x1f80); }
  ~IeeeArithmetic() { set(callers_); }
#elif defined(__aarch64__)
  IeeeArithmetic() {
    asm volatile("mrs %0, fpcr" : "=r"(callers_));
    set(0);
  }
  ~IeeeArithmetic() { set(callers_); }
#else
  IeeeArithmetic() {}
#endif
  IeeeArithmetic(const IeeeArithmetic&) = delete;
  IeeeArithmetic& operator=(const IeeeArithmetic&) = delete;

 private:
#if defined(__x86_64__)
  static void set(unsigned mode) {
    __builtin_ia32_ldmxcsr(mode);
    asm volatile("" ::: "memory");  // loads and stores, and the arithmetic between them, stay on their side
  }
  unsigned callers_;
#elif defined(__aarch64__)
  static void set(unsigned long mode) { asm volatile("msr fpcr, %0" ::"r"(mode) : "memory"); }
  unsigned long callers_;
#endif
};

// body() on every thread of a team; inside, `omp for` and `omp barrier` divide the work.
template <class Body>
VIT_INLINE void on_team(int threads, const Body& body) {
#pragma omp parallel num_threads(threads)
  {
    const IeeeArithmetic ieee;
    body();
  }
}

}  // namespace VIT_ISA
}  // namespace vit

// Cooperative fibers: each simulated core is one, so that a launch is a single deterministic thread.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <functional>

namespace twin {

class Fiber {
 public:
  explicit Fiber(std::function<void()> body);  // `body` must not let exceptions out
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  void Resume();  // from outside; returns when the fiber yields or ends
  void Yield();   // from inside
  bool done() const { return done_; }

 private:
  static void Trampoline(unsigned hi, unsigned lo);
  std::function<void()> body_;
  ucontext_t self_{}, caller_{};
  void* stack_ = nullptr;
  bool done_ = false;
};

}  // namespace twin

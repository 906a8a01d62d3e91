#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace twin {

namespace {
constexpr size_t kStack = 512 * 1024;  // device code keeps its data in tensors; the rest is call frames
constexpr size_t kGuard = 4096;
}  // namespace

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)) {
  stack_ = mmap(nullptr, kStack + kGuard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack_ == MAP_FAILED) throw std::bad_alloc();
  mprotect(stack_, kGuard, PROT_NONE);
  getcontext(&self_);
  self_.uc_stack.ss_sp = static_cast<char*>(stack_) + kGuard;
  self_.uc_stack.ss_size = kStack;
  self_.uc_link = &caller_;
  const uint64_t p = reinterpret_cast<uintptr_t>(this);
  makecontext(&self_, reinterpret_cast<void (*)()>(&Trampoline), 2, unsigned(p >> 32), unsigned(p));
}

Fiber::~Fiber() { munmap(stack_, kStack + kGuard); }

void Fiber::Trampoline(unsigned hi, unsigned lo) {
  Fiber* f = reinterpret_cast<Fiber*>(uintptr_t(hi) << 32 | uintptr_t(lo));
  f->body_();
  f->done_ = true;
}

void Fiber::Resume() { swapcontext(&caller_, &self_); }
void Fiber::Yield() { swapcontext(&self_, &caller_); }

}  // namespace twin

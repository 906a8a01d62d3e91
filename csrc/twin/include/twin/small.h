// Two containers that keep an instruction off the heap: a vector with room for a few elements inside itself,
// and a callable with room for its captures inside itself.
#pragma once

#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace twin {

// Trivially copyable elements only; spills to the heap beyond N. Copying and moving cost what it holds, not what it could.
template <typename T, size_t N>
class SmallVector {
  static_assert(std::is_trivially_copyable<T>::value, "SmallVector moves its elements with memcpy");

 public:
  SmallVector() = default;
  SmallVector(std::initializer_list<T> list) {
    for (const T& v : list) push_back(v);
  }
  SmallVector(const SmallVector& o) : spill_(o.spill_) { TakeInline(o); }
  SmallVector(SmallVector&& o) noexcept : spill_(std::move(o.spill_)) {
    TakeInline(o);
    o.size_ = 0;
  }
  SmallVector& operator=(const SmallVector& o) {
    if (this != &o) {
      spill_ = o.spill_;
      TakeInline(o);
    }
    return *this;
  }
  SmallVector& operator=(SmallVector&& o) noexcept {
    if (this != &o) {
      spill_ = std::move(o.spill_);
      TakeInline(o);
      o.size_ = 0;
    }
    return *this;
  }
  void push_back(const T& v) {
    if (size_ < N) {
      std::memcpy(store_ + size_ * sizeof(T), &v, sizeof(T));
    } else {
      if (size_ == N) spill_.assign(Inline(), Inline() + N);
      spill_.push_back(v);
    }
    ++size_;
  }
  void pop_back() {
    if (size_ > N) {
      spill_.pop_back();
      if (size_ == N + 1) std::memcpy(store_, spill_.data(), sizeof(store_));
    }
    --size_;
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return size_ > N ? spill_.data() : Inline(); }
  const T* data() const { return size_ > N ? spill_.data() : Inline(); }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }
  T& back() { return data()[size_ - 1]; }
  void clear() {
    size_ = 0;
    spill_.clear();
  }

 private:
  T* Inline() { return reinterpret_cast<T*>(store_); }
  const T* Inline() const { return reinterpret_cast<const T*>(store_); }
  void TakeInline(const SmallVector& o) {
    size_ = o.size_;
    if (size_ <= N) std::memcpy(store_, o.store_, size_ * sizeof(T));
  }

  alignas(T) unsigned char store_[N * sizeof(T)];
  std::vector<T> spill_;
  size_t size_ = 0;
};

// A move-only `void()` whose captures up to kBytes live inside it; larger ones go to the heap.
class Task {
  static constexpr size_t kBytes = 192;

 public:
  Task() = default;
  template <typename F, typename = std::enable_if_t<!std::is_same<std::decay_t<F>, Task>::value>>
  Task(F&& f) {  // NOLINT: implicit on purpose, `instr.run = [=] { ... };`
    using Fn = std::decay_t<F>;
    if constexpr (sizeof(Fn) <= kBytes && alignof(Fn) <= alignof(std::max_align_t)) {
      new (store_) Fn(std::forward<F>(f));
      ops_ = &Ops<Fn>;
    } else {
      using Holder = Boxed<Fn>;
      new (store_) Holder{new Fn(std::forward<F>(f))};
      ops_ = &Ops<Holder>;
    }
  }
  Task(Task&& o) noexcept { Take(o); }
  Task& operator=(Task&& o) noexcept {
    if (this != &o) {
      Reset();
      Take(o);
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() { Reset(); }
  explicit operator bool() const { return ops_ != nullptr; }
  void operator()() { ops_(Op::kCall, store_, nullptr); }

 private:
  enum class Op { kCall, kMove, kDestroy };
  using OpsFn = void (*)(Op, void*, void*);

  template <typename Fn>
  struct Boxed {
    Fn* fn;
    Boxed(Fn* f) : fn(f) {}
    Boxed(Boxed&& o) noexcept : fn(o.fn) { o.fn = nullptr; }
    ~Boxed() { delete fn; }
    void operator()() { (*fn)(); }
  };
  template <typename Fn>
  static void Ops(Op op, void* self, void* to) {
    Fn* f = static_cast<Fn*>(self);
    if (op == Op::kCall) {
      (*f)();
    } else if (op == Op::kMove) {
      new (to) Fn(std::move(*f));
      f->~Fn();
    } else {
      f->~Fn();
    }
  }
  void Take(Task& o) {
    ops_ = o.ops_;
    if (ops_) ops_(Op::kMove, o.store_, store_);
    o.ops_ = nullptr;
  }
  void Reset() {
    if (ops_) ops_(Op::kDestroy, store_, nullptr);
    ops_ = nullptr;
  }

  OpsFn ops_ = nullptr;
  alignas(std::max_align_t) unsigned char store_[kBytes];
};

}  // namespace twin

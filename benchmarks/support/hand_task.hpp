// SPDX-License-Identifier: BSL-1.0
#pragma once

// The limit for coroutines: the least code that does the job honestly.
//
// A task is lazy, owns its frame, keeps its result in place, passes on exceptions and hands over
// by symmetric transfer: one word says who waits for it, one byte what it holds. There is no loop
// in it, no cancellation and no diagnosis. What a library adds to these numbers is its own.
//
//   template <typename T> using task = hand::task<T, hand::pooled_frames>;
//   task<int> answer() { co_return 42; }
//   int x = hand::run(answer());

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace hand {

// Where frames come from.

/// The general allocator.
struct malloc_frames {
  static void* allocate(std::size_t size) { return ::operator new(size); }
  static void release(void* frame, std::size_t size) noexcept { ::operator delete(frame, size); }
};

/// A thread's own lists of frames that are free, one for each 16 bytes of size.
struct pooled_frames {
  static void* allocate(std::size_t size) {
    const std::size_t list = (size + unit - 1) / unit;
    if (list >= lists) return ::operator new(size);
    block* const first = free_[list];
    if (!first) return ::operator new(list* unit);
    free_[list] = first->next;
    return first;
  }

  static void release(void* frame, std::size_t size) noexcept {
    const std::size_t list = (size + unit - 1) / unit;
    if (list >= lists) return ::operator delete(frame, size);
    free_[list] = ::new (frame) block{free_[list]};
  }

 private:
  struct block {
    block* next;
  };
  static constexpr std::size_t unit = 16;
  static constexpr std::size_t lists = 64;
  inline static constinit thread_local block* free_[lists] = {};
};

// What a task ends with, in place.

template <typename T>
class outcome {
 public:
  outcome() noexcept {}
  ~outcome() {
    if (state_ == state::value) std::destroy_at(&value_);
    if (state_ == state::error) std::destroy_at(&error_);
  }

  template <typename U>
  void return_value(U&& value) {
    std::construct_at(&value_, std::forward<U>(value));
    state_ = state::value;
  }
  void unhandled_exception() noexcept {
    std::construct_at(&error_, std::current_exception());
    state_ = state::error;
  }
  bool failed() const noexcept { return state_ == state::error; }
  T take() {
    if (state_ == state::error) std::rethrow_exception(error_);
    return std::move(value_);
  }

 private:
  enum class state : unsigned char { nothing, value, error };
  union {
    T value_;
    std::exception_ptr error_;
  };
  state state_ = state::nothing;
};

template <>
class outcome<void> {
 public:
  void return_void() noexcept {}
  void unhandled_exception() noexcept { error_ = std::current_exception(); }
  void take() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::exception_ptr error_;
};

// The task.

template <typename T, typename Frames>
class [[nodiscard]] task {
 public:
  struct promise_type;
  using handle = std::coroutine_handle<promise_type>;

  struct at_end {
    bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(handle self) noexcept { return self.promise().waiter; }
    void await_resume() noexcept {}
  };

  struct promise_type : outcome<T> {
    std::coroutine_handle<> waiter;

    task get_return_object() noexcept { return task{handle::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    at_end final_suspend() noexcept { return {}; }
    static void* operator new(std::size_t size) { return Frames::allocate(size); }
    static void operator delete(void* frame, std::size_t size) noexcept {
      Frames::release(frame, size);
    }
  };

  task(task&& other) noexcept : self_(std::exchange(other.self_, {})) {}
  task& operator=(task&&) = delete;
  ~task() {
    if (self_) self_.destroy();
  }

  // As an awaitable: starts when awaited.
  bool await_ready() noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
    self_.promise().waiter = parent;
    return self_;
  }
  T await_resume() { return self_.promise().take(); }

  // For those who start it in another way.
  handle get() const noexcept { return self_; }
  T take() { return self_.promise().take(); }

 private:
  explicit task(handle self) noexcept : self_(self) {}

  handle self_;
};

// Many at once: each child resumes a countdown when it ends, as if that were its parent. The
// countdown begins with the two words that a coroutine frame begins with, which is undefined on
// paper and holds where these compilers run; the pointer is hidden from the optimizer, because
// clang otherwise notices that it is no coroutine's. It starts at one more than there are children,
// so that "all ended before I slept" and "the last one wakes me" are the same decrement.

class countdown {
 public:
  explicit countdown(std::size_t children) noexcept : left_(children + 1) {
    auto* counts = &one_less;
    asm("" : "+r"(counts));
    resume_ = counts;
  }
  countdown(const countdown&) = delete;
  countdown& operator=(const countdown&) = delete;

  std::coroutine_handle<> as_waiter() noexcept {
    return std::coroutine_handle<>::from_address(this);
  }
  void sleep(std::coroutine_handle<> parent) noexcept { parent_ = parent; }
  /// True for the last of all.
  bool count() noexcept { return --left_ == 0; }
  std::coroutine_handle<> parent() const noexcept { return parent_; }

 private:
  static void one_less(void* self) noexcept {
    auto* const counting = static_cast<countdown*>(self);
    if (counting->count()) counting->parent_.resume();
  }

  void (*resume_)(void*) noexcept;
  [[maybe_unused]] void (*destroy_)(void*) noexcept = nullptr;
  std::size_t left_;
  std::coroutine_handle<> parent_;
};

/// Runs all of them and gives them back, ended: each holds its own result.
template <typename T, typename Frames>
class [[nodiscard]] when_all {
 public:
  explicit when_all(std::vector<task<T, Frames>> children) noexcept
      : children_(std::move(children)), running_(children_.size()) {}

  bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) {
    running_.sleep(parent);
    for (auto& child : children_) {
      child.get().promise().waiter = running_.as_waiter();
      child.get().resume();
    }
    return !running_.count();
  }
  std::vector<task<T, Frames>> await_resume() noexcept { return std::move(children_); }

 private:
  std::vector<task<T, Frames>> children_;
  countdown running_;
};

// What may run, in order: each entry lives where the one who waits lives.

class ready_queue {
 public:
  struct entry {
    std::coroutine_handle<> who;
    entry* next = nullptr;
  };

  void push(entry& last) noexcept {
    last.next = nullptr;
    (first_ ? last_->next : first_) = &last;
    last_ = &last;
  }
  void run() {
    while (entry* const first = first_) {
      first_ = first->next;
      first->who.resume();
    }
  }

 private:
  entry* first_ = nullptr;
  entry* last_ = nullptr;
};

inline constinit thread_local ready_queue ready;

/// Lets everyone else go first.
class [[nodiscard]] yield {
 public:
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    turn_.who = self;
    ready.push(turn_);
  }
  void await_resume() noexcept {}

 private:
  ready_queue::entry turn_;
};

/// A task that starts on its own; awaiting it joins it.
template <typename T, typename Frames>
class [[nodiscard]] spawned {
 public:
  explicit spawned(task<T, Frames> child) noexcept : child_(std::move(child)) {
    child_.get().promise().waiter = std::noop_coroutine();
    start_.who = child_.get();
    ready.push(start_);
  }
  spawned(const spawned&) = delete;
  spawned& operator=(const spawned&) = delete;

  bool await_ready() noexcept { return child_.get().done(); }
  void await_suspend(std::coroutine_handle<> parent) noexcept {
    child_.get().promise().waiter = parent;
  }
  T await_resume() { return child_.take(); }

 private:
  task<T, Frames> child_;
  ready_queue::entry start_;
};

template <typename T, typename Frames>
T run(task<T, Frames> root) {
  root.get().promise().waiter = std::noop_coroutine();
  root.get().resume();
  ready.run();
  return root.take();
}

}  // namespace hand

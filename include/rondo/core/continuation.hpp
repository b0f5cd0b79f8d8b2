// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Who is told when something that was awaited ends: one word, of two kinds.
//
// - A coroutine: it is resumed, by the loop, in a later step (core/ready_queue.hpp).
// - A `listener`: a plain function that is called at once. Combinators are told this way about
// their
//   children, so `when_all(read, sleep)` needs no coroutine for either of them, and a race is
//   decided at the moment its first completion is recorded, before any other task can run.
//
// What is told by the end of something runs no user code, starts nothing and destroys nothing: it
// counts, and queues what is to happen next. That is what makes it safe to call from everywhere. A
// listener that does more goes through the ready queue (`loop_base::push`), like a coroutine.

#include <coroutine>
#include <cstdint>

#include <rondo/config.hpp>

namespace rondo::detail {

struct listener {
  void (*notify)(listener&) noexcept;
};

class continuation {
 public:
  continuation() noexcept : word_(0) {}
  /// Holds nothing yet; it is assigned to before it is used.
  struct later {};
  explicit continuation(later) noexcept {}
  continuation(std::coroutine_handle<> coroutine) noexcept
      : word_(reinterpret_cast<std::uintptr_t>(coroutine.address())) {}
  continuation(listener& target) noexcept
      : word_(reinterpret_cast<std::uintptr_t>(&target) | listener_bit) {}

  [[nodiscard]] bool is_listener() const noexcept { return (word_ & listener_bit) != 0; }

  [[nodiscard]] std::coroutine_handle<> coroutine() const noexcept {
    return std::coroutine_handle<>::from_address(reinterpret_cast<void*>(word_));
  }

  void notify() const noexcept {
    auto& target = *reinterpret_cast<listener*>(word_ & ~listener_bit);
    target.notify(target);
  }

 private:
  // Bit 0 tells the kinds apart: frames and listeners are both aligned to at least 8.
  static constexpr std::uintptr_t listener_bit = 1;

  std::uintptr_t word_;
};

}  // namespace rondo::detail

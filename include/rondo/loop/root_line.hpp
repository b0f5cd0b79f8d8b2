// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The line of work that event_loop::run waits for.

#include <exception>
#include <memory>
#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/core/error.hpp>
#include <rondo/core/scope.hpp>
#include <rondo/loop/engine.hpp>

namespace rondo::detail {

/// One that has ended, and whose arguments those may refer to who are left (drain_timeout).
struct kept_root {
  kept_root() noexcept = default;
  kept_root(const kept_root&) = delete;
  kept_root& operator=(const kept_root&) = delete;
  virtual ~kept_root() = default;
  std::unique_ptr<kept_root> next;
};

template <typename A>
class root_line final : public kept_root, listener {
 public:
  root_line(engine& loop, A&& root)
      : listener{&root_line::ended}, line(loop), state_(std::forward<A>(root)) {
    loop.tasks().root_is(&line);
  }
  ~root_line() override { static_cast<engine&>(line.loop()).tasks().root_is(nullptr); }

  void start() noexcept {
    const loop_base::running_in now(line.loop(), line);
    done_ = !state_.start(line, static_cast<listener&>(*this)) &&
            !line.loop().defer_end(line, *this);
    line.loop().settle();
  }
  [[nodiscard]] bool done() const noexcept { return done_; }
  decltype(auto) take() { return state_.take(); }
  /// For whoever throws something else.
  [[gnu::cold]] void report_error() {
    if (state_.how() != outcome::error) return;
    try {
      static_cast<void>(state_.take());
    } catch (...) {
      line.loop().report({unhandled_error::kind::suppressed, {}, std::current_exception(), {}});
    }
  }

  scope line;

 private:
  static void ended(listener& self) noexcept {
    auto& root = static_cast<root_line&>(self);
    if (root.line.loop().defer_end(root.line, root)) return;
    root.done_ = true;
    root.line.loop().end_turn();  // what else is ready is canceled before it runs
  }

  state_for<A> state_;
  bool done_ = false;
};

}  // namespace rondo::detail

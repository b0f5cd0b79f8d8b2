// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A function that a loop is to call, from whatever thread it comes: event_loop::post.

#include <exception>
#include <memory>
#include <utility>

#include <rondo/core/error.hpp>
#include <rondo/core/ready_queue.hpp>
#include <rondo/detail/message_pool.hpp>
#include <rondo/loop/engine.hpp>

namespace rondo::detail {

/// Belongs to the inbox, then to the ready queue, and is gone when it was called.
template <typename F>
class posted final : public ready_node, public made_in_pages<posted<F>>, listener {
 public:
  posted(engine& loop, F&& f)
      : listener{&posted::run_it}, loop_(loop), callable_(std::move(f)) {
    waiter = continuation(static_cast<listener&>(*this));
  }

 private:
  static void run_it(listener& self) noexcept {
    const std::unique_ptr<posted> p(&static_cast<posted&>(self));
    if (p->loop_.is_dropped()) return;
    try {
      p->callable_();
    } catch (...) {
      p->loop_.report({unhandled_error::kind::post, {}, std::current_exception(), {}});
    }
  }

  engine& loop_;
  F callable_;
};

}  // namespace rondo::detail

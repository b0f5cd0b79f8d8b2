// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// with_stop_token: lets the standard library's way to cancel reach a task, from whatever thread.
//
//     co_await with_stop_token(token, work());     // token.request_stop() cancels work

#include <atomic>
#include <optional>
#include <stop_token>
#include <utility>

#include <rondo/core/nested_line.hpp>

namespace rondo {

namespace detail {
template <typename A>
class stop_state;

template <typename A>
class [[nodiscard("with_stop_token does nothing until it is awaited")]] stop_description
    : public only_in_rondo {
 public:
  using state_type = stop_state<A>;
  stop_description(std::stop_token token, A&& awaitable)
      : token_(std::move(token)), awaitable_(std::forward<A>(awaitable)) {}

 private:
  friend state_type;
  std::stop_token token_;
  A awaitable_;
};
}  // namespace detail

/// Awaits something, and cancels it when the token is asked to stop.
///
/// Gives, throws: what it gives and throws; operation_canceled when the token canceled it, which
/// its awaiter takes for an error of its own if nobody has canceled that.
/// Thread: the loop's; request_stop any.
template <awaitable A>
auto with_stop_token(std::stop_token token, A&& awaitable) {
  return detail::stop_description<A>(std::move(token), std::forward<A>(awaitable));
}

// Implementation

namespace detail {

/// The race: a thread asks to stop while what is awaited ends. Removing the callback waits for one
/// that runs, so after it nobody sends any more; a request that was sent by then still has to
/// arrive, because its node is here. Whichever of the two, end and request, comes last completes
/// the wait, unless something was left behind.
template <typename A>
class stop_state : nested_line {
 public:
  explicit stop_state(stop_description<A>&& d)
      : nested_line(kind, &stop_state::ended),
        request_(*this),
        token_(std::move(d.token_)),
        state_(static_cast<A&&>(d.awaitable_)) {}

  [[nodiscard]] bool start(scope& outer, continuation told) noexcept {
    inner_.open(outer);
    request_.loop = &outer.loop();
    if (token_.stop_requested()) inner_.cancel();
    if (!run(state_, outer, told)) return waits_a_turn();
    callback_.emplace(std::move(token_), sender{&request_});
    return true;
  }
  [[nodiscard]] outcome how() const noexcept {
    const outcome inside = state_.how();
    return inside == outcome::canceled && !outer().canceled() ? outcome::error : inside;
  }
  decltype(auto) take() { return state_.take(); }

 private:
  struct request : listener, ready_node {
    explicit request(stop_state& s) noexcept : listener{&request::arrived}, of(s) {
      waiter = continuation(static_cast<listener&>(*this));
    }
    static void arrived(listener& self) noexcept {
      auto& r = static_cast<request&>(self);
      r.pending.store(false);
      if (r.of.ended_) {
        r.of.end();
      } else {
        r.of.inner_.cancel();
      }
    }
    stop_state& of;
    loop_base* loop = nullptr;
    std::atomic<bool> pending{false};
  };
  struct sender {
    request* r;
    void operator()() const noexcept {
      r->pending.store(true);
      r->loop->push_from_anywhere(*r);
    }
  };

  static void ended(listener& self) noexcept {
    auto& s = static_cast<stop_state&>(self);
    s.inner_.end();  // until the request arrives, the outer line can still be canceled
    s.callback_.reset();
    s.ended_ = true;
    if (!s.request_.pending.load()) s.end();
  }
  static constexpr leaf_kind kind{"with_stop_token", &nested_line::pass_on,
                                  &nested_line::show_inner};

  request request_;
  std::stop_token token_;
  std::optional<std::stop_callback<sender>> callback_;
  state_for<A> state_;
  bool ended_ = false;
};

}  // namespace detail
}  // namespace rondo

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// One request whose answer is awaited as a whole. What happens between is in exchange.hpp. It needs
// no coroutine, unless its body is produced while it is sent, or it may be sent again.

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/core/task.hpp>
#include <rondo/http/attempts.hpp>
#include <rondo/http/driver.hpp>
#include <rondo/http/exchange.hpp>
#include <rondo/http/received_body.hpp>
#include <rondo/http/request.hpp>
#include <rondo/http/response.hpp>

namespace rondo::http::detail {

class transfer_state;

class [[nodiscard("a request is not sent until it is awaited")]] transfer_description
    : public rondo::detail::only_in_rondo {
 public:
  using state_type = transfer_state;
  transfer_description(driver& d, request&& r) : driver_(&d), request_(std::move(r)) {}

 private:
  friend transfer_state;
  driver* driver_;
  request request_;
};

class plain_transfer final : exchange, rondo::detail::leaf, rondo::detail::ready_node {
 public:
  plain_transfer(driver& d, request&& r)
      : exchange(d, std::move(r)), leaf{&kind} {}

  [[nodiscard]] bool start(rondo::detail::scope& line, rondo::detail::continuation told) noexcept {
    line_ = &line;
    waiter = told;
    if (line.canceled()) [[unlikely]] {
      refuse();
      line.refuse(*this);
    } else if (begin(static_cast<engine&>(line.loop()))) [[likely]] {
      line.enter(*this);
    } else {
      loop().push(*this);
    }
    return true;
  }
  using exchange::how;
  response take() {
    answer().body_ = std::move(body_);
    return std::move(answer());
  }

 private:
  static void cancel_it(leaf& self) noexcept { static_cast<plain_transfer&>(self).give_up(); }
  static constexpr rondo::detail::leaf_kind kind{"an HTTP request", &cancel_it};
  [[nodiscard]] bool take_body(std::string_view bytes) override {
    body_.append(bytes);
    return true;
  }
  void has_head() noexcept override { make_room(body_); }
  void drop_body() noexcept override { body_.clear(); }
  void over() noexcept override {
    line_->leave();
    loop().complete(*this);
  }

  rondo::detail::scope* line_ = nullptr;
  std::string body_;
};

inline task<response> produce_and_send(driver& d, request r) {
  received_body body(d, std::move(r));
  co_return co_await body.whole();
}

inline task<response> send_until_it_counts(driver& d, request r) {
  const driver::in_use now(d);
  attempts course(d.options(), r, event_loop::current());
  for (;;) {
    {
      received_body body(d, course.next(std::move(r)));
      try {
        response answer = co_await body.whole();
        if (!course.goes_on_after(answer)) co_return answer;
      } catch (const error& e) {
        if (!course.goes_on_after(e)) throw;
      }
      r = body.take_back();
    }
    co_await course.wait();
  }
}

/// One of the three.
class transfer_state {
 public:
  explicit transfer_state(transfer_description&& d) {
    if (d.request_.source_) {
      task_.emplace(produce_and_send(*d.driver_, std::move(d.request_)));
    } else if (attempts::are_several(d.driver_->options(), d.request_)) {
      task_.emplace(send_until_it_counts(*d.driver_, std::move(d.request_)));
    } else {
      plain_.emplace(*d.driver_, std::move(d.request_));
    }
  }

  [[nodiscard]] bool start(rondo::detail::scope& line, rondo::detail::continuation told) noexcept {
    return task_ ? task_->start(line, told) : plain_->start(line, told);
  }
  [[nodiscard]] rondo::detail::outcome how() const noexcept {
    return task_ ? task_->how() : plain_->how();
  }
  response take() { return task_ ? task_->take() : plain_->take(); }

 private:
  std::optional<plain_transfer> plain_;
  std::optional<rondo::detail::task_state<response>> task_;
};

static_assert(rondo::detail::operation<transfer_description>);

}  // namespace rondo::http::detail

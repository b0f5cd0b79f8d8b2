// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// One request whose answer is awaited as a whole. What happens between is in exchange.hpp.

#include <string>
#include <string_view>
#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/http/driver.hpp>
#include <rondo/http/exchange.hpp>
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

class transfer_state final : exchange, rondo::detail::leaf, rondo::detail::ready_node {
 public:
  explicit transfer_state(transfer_description&& d)
      : exchange(*d.driver_, std::move(d.request_)), leaf{&transfer_state::cancel_it} {}

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
  static void cancel_it(leaf& self) noexcept { static_cast<transfer_state&>(self).give_up(); }
  [[nodiscard]] bool take_body(std::string_view bytes) override {
    body_.append(bytes);
    return true;
  }
  void drop_body() noexcept override { body_.clear(); }
  void over() noexcept override {
    line_->leave();
    loop().complete(*this);
  }

  rondo::detail::scope* line_ = nullptr;
  std::string body_;
};

static_assert(rondo::detail::operation<transfer_description>);

}  // namespace rondo::http::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// One request whose answer is taken as it comes. libcurl goes on by itself, up to `most_kept` bytes
// ahead of the reader; then it is paused, and with it the peer.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <rondo/core/changes.hpp>
#include <rondo/core/task.hpp>
#include <rondo/http/driver.hpp>
#include <rondo/http/exchange.hpp>
#include <rondo/http/request.hpp>
#include <rondo/http/response.hpp>
#include <rondo/io/buffer.hpp>
#include <rondo/loop/event_loop.hpp>

namespace rondo::http::detail {

class received_body final : exchange {
 public:
  received_body(driver& d, request&& r) : exchange(d, std::move(r)) {}
  /// Gives up what has not come yet.
  ~received_body() { abandon(); }

  /// Sends the request, and waits for the head of the answer, which is in `head` then.
  task<> begin_and_wait() {
    if (begin(event_loop::current())) {
      while (is_running() && !has_head_) co_await news_.next();
    }
    if (!has_head_) static_cast<void>(answer());
  }
  task<std::size_t> read(mutable_buffer to) {
    if (to.size() == 0) co_return 0;
    if (is_running() && &loop() != rondo::detail::running_loop) {
      throw std::logic_error("rondo: an http stream was read on another loop than its request");
    }
    while (kept() == 0 && is_running()) {
      go_on();
      co_await news_.next();
    }
    if (kept() == 0) static_cast<void>(answer());
    const std::size_t n = std::min(kept(), to.size());
    std::memcpy(to.data(), bytes_.data() + taken_, n);
    taken_ += n;
    if (paused_ && kept() <= most_kept / 2) {
      paused_ = false;
      resume();
    }
    co_return n;
  }
  using exchange::head;

 private:
  static constexpr std::size_t most_kept = std::size_t{256} << 10;

  [[nodiscard]] std::size_t kept() const noexcept { return bytes_.size() - taken_; }

  void has_head() noexcept override {
    has_head_ = true;
    news_.notify_all();
  }
  [[nodiscard]] bool take_body(std::string_view bytes) override {
    paused_ = kept() >= most_kept;
    if (paused_) return false;
    if (taken_ >= kept()) bytes_.erase(0, std::exchange(taken_, 0));
    bytes_.append(bytes);
    news_.notify_all();
    return true;
  }
  void drop_body() noexcept override {
    bytes_.clear();
    taken_ = 0;
  }
  void over() noexcept override { news_.notify_all(); }

  std::string bytes_;
  std::size_t taken_ = 0;  // of them
  bool has_head_ = false;
  bool paused_ = false;
  rondo::detail::changes news_;
};

}  // namespace rondo::http::detail

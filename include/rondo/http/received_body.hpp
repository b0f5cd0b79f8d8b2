// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// One request whose answer is taken as it comes. libcurl goes on by itself, up to `most_kept_` bytes
// ahead of the reader; then it is paused, and with it the peer. What libcurl has read by then, at most
// 16 KiB, it decompresses and keeps as a whole, which it does up to 64 MiB (DYN_PAUSE_BUFFER).
//
// The body of the request may be produced meanwhile, by whoever waits for the answer: that is a
// race, in which the producer takes part only to lose it, or to end it with an error. Nobody can
// read yet, and a peer that cannot go on with its answer may take no more of the body: so until the
// body is produced, the answer is kept as it comes, however much it is.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <rondo/compose/when_any.hpp>
#include <rondo/core/changes.hpp>
#include <rondo/core/task.hpp>
#include <rondo/http/driver.hpp>
#include <rondo/http/exchange.hpp>
#include <rondo/http/request.hpp>
#include <rondo/http/response.hpp>
#include <rondo/http/upload.hpp>
#include <rondo/io/buffer.hpp>
#include <rondo/loop/event_loop.hpp>

namespace rondo::http::detail {

class received_body final : exchange {
 public:
  received_body(driver& d, request&& r) : exchange(d, std::move(r)) {
    if (const auto& source = sent().source_) upload_.emplace(source);
  }
  /// Gives up what has not come yet.
  ~received_body() { abandon(); }

  /// Sends the request, and waits for the head of the answer, which is in `head` then, and until
  /// the body of the request was sent or is not wanted.
  task<> begin_and_wait() {
    if (begin(event_loop::current())) {
      if (upload_) {
        co_await when_any(produce(), until_it_can_be_read());
      } else {
        while (is_running() && !has_head_) co_await news_.next();
      }
    }
    if (!has_head_) static_cast<void>(answer());
  }
  /// Sends the request, and waits for the whole answer.
  task<response> whole() {
    most_kept_ = all;
    if (begin(event_loop::current())) {
      if (upload_) {
        co_await when_any(produce(), until_it_ends());
      } else {
        co_await until_it_ends();
      }
    }
    answer().body_ = std::move(bytes_);
    co_return std::move(answer());
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
    if (paused_ && kept() <= most_kept_ / 2) {
      paused_ = false;
      go_on_receiving();
    }
    co_return n;
  }
  using exchange::head;
  /// Whoever reads is told.
  void give_up_rest() noexcept {
    abandon();
    news_.notify_all();
  }
  /// Gives up what has not come yet, too.
  [[nodiscard]] request&& take_back() noexcept {
    abandon();
    return exchange::take_back();
  }

 private:
  static constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

  [[nodiscard]] bool is_whole() const noexcept { return most_kept_ == all; }
  [[nodiscard]] std::size_t kept() const noexcept { return bytes_.size() - taken_; }

  /// Ends when it is canceled, or with an error of the source's. A server that refuses may do so
  /// before it has seen the body, and read no more of it.
  task<> produce() {
    co_await when_any(feed(), until_it_is_refused());
    if (is_refused()) {
      upload_->stop();
      go_on_receiving();
    }
    produced_ = true;
    for (news_.notify_all();;) co_await news_.next();
  }
  task<> feed() {
    for (bool more = true; more;) {
      more = co_await upload_->fetch();
      if (upload_->take_pause()) go_on_receiving();
    }
  }
  [[nodiscard]] bool is_refused() const noexcept {
    return (has_head_ && !head().ok()) || goes_on_as_get();
  }
  /// After a redirect that came while the body was sent. libcurl sends the rest to nobody.
  [[nodiscard]] bool goes_on_as_get() const noexcept {
    const bool is_post = sent().method() == "POST";
    return std::ranges::any_of(head().history, [&](const redirect& r) {
      return r.status == 303 || (is_post && (r.status == 301 || r.status == 302));
    });
  }
  task<> until_it_is_refused() {
    while (!is_refused()) co_await news_.next();
  }
  task<> until_it_can_be_read() {
    while (is_running() && !(has_head_ && produced_)) co_await news_.next();
  }
  task<> until_it_ends() {
    while (is_running()) co_await news_.next();
  }

  void set_up_upload(option_setter& set) noexcept override {
    if (upload_) upload_->set_up(set);
  }
  void has_head() noexcept override {
    if (is_whole()) make_room(bytes_);
    has_head_ = true;
    news_.notify_all();
  }
  void is_redirected() noexcept override { news_.notify_all(); }
  /// What libcurl has kept since it was paused is taken as a whole: it would bring what is refused
  /// of that again, all of it, each time.
  void go_on_receiving() noexcept {
    resuming_ = true;
    resume();
    resuming_ = false;
  }
  [[nodiscard]] bool take_body(std::string_view bytes) override {
    paused_ = kept() >= most_kept_ && (!upload_ || produced_) && !resuming_;
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

  std::optional<upload> upload_;
  std::size_t most_kept_ = std::size_t{256} << 10;
  std::string bytes_;
  std::size_t taken_ = 0;  // of them
  bool has_head_ = false;
  bool produced_ = false;  // all that is wanted of the body of the request
  bool paused_ = false;
  bool resuming_ = false;
  rondo::detail::changes news_;
};

}  // namespace rondo::http::detail

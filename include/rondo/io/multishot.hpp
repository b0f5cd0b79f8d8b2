// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// One operation of the kernel with many completions, as a stream: asked once, it accepts every peer
// or receives whatever comes.
//
//     auto peers = listener.accept_many();
//     while (auto peer = co_await peers.next()) ...
//
// The kernel uses the operation's memory also when nobody waits, and a destructor cannot wait until
// it has done. So that memory is a block of its own, to which the stream is a pointer
// (io/multishot_block.hpp). A stream that is dropped leaves its block to the loop: what still
// arrives is closed or given back, and the kernel's last completion frees it.

#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/io/multishot_block.hpp>

namespace rondo::io {

/// What a Source (io/multishot_block.hpp) gives, one after the other. Nothing is asked of the kernel
/// before the first `next`. What nobody has taken is kept, within bounds: a consumer that falls
/// behind stops the operation, which goes on when it has caught up.
///
/// Keep alive: the descriptor's owner. One that is closed with close() ends the stream with
/// errc::closed.
/// Thread: the loop's. One `next` at a time. May be dropped at any time but while one is awaited.
template <typename Source>
class [[nodiscard("a stream does nothing until next() is awaited")]] multishot {
 public:
  using value_type = typename Source::value_type;
  class next_state;
  class close_state;

  template <typename State>
  class [[nodiscard("it does nothing until it is awaited")]] step : public detail::only_in_rondo {
   public:
    using state_type = State;

   private:
    friend multishot;
    friend State;
    explicit step(detail::multishot_block<Source>& block) noexcept : block_(&block) {}
    detail::multishot_block<Source>* block_;
  };

  explicit multishot(Source source)
      : block_(new detail::multishot_block<Source>(std::move(source))) {}

  /// Waits for the next one. Gives: an optional; empty at the end, and after close().
  /// Throws: std::system_error; what came before it has been given. Canceled: nothing is lost, and
  /// it may be called again.
  auto next() & { return step<next_state>(*block_); }

  /// Ends the stream: what is in flight is canceled and waited for, whether the task is canceled or
  /// not; what nobody has taken is dropped. The descriptor stays open.
  auto close() & { return step<close_state>(*block_); }

 private:
  struct dropper {
    void operator()(detail::multishot_block<Source>* block) const noexcept { block->drop(); }
  };
  std::unique_ptr<detail::multishot_block<Source>, dropper> block_;
};

// Implementation

template <typename Source>
class multishot<Source>::next_state : detail::leaf, detail::ready_node, detail::listener {
 public:
  explicit next_state(step<next_state>&& s) noexcept
      : leaf{&kind}, listener{&next_state::arrived}, block_(*s.block_) {}

  [[nodiscard]] bool start(detail::scope& line, detail::continuation told) noexcept {
    line_ = &line;
    waiter = told;
    if (line.canceled()) [[unlikely]] {
      canceled_ = true;
      line.refuse(*this);
      return true;
    }
    if (block_.has_something()) {
      error_ = block_.take_error();
      return line.loop().ready_at_once(*this);
    }
    line.enter(*this);
    block_.wait(*this, static_cast<detail::engine&>(line.loop()));
    return true;
  }

  [[nodiscard]] detail::outcome how() const noexcept {
    if (canceled_) return detail::outcome::canceled;
    return error_ != 0 ? detail::outcome::error : detail::outcome::value;
  }
  [[nodiscard]] std::error_code error() const noexcept {
    if (error_ == detail::stream_closed) return errc::closed;
    return {error_, std::system_category()};
  }
  std::optional<value_type> take() {
    if (canceled_) [[unlikely]] throw operation_canceled();
    if (error_ != 0) [[unlikely]] throw std::system_error(error(), Source::name);
    return block_.take();
  }

 private:
  static void arrived(listener& self) noexcept {
    auto& n = static_cast<next_state&>(self);
    n.error_ = n.block_.take_error();
    n.line_->leave();
    n.line_->loop().complete(n);
  }
  static void cancel_it(leaf& self) noexcept {
    auto& n = static_cast<next_state&>(self);
    n.block_.stop_waiting();
    n.canceled_ = true;
    n.line_->leave();
    n.line_->loop().push(n);
  }
  static constexpr detail::leaf_kind kind{Source::name, &cancel_it};

  detail::multishot_block<Source>& block_;
  detail::scope* line_ = nullptr;
  int error_ = 0;
  bool canceled_ = false;
};

/// Gives something back, so a cancellation does not reach it.
template <typename Source>
class multishot<Source>::close_state : detail::place_in_list {
 public:
  explicit close_state(step<close_state>&& s) noexcept : block_(*s.block_) {}

  [[nodiscard]] bool start(detail::scope& line, detail::continuation told) noexcept {
    if (!block_.close()) return false;
    return wait_in(block_.closing(), line, told, kind);
  }
  [[nodiscard]] detail::outcome how() const noexcept { return detail::outcome::value; }
  void take() const noexcept {}

 private:
  static constexpr detail::leaf_kind kind{"closing a stream", [](leaf&) noexcept {}};

  detail::multishot_block<Source>& block_;
};

}  // namespace rondo::io

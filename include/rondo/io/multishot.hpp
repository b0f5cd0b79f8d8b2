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
/// Thread: that of the loop where it is made. One `next` at a time. May be dropped at any time but
/// while one is awaited.
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

  multishot(int fd, Source source)
      : block_(new detail::multishot_block<Source>(fd, std::move(source))) {}

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
class multishot<Source>::next_state : detail::place_in_stream {
 public:
  explicit next_state(step<next_state>&& s) noexcept : block_(*s.block_) {}
  next_state(const next_state&) = delete;
  next_state& operator=(const next_state&) = delete;

  [[nodiscard]] bool start(detail::scope& its, detail::continuation told) noexcept {
    return block_.start(*this, its, told);
  }
  [[nodiscard]] detail::outcome how() const noexcept {
    if (outcome == was_canceled) return detail::outcome::canceled;
    return outcome != 0 ? detail::outcome::error : detail::outcome::value;
  }
  [[nodiscard]] std::error_code error() const noexcept {
    if (outcome == detail::stream_closed) return errc::closed;
    return {outcome, std::system_category()};
  }
  std::optional<value_type> take() {
    if (outcome == was_canceled) [[unlikely]] throw operation_canceled();
    if (outcome != 0) [[unlikely]] throw std::system_error(error(), Source::name);
    return block_.take();
  }

 private:
  detail::multishot_block<Source>& block_;
};

/// Gives something back, so a cancellation does not reach it.
template <typename Source>
class multishot<Source>::close_state : detail::place_in_closing {
 public:
  explicit close_state(step<close_state>&& s) noexcept
      : detail::place_in_closing{{&kind}, {}, nullptr}, block_(*s.block_) {}
  close_state(const close_state&) = delete;
  close_state& operator=(const close_state&) = delete;

  [[nodiscard]] bool start(detail::scope& its, detail::continuation told) noexcept {
    if (!block_.close()) return false;
    waiter = told;
    line = &its;
    its.enter(*this);
    block_.wait_for_end(*this);
    return true;
  }
  [[nodiscard]] detail::outcome how() const noexcept { return detail::outcome::value; }
  void take() const noexcept {}

 private:
  static constexpr detail::leaf_kind kind{"closing a stream", [](leaf&) noexcept {}};

  detail::multishot_block<Source>& block_;
};

}  // namespace rondo::io

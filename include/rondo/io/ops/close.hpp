// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Closing a descriptor of any kind. close(2) alone neither ends what is in flight on it nor, while
// something is, tells a socket's peer; so what is in flight is canceled first.

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <utility>

#include <rondo/io/descriptor.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/loop/engine.hpp>
#include <rondo/loop/opcodes.hpp>

namespace rondo::detail {

struct close_op {
  using value_type = void;
  static constexpr const char* name = "close";
  static constexpr bool release = true;
  descriptor fd;
  closing_descriptor closing{};
  __kernel_timespec pause{0, 1000};
  enum class step : std::uint8_t { others_begin, others_end, close } now = step::close;
  bool is_told = false;  // when no thread uses the descriptor, so that no pause is needed

  /// Who is ready may be about to ask something on this number, which would meet the next file that
  /// gets it: so they begin first. Then everything that is in flight on the descriptor is canceled,
  /// again and again until there is nothing any more: closing alone would neither end it nor, for a
  /// socket, tell the peer. A request to cancel misses what a thread of the kernel is about to
  /// begin; and what a disk is doing nobody can end, so the pauses grow. From then on nobody has the
  /// number, and what gets it next, maybe before this has ended, is none of our business.
  [[nodiscard]] io_uring_sqe* reserve(engine& loop) noexcept {
    const int number = fd.native_handle();
    const bool first = number >= 0 && !closing.linked();
    if (first) loop.begin_to_close(closing, number);
    if (first && loop.has_ready()) {
      now = step::others_begin;
    } else if (number < 0 || !loop.cancel_on(number)) {
      now = step::close;
    } else {
      now = step::others_end;
    }
    is_told = loop.tells_when_unused();
    return loop.reserve();
  }
  void prepare(io_uring_sqe& e) noexcept {
    switch (now) {
      case step::others_begin: return io_uring_prep_nop(&e);
      case step::others_end: return wait_for_others(e);
      case step::close:
        if (closing.linked()) closing.unlink();
        return io_uring_prep_close(&e, fd.release());  // closed, whatever the answer
    }
  }
  void wait_for_others(io_uring_sqe& e) noexcept {
    if (!is_told) return io_uring_prep_timeout(&e, &pause, 0, 0);
    io_uring_prep_rw(opcode::until_unused, &e, fd.native_handle(), nullptr, 0, 0);
  }
  bool again(int&) noexcept {
    constexpr long long longest = 8'000'000;
    if (now == step::others_end) pause.tv_nsec = std::min(pause.tv_nsec * 2, longest);
    return now != step::close;
  }
};

}  // namespace rondo::detail

namespace rondo::io {

/// Cancels what is in flight on the descriptor, which then ends with errc::closed, and closes it.
/// Not canceled itself, and not refused in a canceled scope.
inline auto close(descriptor fd) {
  return operation<detail::close_op>(detail::close_op{std::move(fd)});
}

/// The same for one that nobody owns, or whose owner has released it. It is closed also when this is
/// not awaited.
template <std::same_as<int> Int>
auto close(Int fd) {
  return close(descriptor(fd));
}

}  // namespace rondo::io

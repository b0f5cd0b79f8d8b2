// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Events that are read from a descriptor several at a time and given one by one: what signals and
// watch are made of.
//
// Reading happens where the descriptor has become readable; an event is taken out where it is given.
// So a wait that is canceled, or that loses a race, loses none.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <poll.h>
#include <unistd.h>
#include <utility>

#include <rondo/io/operation.hpp>
#include <rondo/io/ops/file.hpp>

namespace rondo::detail {

/// Format says what the bytes are:
///   using value_type; static constexpr const char* name;
///   static constexpr std::size_t room         bytes; at least as many as the largest event
///   static std::optional<value_type> take(const char* bytes, std::size_t& used)
///                                             the first event, and its size; nothing at the end
template <typename Format>
struct event_buffer {
  descriptor fd;  // it does not block
  std::size_t taken = 0;
  std::size_t filled = 0;
  bool ended = false;
  alignas(8) char bytes[Format::room];
};

template <typename Format>
struct fill_op {
  using value_type = void;
  static constexpr const char* name = Format::name;
  event_buffer<Format>* to;

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_poll_add(&e, to->fd.native_handle(), POLLIN);
  }
  /// It is readable: reads. Another poll, if there was nothing after all.
  bool again(int& result) noexcept {
    if (result < 0) return false;
    const ssize_t n = ::read(to->fd.native_handle(), to->bytes, sizeof to->bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    result = n < 0 ? -errno : 0;
    to->taken = 0;
    to->filled = n > 0 ? static_cast<std::size_t>(n) : 0;
    return false;
  }
};

template <typename Format>
class next_event;

template <typename Format>
class [[nodiscard("it does nothing until it is awaited")]] next_event_description
    : public only_in_rondo {
 public:
  using state_type = next_event<Format>;
  explicit next_event_description(event_buffer<Format>& from) noexcept : from_(&from) {}

 private:
  friend state_type;
  event_buffer<Format>* from_;
};

template <typename Format>
class next_event : ready_node {
 public:
  using value_type = typename Format::value_type;

  explicit next_event(next_event_description<Format>&& d) noexcept
      : from_(*d.from_), fill_(io::operation<fill_op<Format>>(fill_op<Format>{d.from_})) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    at_once_ = !line.canceled() && (from_.taken != from_.filled || from_.ended);
    if (!at_once_) return fill_.start(line, told);
    waiter = told;
    return line.loop().ready_at_once(*this);
  }
  [[nodiscard]] outcome how() const noexcept {
    if (at_once_) return outcome::value;
    const outcome how = fill_.how();
    return how == outcome::error && from_.ended ? outcome::value : how;  // closed meanwhile
  }
  [[nodiscard]] std::error_code error() const noexcept { return fill_.error(); }
  std::optional<value_type> take() {
    if (how() != outcome::value) fill_.take();
    if (from_.ended || from_.taken == from_.filled) return std::nullopt;
    std::size_t used = 0;
    auto event = Format::take(from_.bytes + from_.taken, used);
    from_.taken += used;
    if (!event) from_.ended = true;
    return event;
  }

 private:
  event_buffer<Format>& from_;
  operation_state<fill_op<Format>> fill_;
  bool at_once_ = false;
};

}  // namespace rondo::detail

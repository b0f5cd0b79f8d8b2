// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Accepting peer after peer with one operation: what tcp_listener::accept_many asks of the kernel.
//
//     auto peers = listener.accept_many();
//     while (auto peer = co_await peers.next()) group.spawn(talk(std::move(*peer)));
//
// The kernel accepts as fast as peers come, and cannot be told to stop in the middle: whoever is in
// the listener's backlog is accepted at once (listen_options::backlog). When 64 or more wait to be
// taken the operation is canceled, and whatever it had accepted by then is kept as well. Those who
// come later wait in the backlog meanwhile.

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <rondo/io/multishot.hpp>

namespace rondo::detail {

/// What an error of accept(2) means for a service that is to go on.
enum class accept_trouble {
  peer_has_gone,  // or the network: the next one may be fine
  no_room,        // for one more descriptor: until somebody closes one
  other,
};

[[nodiscard]] constexpr accept_trouble accept_trouble_of(int error) noexcept {
  switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:  // errors of the new connection, which accept(2) passes on
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return accept_trouble::peer_has_gone;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return accept_trouble::no_room;
    default:
      return accept_trouble::other;
  }
}

/// How often it is tried whether there is room again; nobody tells.
inline constexpr std::chrono::milliseconds accept_pause{20};

/// Stream: what the descriptors are delivered in.
template <typename Stream>
class accept_many_source {
 public:
  using value_type = Stream;
  static constexpr const char* name = "accept";

  accept_many_source() noexcept = default;
  accept_many_source(accept_many_source&&) noexcept {}  // nothing came yet
  accept_many_source& operator=(accept_many_source&&) = delete;
  ~accept_many_source() { discard(); }

  [[nodiscard]] int begin(engine&) noexcept {
    try {
      accepted_.reserve(2 * most_);
      return 0;
    } catch (const std::bad_alloc&) {
      return -ENOMEM;
    }
  }
  void prepare(io_uring_sqe& e, int fd) noexcept {
    io_uring_prep_multishot_accept(&e, fd, nullptr, nullptr, SOCK_CLOEXEC);
  }
  [[nodiscard]] arrival arrived(int result, std::uint32_t) noexcept {
    if (result >= 0) {
      told_ = false;
      return keep(result) ? arrival::kept : arrival::nothing;
    }
    switch (accept_trouble_of(-result)) {
      case accept_trouble::peer_has_gone:
        return arrival::nothing;
      case accept_trouble::no_room:
        return std::exchange(told_, true) ? arrival::too_early : arrival::error;
      default:
        return arrival::error;
    }
  }

  [[nodiscard]] bool empty() const noexcept { return taken_ == accepted_.size(); }
  [[nodiscard]] bool full() const noexcept { return accepted_.size() - taken_ >= most_; }
  [[nodiscard]] Stream take() noexcept {
    Stream first = Stream::adopt(accepted_[taken_++]);
    if (empty() || taken_ == most_) forget_taken();
    return first;
  }
  void discard() noexcept {
    for (; !empty(); ++taken_) ::close(accepted_[taken_]);
    forget_taken();
  }

  [[nodiscard]] bool park(engine& loop, in_flight& stream) noexcept {
    alarm_.loop = &loop;
    alarm_.stream = &stream;
    return loop.timers().arm(alarm_, loop.clock_time() + accept_pause);
  }
  void unpark(in_flight&) noexcept {
    if (alarm_.armed()) alarm_.loop->timers().disarm(alarm_);
  }
  void passed() noexcept {}

 private:
  struct alarm : timer {
    alarm() noexcept : timer(&alarm::rings) {}
    static void rings(timer& self) noexcept {
      static_cast<alarm&>(self).stream->go_on();
    }
    engine* loop = nullptr;
    in_flight* stream = nullptr;
  };

  /// Without memory for it, more than `most_` being there already, the connection is dropped.
  [[nodiscard]] bool keep(int accepted) noexcept {
    try {
      accepted_.push_back(accepted);
      return true;
    } catch (const std::bad_alloc&) {
      ::close(accepted);
      return false;
    }
  }
  void forget_taken() noexcept {
    accepted_.erase(accepted_.begin(), accepted_.begin() + static_cast<std::ptrdiff_t>(taken_));
    taken_ = 0;
  }

  static constexpr std::size_t most_ = 64;

  std::vector<int> accepted_;
  std::size_t taken_ = 0;  // from its front
  alarm alarm_;
  bool told_ = false;  // that there is no room
};

}  // namespace rondo::detail

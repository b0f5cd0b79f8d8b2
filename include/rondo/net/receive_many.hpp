// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Receiving whatever a connection brings, with one operation (with one for each chunk from a Unix
// socket): what receive_many of a stream asks of the kernel. While nothing comes, a connection needs
// no buffer.
//
//     auto chunks = peer.receive_many(ring);
//     while (auto chunk = co_await chunks.next()) print(chunk->view());
//
// A stream keeps at most about a quarter of the ring's buffers for its consumer, so that one that is
// slow does not starve the others; the rest of what its peer sends waits in the socket. Kernel: 6.0.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <sys/socket.h>
#include <utility>

#include <rondo/io/buffer_ring.hpp>
#include <rondo/io/multishot.hpp>

namespace rondo::detail {

class receive_many_source {
 public:
  using value_type = buffer_ring::chunk;
  static constexpr const char* name = "recv";

  receive_many_source(buffer_group_ref group, int fd) noexcept
      : group_(std::move(group)), is_unix_(domain_of(fd) == AF_UNIX) {}
  receive_many_source(receive_many_source&&) noexcept = default;  // nothing came yet
  receive_many_source& operator=(receive_many_source&&) = delete;
  ~receive_many_source() {
    if (group_) discard();
  }

  [[nodiscard]] int begin(engine& loop) noexcept { return group_->join(loop); }
  /// Goes on, tried first, if there is a buffer: while nothing has come, the kernel gives that back.
  /// Otherwise it receives once, polled first: whoever finds no buffer then has something to
  /// receive.
  ///
  /// When one that goes on polls, and there are data with an error right behind them, or, from a Unix
  /// socket, the end, Linux 6.18 gives the data and then waits for something to come. So it is not
  /// polled first, never of a Unix socket, and see in_doubt_. (While it waits, two events at once are
  /// told apart by Linux 6.1 and by 6.18.44; between those, some may overlook the error.)
  void prepare(io_uring_sqe& e, int fd) noexcept {
    io_uring_prep_recv(&e, fd, nullptr, 0, 0);
    polls_first_ = is_unix_ || group_->available() == 0;
    e.ioprio = polls_first_ ? IORING_RECVSEND_POLL_FIRST : IORING_RECV_MULTISHOT;
    choose_buffer(e);
    in_a_row_ = 0;
    in_doubt_ = false;
  }
  [[nodiscard]] arrival arrived(int result, std::uint32_t flags) noexcept {
    const bool there_is_more = (flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
    in_doubt_ = !there_is_more && in_a_row_ == many_in_a_row;
    in_a_row_ = !there_is_more ? 0 : std::min<std::uint8_t>(in_a_row_ + 1, many_in_a_row);
    if ((flags & IORING_CQE_F_BUFFER) != 0) {
      keep(static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT), result);
    } else {
      group_->wake_one();  // if it was to have a buffer, somebody else may
    }
    if (result > 0) return arrival::kept;
    if (result == 0) return arrival::end;
    if (result != -ENOBUFS) return arrival::error;
    return polls_first_ && group_->available() == 0 ? arrival::too_early : arrival::nothing;
  }

  [[nodiscard]] bool empty() const noexcept { return kept_ == 0; }
  [[nodiscard]] bool full() const noexcept {
    return kept_ >= group_->fair_share() || in_doubt_;
  }
  [[nodiscard]] buffer_ring::chunk take() noexcept { return {group_, pop()}; }
  void discard() noexcept {
    while (!empty()) group_->give_back(pop());
  }

  [[nodiscard]] bool park(engine&, in_flight& stream) noexcept {
    if (group_->available() != 0) {
      stream.go_on();  // one has come back meanwhile
    } else {
      group_->park(stream);
    }
    return true;
  }
  void unpark(in_flight& stream) noexcept {
    if (stream.linked()) stream.unlink();
  }
  void passed() noexcept { group_->wake_one(); }

 protected:
  static int domain_of(int fd) noexcept {
    int domain = -1;
    socklen_t size = sizeof domain;
    ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    return domain;
  }
  void choose_buffer(io_uring_sqe& e) const noexcept {
    e.flags |= IOSQE_BUFFER_SELECT;
    e.buf_group = group_->id();
  }

 private:
  void keep(std::uint16_t id, int result) noexcept {
    group_->take(id, result > 0 ? static_cast<std::size_t>(result) : 0);
    if (result <= 0) return group_->give_back(id);
    if (kept_++ == 0) {
      first_ = id;
    } else {
      group_->link(last_, id);
    }
    last_ = id;
  }
  [[nodiscard]] std::uint16_t pop() noexcept {
    --kept_;
    return std::exchange(first_, group_->after(first_));
  }

  buffer_group_ref group_;
  // When it was asked, the kernel tries 32 times (MULTISHOT_MAX_RETRY), then it polls, with data
  // there. After so many in a row, and fewer to be sure, it is asked anew when it has received them.
  static constexpr std::uint8_t many_in_a_row = 16;
  bool is_unix_ : 1;
  bool polls_first_ : 1 = true;
  bool in_doubt_ : 1 = false;
  std::uint8_t in_a_row_ = 0;
  std::uint16_t kept_ = 0;  // at most 32768
  std::uint16_t first_ = 0;
  std::uint16_t last_ = 0;
};

// An idle connection costs this and the frame of the task that waits.
static_assert(sizeof(multishot_block<receive_many_source>) <= 104);

}  // namespace rondo::detail

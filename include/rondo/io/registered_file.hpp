// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A file that the kernel need not look up: it holds one that was registered, and an operation names it
// by its place in a table of the loop's ring instead of by its descriptor.
//
//     rondo::registered_file hot(disk.native_handle());
//     const std::size_t n = co_await hot.use(disk.read_at(buffer, offset));
//
// Whatever is open may be registered: sockets and pipes, too. To a loop that is on epoll, or that is
// not the one where it was registered, it is a descriptor like any other.
//
// Where it pays, a little: for many small operations on one file. A read of 4 KiB that is in memory
// took 0 to 4 % less, in the medians of 25 pairs, three times over; single pairs scatter by more than
// that (Linux 6.18; 1, 32 and 128 in flight).

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <iterator>
#include <system_error>
#include <utility>

#include <rondo/detail/intrusive_ref.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/loop/closings.hpp>
#include <rondo/loop/engine.hpp>
#include <rondo/loop/event_loop.hpp>
#include <rondo/loop/liburing.hpp>

namespace rondo {

namespace detail {

/// The place of a file in the table of a loop's kernel. Who needs it holds a reference.
class registered_place : guest {
 public:
  using ref = intrusive_ref<registered_place>;

  /// Throws: std::bad_alloc.
  [[nodiscard]] static ref make(int fd) { return ref(new registered_place(fd)); }

  registered_place(const registered_place&) = delete;
  registered_place& operator=(const registered_place&) = delete;

  [[nodiscard]] int descriptor() const noexcept { return fd_; }
  /// Makes the file known to a loop. 0 or a negative errno.
  [[nodiscard]] int join(engine& loop) noexcept {
    if (::fcntl(fd_, F_GETFD) < 0) return -errno;  // epoll would not mind, nor the table -1
    index_ = loop.memory().add_file(fd_);
    if (index_ == -EOPNOTSUPP) return 0;  // it is on epoll
    if (index_ < 0) return index_;
    loop_ = &loop;
    loop.admit(*this);
    return 0;
  }
  /// Lets an entry name its file by the place, if it is that one and known to that loop.
  void name_in(io_uring_sqe& e, const engine& loop) const noexcept {
    if (&loop != loop_ || e.fd != fd_ || !may_name_a_place(e.opcode)) return;
    e.fd = index_;
    e.flags = static_cast<std::uint8_t>(e.flags | IOSQE_FIXED_FILE);
  }

 private:
  friend ref;

  explicit registered_place(int fd) noexcept : guest(&registered_place::heard), fd_(fd) {}
  ~registered_place() {
    if (loop_ != nullptr) leave();
  }

  /// The others of Linux 6.1 take a folder, refuse it, or have their file in another place.
  [[nodiscard]] static bool may_name_a_place(std::uint8_t opcode) noexcept {
    constexpr int those[] = {
        IORING_OP_READ, IORING_OP_READV, IORING_OP_READ_FIXED, IORING_OP_WRITE, IORING_OP_WRITEV,
        IORING_OP_WRITE_FIXED, IORING_OP_FSYNC, IORING_OP_SYNC_FILE_RANGE, IORING_OP_FALLOCATE,
        IORING_OP_FADVISE, IORING_OP_POLL_ADD, IORING_OP_RECV, IORING_OP_RECVMSG, IORING_OP_SEND,
        IORING_OP_SENDMSG, IORING_OP_SEND_ZC, IORING_OP_SENDMSG_ZC, IORING_OP_ACCEPT,
        IORING_OP_CONNECT, IORING_OP_SHUTDOWN};
    return std::find(std::begin(those), std::end(those), opcode) != std::end(those);
  }

  void leave() noexcept {
    std::exchange(loop_, nullptr)->memory().remove_file(index_);
    unlink();
  }
  static void heard(guest& self, news what, int fd) noexcept {
    auto& place = static_cast<registered_place&>(self);
    if (what == news::loop_ends) place.loop_ = nullptr;
    // A file that the kernel holds would not be closed.
    if (what == news::descriptor_closes && fd == place.fd_) place.leave();
  }

  int fd_;
  engine* loop_ = nullptr;  // that knows it
  int index_ = -1;
  unsigned refs_ = 1;
};

/// An operation that names its file by the place, if it has one.
template <typename Op>
struct registered_file_op : Op {
  registered_place::ref place;

  void name_file(io_uring_sqe& e, const engine& loop) const noexcept {
    if (place) place->name_in(e, loop);
  }
};

}  // namespace detail

/// Movable. It owns no descriptor, but the kernel holds the file for it: a close of the descriptor by
/// rondo (io::close, the `close` of a file or a stream) takes it out of the table first; who closes
/// it otherwise, or lets a destructor do it, lets this go before, or the file stays open until then.
/// Thread: that of the loop where it is made.
class registered_file {
 public:
  /// How many a loop can have at once.
  static constexpr std::size_t max_files = detail::ring_memory::slots;

  /// Registers an open descriptor with the running loop, which takes a system call.
  /// Throws: std::logic_error outside a running loop; std::bad_alloc; std::system_error: EBADF if it
  /// is not open, ENOSPC when the loop has max_files, EMFILE when the process may have fewer
  /// descriptors than that (ulimit -n).
  explicit registered_file(int fd) : place_(detail::registered_place::make(fd)) {
    if (const int error = place_->join(event_loop::current()); error < 0) raise(-error);
  }

  /// Not an owner's: somebody else closes it. -1 when it was moved from.
  [[nodiscard]] int native_handle() const noexcept { return place_ ? place_->descriptor() : -1; }

  /// The same operation, on the registered file: one that is awaited as `io::read(fd, ...)` is, so
  /// reads, writes, receives, sends, polls and the like, also of `file` and the sockets. One on
  /// another descriptor stays as it is. Keep alive: what the operation needs, not this.
  template <typename Op>
  [[nodiscard]] auto use(io::operation<Op> on_file) const {
    static_assert(!detail::gives_back<Op>, "a close gives up the descriptor, not a registered file");
    using op = detail::registered_file_op<Op>;
    return io::operation<op>(op{std::move(on_file.op_), place_});
  }

 private:
  [[noreturn, gnu::cold]] static void raise(int error) {
    const char* const text =
        error == ENOSPC ? "registered_file: the loop has as many as it can have (max_files)"
        : error == EMFILE ? "registered_file: the process may have too few descriptors (ulimit -n)"
                          : "registered_file";
    throw std::system_error(error, std::generic_category(), text);
  }

  detail::registered_place::ref place_;
};

}  // namespace rondo

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Pipes: bytes that go in at one end and come out at the other, in this process or between two.
//
//     auto [out, in] = rondo::make_pipe();
//     co_await when_all(in.write("hello"), out.read_exactly(buffer));
//
// The program's own standard streams are read and written in the same way:
//
//     rondo::buffered_reader lines(rondo::standard_input());
//     while (auto line = co_await lines.read_line()) ...
//
// Writing to a pipe that nobody reads is an error, EPIPE; while a loop runs, no signal.

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <rondo/io/buffer.hpp>
#include <rondo/io/close_owner.hpp>
#include <rondo/io/descriptor.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/io/ops/read_write.hpp>

namespace rondo {

namespace detail {

/// What both ends have in common.
class pipe_end {
 public:
  /// The descriptor; -1 when there is none.
  [[nodiscard]] int native_handle() const noexcept { return fd_.native_handle(); }
  /// Gives the descriptor up without closing it.
  [[nodiscard]] int release() noexcept { return fd_.release(); }
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  /// Cancels what is in flight on this end (it ends with errc::closed) and closes it. The
  /// destructor closes, too, but can neither cancel nor report.
  /// Canceled: no; what gives back is not canceled.
  auto close() & { return close_owner(fd_); }

 protected:
  pipe_end() noexcept = default;
  explicit pipe_end(descriptor fd) noexcept : fd_(std::move(fd)) {}

 private:
  descriptor fd_;
};

}  // namespace detail

/// The end that bytes come out of; or any other descriptor that is read from the front to the end:
/// a terminal, a FIFO. Keep it where it is, and alive, while a read is in flight. One at a time.
class pipe_reader : public detail::pipe_end {
 public:
  pipe_reader() noexcept = default;
  [[nodiscard]] static pipe_reader adopt(int fd) noexcept { return pipe_reader(descriptor(fd)); }
  static pipe_reader adopt(const descriptor&) = delete;  // it has an owner: release() it

  /// Reads what there is, at least one byte; 0 when all writers have closed. Keep alive: the
  /// buffer.
  auto read(mutable_buffer to) & { return io::read(native_handle(), to); }

  /// Fills the buffer. Throws: unexpected_eof, which knows how much came before the end. Canceled
  /// half-way: how much came is lost.
  auto read_exactly(mutable_buffer to) & {
    return io::operation(detail::read_exactly_op{native_handle(), to, -1});
  }

 private:
  explicit pipe_reader(descriptor fd) noexcept : pipe_end(std::move(fd)) {}
};

/// The end that bytes go into; or any other descriptor that is written from the front to the end: a
/// terminal, which a thread writes to, since one that takes nothing more (Ctrl-S) would keep the
/// whole loop waiting. Keep it where it is, and alive, while a write is in flight. One at a time.
class pipe_writer : public detail::pipe_end {
 public:
  pipe_writer() noexcept = default;
  [[nodiscard]] static pipe_writer adopt(int fd) noexcept {
    const int errno_before = errno;
    const bool terminal = ::isatty(fd) == 1;
    errno = errno_before;
    return {descriptor(fd), terminal ? detail::writes_on::a_thread : detail::writes_on::the_ring};
  }
  static pipe_writer adopt(const descriptor&) = delete;  // it has an owner: release() it

  /// Writes everything. Keep alive: the buffer, unless it is given away (an rvalue string or
  /// vector). Canceled half-way: how much went is lost.
  template <detail::source_of_bytes B>
  auto write(B&& from) & {
    return detail::writing<detail::write_op>(native_handle(), std::forward<B>(from), -1, who_);
  }

  /// Writes at least one byte and gives how many went. Before Linux 6.4 a write that has to wait
  /// waits until everything has gone.
  template <detail::source_of_bytes B>
  auto write_some(B&& from) & {
    return detail::writing<detail::write_some_op>(native_handle(), std::forward<B>(from), -1, who_);
  }

 private:
  pipe_writer(descriptor fd, detail::writes_on who) noexcept
      : pipe_end(std::move(fd)), who_(who) {}
  detail::writes_on who_ = detail::writes_on::the_ring;
};

/// A pipe: where it is read, and where it is written. Programs that are run do not inherit it.
/// Throws: std::system_error.
[[nodiscard]] inline std::pair<pipe_reader, pipe_writer> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::system_category(), "pipe");
  }
  return {pipe_reader::adopt(fds[0]), pipe_writer::adopt(fds[1])};
}

namespace detail {
[[nodiscard]] inline int duplicate(int fd, const char* what) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) throw std::system_error(errno, std::system_category(), what);
  return copy;
}
}  // namespace detail

/// The program's standard streams, each through a descriptor of its own: closing that leaves the
/// program's where it is. Output that was printed in another way, and is still in a buffer of the
/// C or C++ library, comes later. Throws: std::system_error, when it is closed.
[[nodiscard]] inline pipe_reader standard_input() {
  return pipe_reader::adopt(detail::duplicate(STDIN_FILENO, "standard input"));
}
[[nodiscard]] inline pipe_writer standard_output() {
  return pipe_writer::adopt(detail::duplicate(STDOUT_FILENO, "standard output"));
}
[[nodiscard]] inline pipe_writer standard_error() {
  return pipe_writer::adopt(detail::duplicate(STDERR_FILENO, "standard error"));
}

}  // namespace rondo

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Operations on files and paths: what is asked, one struct each. How they are awaited, canceled and
// answered is in io/operation.hpp. Needed kernel where nothing is said: that of the library, Linux
// 6.1.

#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <sys/uio.h>
#include <system_error>
#include <utility>

#include <rondo/io/buffer.hpp>
#include <rondo/io/descriptor.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/io/path.hpp>
#include <rondo/loop/opcodes.hpp>

namespace rondo::detail {

/// The kernel moves at most this much in one call (MAX_RW_COUNT, rounded down to a page).
inline unsigned chunk(std::size_t size) noexcept {
  constexpr std::size_t most = 0x7ffff000;
  return static_cast<unsigned>(size < most ? size : most);
}

/// A position in a file; -1 is the current one, or that of a stream. The kernel refuses other
/// negative ones.
inline std::uint64_t position(std::int64_t offset, std::size_t done) noexcept {
  return offset == -1 ? static_cast<std::uint64_t>(-1) : static_cast<std::uint64_t>(offset) + done;
}

struct read_op {
  using value_type = std::size_t;
  static constexpr const char* name = "read";
  int fd;
  mutable_buffer to;
  std::int64_t offset;

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_read(&e, fd, to.data(), chunk(to.size()), position(offset, 0));
  }
};

struct read_exactly_op {
  using value_type = void;
  static constexpr const char* name = "read";
  int fd;
  mutable_buffer to;
  std::int64_t offset;
  std::size_t done = 0;

  void prepare(io_uring_sqe& e) noexcept {
    const mutable_buffer rest = to.after(done);
    io_uring_prep_read(&e, fd, rest.data(), chunk(rest.size()), position(offset, done));
  }
  bool again(int& result) noexcept { return exactly::again(result, done, to.size()); }
  void raise(int error) const { exactly::raise(error, done); }

  /// What reading exactly n bytes makes of a short answer.
  struct exactly {
    static bool again(int& result, std::size_t& done, std::size_t size) noexcept {
      if (result < 0) return false;
      done += static_cast<std::size_t>(result);
      if (done == size) return false;
      if (result == 0) result = -end_of_stream;
      return result > 0;
    }
    static void raise(int error, std::size_t done) {
      if (error == end_of_stream) throw unexpected_eof(done);
    }
  };
};

template <typename Source>
struct write_some_op {
  using value_type = std::size_t;
  static constexpr const char* name = "write";
  int fd;
  Source from;
  std::int64_t offset;

  void prepare(io_uring_sqe& e) noexcept {
    const const_buffer b = from;
    io_uring_prep_write(&e, fd, b.data(), chunk(b.size()), position(offset, 0));
  }
};

/// Writes everything.
template <typename Source>
struct write_op {
  using value_type = void;
  static constexpr const char* name = "write";
  int fd;
  Source from;
  std::int64_t offset;
  std::size_t done = 0;

  void prepare(io_uring_sqe& e) noexcept {
    const const_buffer rest = const_buffer(from).after(done);
    io_uring_prep_write(&e, fd, rest.data(), chunk(rest.size()), position(offset, done));
  }
  bool again(int& result) noexcept {
    if (result <= 0) {
      if (result == 0 && done < const_buffer(from).size()) result = -ENOSPC;
      return false;
    }
    done += static_cast<std::size_t>(result);
    return done < const_buffer(from).size();
  }
};

struct readv_op {
  using value_type = std::size_t;
  static constexpr const char* name = "readv";
  int fd;
  const iovec* buffers;
  unsigned count;
  std::int64_t offset;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_readv(&e, fd, buffers, count, position(offset, 0));
  }
};

struct writev_op {
  using value_type = std::size_t;
  static constexpr const char* name = "writev";
  int fd;
  const iovec* buffers;
  unsigned count;
  std::int64_t offset;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_writev(&e, fd, buffers, count, position(offset, 0));
  }
};

/// Owner: what the descriptor is delivered in.
template <typename Owner>
struct openat_op {
  using value_type = Owner;
  static constexpr const char* name = "open";
  int directory;
  path_argument path;
  int flags;
  mode_t mode;

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_openat(&e, directory, path.c_str(), flags | O_CLOEXEC, mode);
  }
  [[noreturn]] void raise(int error) const {
    throw std::system_error(error, std::system_category(), "open " + std::string(path.c_str()));
  }
};

struct close_op {
  using value_type = void;
  static constexpr const char* name = "close";
  static constexpr bool release = true;
  descriptor fd;
  closing_descriptor closing{};
  bool others_ended = false;

  /// First everything that is in flight on the descriptor is canceled, again and again until there
  /// is nothing any more: closing alone would neither end it nor, for a socket, tell the peer.
  void prepare(io_uring_sqe& e) noexcept {
    if (others_ended) {
      io_uring_prep_close(&e, fd.release());  // closed, whatever the kernel answers
    } else {
      io_uring_prep_cancel_fd(&e, fd.native_handle(), IORING_ASYNC_CANCEL_ALL);
    }
  }
  bool again(int& result) noexcept {
    if (!others_ended) {
      others_ended = result <= 0;  // otherwise so many were found, and may not have ended yet
      return true;
    }
    closing.unlink();
    return false;
  }
  [[nodiscard]] io_uring_sqe* reserve(engine& loop) noexcept {
    if (!closing.linked()) loop.begin_to_close(closing, fd.native_handle());
    return others_ended ? loop.reserve_close(fd.native_handle()) : loop.reserve();
  }
};

struct fsync_op {
  using value_type = void;
  static constexpr const char* name = "fsync";
  int fd;
  unsigned flags;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_fsync(&e, fd, flags); }
};

struct fallocate_op {
  using value_type = void;
  static constexpr const char* name = "fallocate";
  int fd;
  int mode;
  std::int64_t offset;
  std::int64_t length;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_fallocate(&e, fd, mode, offset, length); }
};

struct ftruncate_op {
  using value_type = void;
  static constexpr const char* name = "ftruncate";
  static constexpr std::uint8_t newer_opcode = opcode::ftruncate;
  int fd;
  std::int64_t length;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_rw(newer_opcode, &e, fd, nullptr, 0, static_cast<std::uint64_t>(length));
  }
};

struct statx_op {
  using value_type = struct statx;
  static constexpr const char* name = "stat";
  int directory;
  path_argument path;
  int flags;
  unsigned mask;
  struct statx answer {};

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_statx(&e, directory, path.c_str(), flags, mask, &answer);
  }
  [[nodiscard]] struct statx value(int) const noexcept { return answer; }
  [[noreturn]] void raise(int error) const {
    throw std::system_error(error, std::system_category(), "stat " + std::string(path.c_str()));
  }
};

}  // namespace rondo::detail

namespace rondo::io {

/// Reads at most once. Gives how many bytes came; 0 at the end. `offset` -1: the current position,
/// or a stream.
inline auto read(int fd, mutable_buffer to, std::int64_t offset = -1) {
  return operation(detail::read_op{fd, to, offset});
}

/// Writes at most once. Gives how many bytes went.
template <detail::source_of_bytes B>
auto write(int fd, B&& from, std::int64_t offset = -1) {
  using op = detail::write_some_op<detail::source<B>>;
  return operation<op>(op{fd, detail::source<B>(std::forward<B>(from)), offset});
}

/// Reads into several buffers. Keep alive: the array and the buffers.
inline auto readv(int fd, const iovec* buffers, unsigned count,
                                std::int64_t offset = -1) {
  return operation(detail::readv_op{fd, buffers, count, offset});
}

/// Writes from several buffers. Keep alive: the array and the buffers.
inline auto writev(int fd, const iovec* buffers, unsigned count,
                                 std::int64_t offset = -1) {
  return operation(detail::writev_op{fd, buffers, count, offset});
}

/// open(2), with O_CLOEXEC. Canceled: a descriptor that arrives all the same is delivered or
/// closed.
inline auto openat(int directory, detail::path_argument path, int flags,
                                 mode_t mode = 0666) {
  using op = detail::openat_op<descriptor>;
  return operation<op>(op{directory, std::move(path), flags, mode});
}

/// Cancels what is in flight on the descriptor, which then ends with errc::closed, and closes it.
/// Not canceled itself, and not refused in a canceled scope.
inline auto close(descriptor fd) {
  return operation<detail::close_op>(detail::close_op{std::move(fd)});
}

/// `flags`: 0, or IORING_FSYNC_DATASYNC for fdatasync(2).
inline auto fsync(int fd, unsigned flags = 0) {
  return operation(detail::fsync_op{fd, flags});
}

inline auto fallocate(int fd, int mode, std::int64_t offset, std::int64_t length) {
  return operation(detail::fallocate_op{fd, mode, offset, length});
}

/// ftruncate(2): cuts the file off, or fills it up with zeros. An operation of the kernel since
/// Linux 6.9; before, a thread does it.
inline auto ftruncate(int fd, std::int64_t length) {
  return operation(detail::ftruncate_op{fd, length});
}

/// `flags` and `mask` as for statx(2); an empty path and AT_EMPTY_PATH ask about `directory`
/// itself.
inline auto statx(int directory, detail::path_argument path, int flags = 0,
                                unsigned mask = STATX_BASIC_STATS) {
  return operation<detail::statx_op>(
      detail::statx_op{directory, std::move(path), flags, mask});
}

}  // namespace rondo::io

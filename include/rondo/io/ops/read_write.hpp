// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Reading and writing by read(2) and write(2): files, pipes, terminals and whatever else has bytes.
// How an operation is awaited, canceled and answered is in io/operation.hpp.
//
//     const std::size_t n = co_await rondo::io::read(fd, buffer, 4096);   // at byte 4096 of a file
//
// An offset of -1 is the descriptor's own position, or that of a stream, which has no other.
// For sockets see io/ops/net.hpp.

#include <cstddef>
#include <cstdint>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

#include <rondo/io/buffer.hpp>
#include <rondo/io/operation.hpp>

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

/// The position of a file that is written at it. When a write is cut short by an error (a disk that
/// is full), io_uring says how much went and may leave the position where it was (Linux 6.18 does):
/// who goes on would overwrite that, and never learn of the error.
class written_position {
 public:
  /// Before the first write. A stream has none.
  void note(int fd, std::int64_t offset) noexcept {
    if (offset == -1) before_ = ::lseek(fd, 0, SEEK_CUR);
  }
  /// `count` bytes went, fewer than were asked for.
  void came_short(int fd, std::size_t count) noexcept {
    if (before_ < 0 || count == 0) return;
    const auto more = static_cast<off_t>(count);
    if (::lseek(fd, 0, SEEK_CUR) == before_) ::lseek(fd, more, SEEK_CUR);
    before_ += more;
  }

 private:
  off_t before_ = -1;
};

/// Who carries out a write. A terminal says that it can be written and then makes the caller wait
/// until all has gone; in the ring's own system call that is the whole loop (seen on Linux 6.18).
enum class writes_on : unsigned char { the_ring, a_thread };

inline void choose(writes_on who, io_uring_sqe& e) noexcept {
  if (who == writes_on::a_thread) e.flags |= IOSQE_ASYNC;
}

template <typename Source>
struct write_some_op {
  using value_type = std::size_t;
  static constexpr const char* name = "write";
  int fd;
  writes_on who;
  Source from;
  std::int64_t offset;
  written_position position_before{};

  int before() noexcept {
    position_before.note(fd, offset);
    return 0;
  }
  void prepare(io_uring_sqe& e) noexcept {
    const const_buffer b = from;
    io_uring_prep_write(&e, fd, b.data(), chunk(b.size()), position(offset, 0));
    choose(who, e);
  }
  [[nodiscard]] std::size_t value(int result) noexcept {
    const auto count = static_cast<std::size_t>(result);
    if (count < const_buffer(from).size()) position_before.came_short(fd, count);
    return count;
  }
};

/// Writes everything.
template <typename Source>
struct write_op {
  using value_type = void;
  static constexpr const char* name = "write";
  int fd;
  writes_on who;
  Source from;
  std::int64_t offset;
  std::size_t done = 0;
  written_position position_before{};

  int before() noexcept {
    position_before.note(fd, offset);
    return 0;
  }
  void prepare(io_uring_sqe& e) noexcept {
    const const_buffer rest = const_buffer(from).after(done);
    io_uring_prep_write(&e, fd, rest.data(), chunk(rest.size()), position(offset, done));
    choose(who, e);
  }
  bool again(int& result) noexcept {
    if (result <= 0) {
      if (result == 0 && done < const_buffer(from).size()) result = -ENOSPC;
      return false;
    }
    done += static_cast<std::size_t>(result);
    if (done == const_buffer(from).size()) return false;
    position_before.came_short(fd, static_cast<std::size_t>(result));
    return true;
  }
};

/// Op: write_op or write_some_op.
template <template <typename> typename Op, typename B>
auto writing(int fd, B&& from, std::int64_t offset, writes_on who = writes_on::the_ring) {
  using op = Op<source<B>>;
  return io::operation<op>(op{fd, who, source<B>(std::forward<B>(from)), offset});
}

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

}  // namespace rondo::detail

namespace rondo::io {

/// Reads at most once. Gives how many bytes came; 0 at the end. `offset` -1: the current position,
/// or a stream.
inline auto read(int fd, mutable_buffer to, std::int64_t offset = -1) {
  return operation(detail::read_op{fd, to, offset});
}

/// Writes at most once. Gives how many bytes went: of a pipe, what there was room for; but before
/// Linux 6.4 io_uring waits there until all has gone. Canceled: gives how many, if some went.
/// A terminal that takes nothing more keeps the whole loop waiting: write to it by a pipe_writer.
template <detail::source_of_bytes B>
auto write(int fd, B&& from, std::int64_t offset = -1) {
  return detail::writing<detail::write_some_op>(fd, std::forward<B>(from), offset);
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

}  // namespace rondo::io

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Operations on an open file: its size, its room on the disk, and getting it there. Reading and
// writing are in io/ops/read_write.hpp, what is done by path in io/ops/path.hpp. How an operation is
// awaited, canceled and answered is in io/operation.hpp. Needed kernel where nothing is said: that
// of the library, Linux 6.1.

#include <cstdint>
#include <fcntl.h>

#include <rondo/io/operation.hpp>
#include <rondo/io/ops/close.hpp>
#include <rondo/io/ops/path.hpp>
#include <rondo/io/ops/read_write.hpp>
#include <rondo/loop/opcodes.hpp>

namespace rondo::detail {

struct fsync_op {
  using value_type = void;
  static constexpr const char* name = "fsync";
  int fd;
  unsigned flags;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_fsync(&e, fd, flags); }
};

struct sync_file_range_op {
  using value_type = void;
  static constexpr const char* name = "sync_file_range";
  int fd;
  std::int64_t offset;
  std::uint32_t length;
  int flags;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_sync_file_range(&e, fd, length, static_cast<std::uint64_t>(offset), flags);
  }
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

struct fadvise_op {
  using value_type = void;
  static constexpr const char* name = "fadvise";
  int fd;
  std::int64_t offset;
  std::uint32_t length;
  int advice;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_fadvise(&e, fd, static_cast<std::uint64_t>(offset), length, advice);
  }
};

}  // namespace rondo::detail

namespace rondo::io {

/// Returns when the file is on the disk. `flags`: 0, or IORING_FSYNC_DATASYNC for fdatasync(2).
inline auto fsync(int fd, unsigned flags = 0) { return operation(detail::fsync_op{fd, flags}); }

/// Starts, or waits for, the writing of some bytes to the disk: see sync_file_range(2) for `flags`,
/// and for why this is no replacement for fsync. `length` 0: to the end.
inline auto sync_file_range(int fd, std::int64_t offset, std::uint32_t length, int flags) {
  return operation(detail::sync_file_range_op{fd, offset, length, flags});
}

/// fallocate(2): makes room, or with `mode` holes and zeros.
inline auto fallocate(int fd, int mode, std::int64_t offset, std::int64_t length) {
  return operation(detail::fallocate_op{fd, mode, offset, length});
}

/// ftruncate(2): cuts the file off, or fills it up with zeros. An operation of the kernel since
/// Linux 6.9; before, a thread does it.
inline auto ftruncate(int fd, std::int64_t length) {
  return operation(detail::ftruncate_op{fd, length});
}

/// posix_fadvise(2): tells the kernel how a file will be read. `length` 0: to the end.
inline auto fadvise(int fd, std::int64_t offset, std::uint32_t length, int advice) {
  return operation(detail::fadvise_op{fd, offset, length, advice});
}

}  // namespace rondo::io

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What a thread of the pool does for the soft ring: the plain system call behind an opcode, which
// may block. One line each; fields and their meaning are those of the kernel's opcode.

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <rondo/loop/soft_streams.hpp>

namespace rondo::detail::soft {

using sqe = io_uring_sqe;

[[nodiscard]] inline const char* text(std::uint64_t address) noexcept {
  return pointer<const char>(address);
}
[[nodiscard]] inline off_t offset_of(std::uint64_t offset) noexcept {
  return static_cast<off_t>(offset);
}
/// For a position, or the current one (-1), or none on a stream.
[[nodiscard]] inline off64_t* place(off64_t& offset) noexcept {
  return offset == -1 ? nullptr : &offset;
}

inline int run_read(const sqe& e, const soft_progress& p) noexcept {
  const iovec part{pointer<char>(e.addr) + p.done, e.len - p.done};
  const off_t at = e.off == ~0ULL ? -1 : offset_of(e.off + p.done);
  const ssize_t n = ::preadv2(e.fd, &part, 1, at, static_cast<int>(e.rw_flags));
  if (p.done != 0) return static_cast<int>(p.done) + static_cast<int>(n > 0 ? n : 0);
  return answer(n);
}
inline int run_write(const sqe& e) noexcept {
  const iovec part{pointer<void>(e.addr), e.len};
  return answer(::pwritev2(e.fd, &part, 1, offset_of(e.off), static_cast<int>(e.rw_flags)));
}
inline int run_readv(const sqe& e) noexcept {
  return answer(::preadv2(e.fd, pointer<const iovec>(e.addr), static_cast<int>(e.len),
                          offset_of(e.off), static_cast<int>(e.rw_flags)));
}
inline int run_writev(const sqe& e) noexcept {
  return answer(::pwritev2(e.fd, pointer<const iovec>(e.addr), static_cast<int>(e.len),
                           offset_of(e.off), static_cast<int>(e.rw_flags)));
}
inline int run_fsync(const sqe& e) noexcept {
  return answer((e.fsync_flags & IORING_FSYNC_DATASYNC) != 0 ? ::fdatasync(e.fd) : ::fsync(e.fd));
}
inline int run_fallocate(const sqe& e) noexcept {
  return answer(
      ::fallocate(e.fd, static_cast<int>(e.len), offset_of(e.off), offset_of(e.addr)));
}
inline int run_ftruncate(const sqe& e) noexcept {
  return answer(::ftruncate(e.fd, offset_of(e.off)));
}
inline int run_sync_file_range(const sqe& e) noexcept {
  return answer(::sync_file_range(e.fd, offset_of(e.off), e.len, e.sync_range_flags));
}
inline int run_fadvise(const sqe& e) noexcept {
  return -::posix_fadvise(e.fd, offset_of(e.off), e.len, static_cast<int>(e.fadvise_advice));
}
inline int run_madvise(const sqe& e) noexcept {
  return answer(::madvise(pointer<void>(e.addr), e.len, static_cast<int>(e.fadvise_advice)));
}

inline int run_openat(const sqe& e) noexcept {
  return answer(::openat(e.fd, text(e.addr), static_cast<int>(e.open_flags), e.len));
}
inline int run_openat2(const sqe& e) noexcept {
  return answer(::syscall(SYS_openat2, e.fd, text(e.addr), pointer<void>(e.addr2), e.len));
}
inline int run_close(const sqe& e) noexcept { return answer(::close(e.fd)); }
inline int run_statx(const sqe& e) noexcept {
  return answer(::statx(e.fd, text(e.addr), static_cast<int>(e.statx_flags), e.len,
                        pointer<struct statx>(e.off)));
}
inline int run_renameat(const sqe& e) noexcept {
  return answer(::renameat2(e.fd, text(e.addr), static_cast<int>(e.len), text(e.addr2),
                            e.rename_flags));
}
inline int run_unlinkat(const sqe& e) noexcept {
  return answer(::unlinkat(e.fd, text(e.addr), static_cast<int>(e.unlink_flags)));
}
inline int run_mkdirat(const sqe& e) noexcept {
  return answer(::mkdirat(e.fd, text(e.addr), e.len));
}
inline int run_symlinkat(const sqe& e) noexcept {
  return answer(::symlinkat(text(e.addr), e.fd, text(e.addr2)));
}
inline int run_linkat(const sqe& e) noexcept {
  return answer(::linkat(e.fd, text(e.addr), static_cast<int>(e.len), text(e.addr2),
                         static_cast<int>(e.hardlink_flags)));
}

inline int run_getxattr(const sqe& e) noexcept {
  return answer(::getxattr(text(e.addr3), text(e.addr), pointer<void>(e.addr2), e.len));
}
inline int run_fgetxattr(const sqe& e) noexcept {
  return answer(::fgetxattr(e.fd, text(e.addr), pointer<void>(e.addr2), e.len));
}
inline int run_setxattr(const sqe& e) noexcept {
  return answer(::setxattr(text(e.addr3), text(e.addr), pointer<void>(e.addr2), e.len,
                           static_cast<int>(e.xattr_flags)));
}
inline int run_fsetxattr(const sqe& e) noexcept {
  return answer(::fsetxattr(e.fd, text(e.addr), pointer<void>(e.addr2), e.len,
                            static_cast<int>(e.xattr_flags)));
}

inline int run_splice(const sqe& e) noexcept {
  auto in = static_cast<off64_t>(e.splice_off_in);
  auto out = static_cast<off64_t>(e.off);
  return answer(
      ::splice(e.splice_fd_in, place(in), e.fd, place(out), e.len, e.splice_flags));
}
inline int run_tee(const sqe& e) noexcept {
  return answer(::tee(e.splice_fd_in, e.fd, e.len, e.splice_flags));
}

/// A full queue of a Unix socket on a socket that does not block is tried again every two
/// milliseconds: nothing else tells that there is room.
inline int run_connect(const sqe& e) noexcept {
  for (;;) {
    const int result = run_connect_once(e);
    if (result != -EAGAIN) return result;
    const timespec moment{0, 2'000'000};
    if (::nanosleep(&moment, nullptr) != 0) return -EINTR;
  }
}
inline int run_waitid(const sqe& e) noexcept {
  return wait_for_child(e, static_cast<int>(e.file_index));
}

/// By the older call, which knows words of 32 bits. The value is the first thing that it looks at.
inline int run_futex_wait(const sqe& e) noexcept {
  const auto flags = static_cast<unsigned>(e.fd);
  constexpr unsigned known = opcode::futex_of_32_bits | opcode::futex_private;
  if ((flags & ~known) != 0 || (flags & opcode::futex_of_32_bits) == 0) return -EINVAL;
  const unsigned call = FUTEX_WAIT_BITSET | (flags & opcode::futex_private);
  return answer(::syscall(SYS_futex, pointer<void>(e.addr), call,
                          static_cast<std::uint32_t>(e.off), nullptr, nullptr,
                          static_cast<std::uint32_t>(e.addr3)));
}

// What does not block, and is done at once.

inline int run_socket(const sqe& e) noexcept {
  // O_NONBLOCK lets accept and connect on it do without a thread.
  const auto type = static_cast<unsigned>(e.off) | SOCK_NONBLOCK;
  return answer(::socket(e.fd, static_cast<int>(type), static_cast<int>(e.len)));
}
inline int run_shutdown(const sqe& e) noexcept {
  return answer(::shutdown(e.fd, static_cast<int>(e.len)));
}
inline int run_bind(const sqe& e) noexcept {
  return answer(::bind(e.fd, pointer<const sockaddr>(e.addr), static_cast<socklen_t>(e.addr2)));
}
inline int run_listen(const sqe& e) noexcept {
  return answer(::listen(e.fd, static_cast<int>(e.len)));
}

}  // namespace rondo::detail::soft

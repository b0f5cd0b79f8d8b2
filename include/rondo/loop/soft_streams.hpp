// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What the soft ring does for pipes, sockets and cached files: the system call behind an opcode, in
// a form that does not block. A try gives what the kernel's completion would say, or one of
//
//   must_wait    nothing yet: again when epoll reports the descriptor
//   must_block   only a call that may block can tell: let a thread do it (loop/soft_files.hpp)
//
// Nobody's descriptor is set to O_NONBLOCK, which would change it for other processes, too. Sockets
// take MSG_DONTWAIT; what is read or written takes RWF_NOWAIT; what knows neither (a terminal, a
// pipe that was spliced) is asked with poll(2) first. accept and connect obey the descriptor alone,
// so those that block go to a thread.

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rondo/loop/liburing.hpp>
#include <rondo/loop/opcodes.hpp>
#include <rondo/loop/soft_entry.hpp>

namespace rondo::detail::soft {

inline constexpr int must_wait = -100'001;
inline constexpr int must_block = -100'002;

template <typename Number>
[[nodiscard]] int answer(Number result) noexcept {
  return result >= 0 ? static_cast<int>(result) : -errno;
}
template <typename T>
[[nodiscard]] T* pointer(std::uint64_t address) noexcept {
  return reinterpret_cast<T*>(static_cast<std::uintptr_t>(address));
}
[[nodiscard]] inline bool is_ready(int fd, short events) noexcept {
  pollfd p{fd, events, 0};
  return ::poll(&p, 1, 0) > 0;
}
/// Whether the kernel takes the descriptor's waiting for disk accesses: then epoll does not know
/// it.
[[nodiscard]] inline bool is_on_disk(int fd) noexcept {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

[[nodiscard]] inline bool is_stream_socket(int fd) noexcept {
  int type = 0;
  socklen_t length = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

// ---- read, write --------------------------------------------------------------------------------

/// For what does not know RWF_NOWAIT. A pipe that is writable has room for PIPE_BUF bytes.
template <bool Writing>
int transfer_when_ready(const io_uring_sqe& e, const soft_progress& p, const iovec* parts,
                        int count) noexcept {
  if (!p.is_stream && is_on_disk(e.fd)) return must_block;
  if (!is_ready(e.fd, Writing ? POLLOUT : POLLIN)) return must_wait;
  ssize_t n = 0;
  if constexpr (Writing) {
    iovec fitting[16];
    int fits = 0;
    for (std::size_t room = PIPE_BUF; fits < std::min(count, 16) && room != 0; ++fits) {
      fitting[fits] = {parts[fits].iov_base, std::min(parts[fits].iov_len, room)};
      room -= fitting[fits].iov_len;
    }
    n = ::writev(e.fd, fitting, fits);
  } else {
    n = ::readv(e.fd, parts, count);
  }
  return n < 0 && errno == EAGAIN ? must_wait : answer(n);
}

template <bool Writing>
int transfer(const io_uring_sqe& e, const soft_progress& p, const iovec* parts, int count,
             std::int64_t offset) noexcept {
  constexpr auto call = Writing ? &::pwritev2 : &::preadv2;
  const int flags = static_cast<int>(e.rw_flags);
  ssize_t n = call(e.fd, parts, count, offset, flags | RWF_NOWAIT);
  if (n < 0 && errno == ESPIPE && offset != -1) {  // io_uring ignores the offset on a stream
    n = call(e.fd, parts, count, -1, flags | RWF_NOWAIT);
  }
  if (n >= 0) return static_cast<int>(n);
  if ((flags & RWF_NOWAIT) != 0) return -errno;
  if (errno == EAGAIN) return must_wait;
  if (errno == EOPNOTSUPP) return transfer_when_ready<Writing>(e, p, parts, count);
  return -errno;
}

inline int try_readv(const io_uring_sqe& e, soft_progress& p) noexcept {
  return transfer<false>(e, p, pointer<const iovec>(e.addr), static_cast<int>(e.len),
                         static_cast<std::int64_t>(e.off));
}
inline int try_writev(const io_uring_sqe& e, soft_progress& p) noexcept {
  return transfer<true>(e, p, pointer<const iovec>(e.addr), static_cast<int>(e.len),
                        static_cast<std::int64_t>(e.off));
}
inline int try_write(const io_uring_sqe& e, soft_progress& p) noexcept {
  const iovec part{pointer<void>(e.addr), e.len};
  return transfer<true>(e, p, &part, 1, static_cast<std::int64_t>(e.off));
}
/// From a file, the kernel's read comes up short only at its end, and RWF_NOWAIT's at the first
/// page that is not in memory as well; so it goes on.
inline int try_read(const io_uring_sqe& e, soft_progress& p) noexcept {
  const auto offset = static_cast<std::int64_t>(e.off);
  for (;;) {
    const iovec part{pointer<char>(e.addr) + p.done, e.len - p.done};
    const int n = transfer<false>(e, p, &part, 1, offset == -1 ? -1 : offset + p.done);
    if (n < 0 && p.done == 0) return n;
    if (n == must_wait || n == must_block) return must_block;
    if (n < 0) return static_cast<int>(p.done);
    p.done += static_cast<std::uint32_t>(n);
    if (n == 0 || p.done == e.len || p.is_stream || !is_on_disk(e.fd)) {
      return static_cast<int>(p.done);
    }
  }
}

// ---- recv, send ---------------------------------------------------------------------------------

/// Whether MSG_WAITALL means that the ring goes on after a part: on datagrams it does not.
[[nodiscard]] inline bool goes_on(const io_uring_sqe& e, const soft_progress& p,
                                  std::size_t size) noexcept {
  if ((e.msg_flags & MSG_WAITALL) == 0 || (e.msg_flags & MSG_PEEK) != 0 || p.done >= size) {
    return false;
  }
  int type = 0;
  socklen_t length = sizeof type;
  return ::getsockopt(e.fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
         (type == SOCK_STREAM || type == SOCK_SEQPACKET);
}
[[nodiscard]] inline int without_waiting(const io_uring_sqe& e) noexcept {
  return static_cast<int>((e.msg_flags & ~static_cast<unsigned>(MSG_WAITALL)) | MSG_DONTWAIT);
}

/// Calls `move(done)`, which gives how many bytes more went, until it is enough.
template <typename Move>
int until_enough(const io_uring_sqe& e, soft_progress& p, std::size_t size, Move move) noexcept {
  if ((e.ioprio & ~(IORING_RECVSEND_POLL_FIRST | opcode::report_usage)) != 0) return -EOPNOTSUPP;
  for (;;) {
    const ssize_t n = move(p.done);
    if (n < 0) {
      const bool later = errno == EAGAIN && (e.msg_flags & MSG_DONTWAIT) == 0;
      if (later) return must_wait;
      return p.done != 0 ? static_cast<int>(p.done) : -errno;
    }
    p.done += static_cast<std::uint32_t>(n);
    p.came_short = n > 0 && p.done < size && (e.msg_flags & MSG_PEEK) == 0;
    if (n == 0 || !goes_on(e, p, size)) return static_cast<int>(p.done);
  }
}

inline int try_recv(const io_uring_sqe& e, soft_progress& p) noexcept {
  return until_enough(e, p, e.len, [&e](std::uint32_t done) noexcept {
    return ::recv(e.fd, pointer<char>(e.addr) + done, e.len - done, without_waiting(e));
  });
}
inline int try_send(const io_uring_sqe& e, soft_progress& p) noexcept {
  return until_enough(e, p, e.len, [&e](std::uint32_t done) noexcept {
    return ::sendto(e.fd, pointer<char>(e.addr) + done, e.len - done, without_waiting(e),
                    e.addr_len != 0 ? pointer<const sockaddr>(e.addr2) : nullptr, e.addr_len);
  });
}

/// The soft ring copies; sockets that do not know zero-copy refuse it all the same.
[[nodiscard]] inline bool knows_zero_copy(int fd) noexcept {
  int family = 0;
  socklen_t length = sizeof family;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0 || family != AF_UNIX;
}
inline int try_send_zc(const io_uring_sqe& e, soft_progress& p) noexcept {
  return knows_zero_copy(e.fd) ? try_send(e, p) : -EOPNOTSUPP;
}

[[nodiscard]] inline std::size_t size_of(const msghdr& m) noexcept {
  std::size_t size = 0;
  for (std::size_t i = 0; i < m.msg_iovlen; ++i) size += m.msg_iov[i].iov_len;
  return size;
}
/// What is left of the first buffer that is not done.
[[nodiscard]] inline iovec part_after(const msghdr& m, std::size_t done) noexcept {
  std::size_t i = 0;
  while (i + 1 < m.msg_iovlen && done >= m.msg_iov[i].iov_len) done -= m.msg_iov[i++].iov_len;
  return {static_cast<char*>(m.msg_iov[i].iov_base) + done, m.msg_iov[i].iov_len - done};
}

inline int try_recvmsg(const io_uring_sqe& e, soft_progress& p) noexcept {
  auto& m = *pointer<msghdr>(e.addr);
  return until_enough(e, p, size_of(m), [&e, &m](std::uint32_t done) noexcept {
    if (done == 0) return ::recvmsg(e.fd, &m, without_waiting(e));
    const iovec rest = part_after(m, done);
    return ::recv(e.fd, rest.iov_base, rest.iov_len, without_waiting(e));
  });
}
/// Into a buffer that was chosen, as IORING_RECV_MULTISHOT has it: io_uring_recvmsg_out, room for the
/// name and for control data, what was received.
inline int try_recvmsg_into(const io_uring_sqe& e, char* buffer, std::size_t size) noexcept {
  const auto& asked = *pointer<const msghdr>(e.addr);
  const std::size_t header =
      sizeof(io_uring_recvmsg_out) + asked.msg_namelen + asked.msg_controllen;
  if (size < header) return -EFAULT;
  iovec part{buffer + header, size - header};
  msghdr m{};
  m.msg_name = buffer + sizeof(io_uring_recvmsg_out);
  m.msg_namelen = asked.msg_namelen;
  m.msg_control = buffer + sizeof(io_uring_recvmsg_out) + asked.msg_namelen;
  m.msg_controllen = asked.msg_controllen;
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  const ssize_t n = ::recvmsg(e.fd, &m, without_waiting(e));
  if (n < 0) return errno == EAGAIN ? must_wait : -errno;
  const io_uring_recvmsg_out out{m.msg_namelen, static_cast<std::uint32_t>(m.msg_controllen),
                                 static_cast<std::uint32_t>(n),
                                 static_cast<std::uint32_t>(m.msg_flags)};
  std::memcpy(buffer, &out, sizeof out);
  return static_cast<int>(header + std::min<std::size_t>(static_cast<std::size_t>(n), part.iov_len));
}
inline int try_sendmsg(const io_uring_sqe& e, soft_progress& p) noexcept {
  const auto& m = *pointer<const msghdr>(e.addr);
  return until_enough(e, p, size_of(m), [&e, &m](std::uint32_t done) noexcept {
    if (done == 0) return ::sendmsg(e.fd, &m, without_waiting(e));
    const iovec rest = part_after(m, done);
    return ::send(e.fd, rest.iov_base, rest.iov_len, without_waiting(e));
  });
}

// ---- accept, connect, waitid --------------------------------------------------------------------

[[nodiscard]] inline bool accepts(int fd) noexcept {
  int listening = 0;
  socklen_t length = sizeof listening;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}
inline int run_accept(const io_uring_sqe& e) noexcept {
  return answer(::accept4(e.fd, pointer<sockaddr>(e.addr), pointer<socklen_t>(e.addr2),
                          static_cast<int>(e.accept_flags)));
}
inline int try_accept(const io_uring_sqe& e, soft_progress&) noexcept {
  const int flags = ::fcntl(e.fd, F_GETFL);
  const bool may_block = flags >= 0 && (flags & O_NONBLOCK) == 0 && accepts(e.fd);
  int result = -EAGAIN;
  if (!may_block) {
    result = run_accept(e);
  } else if (is_ready(e.fd, POLLIN)) {
    return must_block;  // the peer may have gone again, and then it would
  }
  const bool later = result == -EAGAIN && (e.ioprio & opcode::accept_dontwait) == 0;
  return later ? must_wait : result;
}

inline int run_connect_once(const io_uring_sqe& e) noexcept {
  return answer(
      ::connect(e.fd, pointer<const sockaddr>(e.addr), static_cast<socklen_t>(e.addr2)));
}
/// A connect that has begun ends with a second call, which also tells the socket that it has.
inline int finish_connect(const io_uring_sqe& e) noexcept {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(e.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return -errno;
  if (error != 0) return -error;
  const int result = run_connect_once(e);
  if (result == -EALREADY || result == -EINPROGRESS) return must_wait;
  return result == -EISCONN ? 0 : result;
}
inline int try_connect(const io_uring_sqe& e, soft_progress& p) noexcept {
  if (p.ready) return finish_connect(e);
  const int flags = ::fcntl(e.fd, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) return must_block;
  const int result = run_connect_once(e);
  if (result == -EAGAIN) return must_block;  // a Unix socket's queue is full: nothing reports room
  return result == -EINPROGRESS ? must_wait : result;
}

inline int wait_for_child(const io_uring_sqe& e, int options) noexcept {
  siginfo_t nothing{};
  auto* const info = e.addr2 != 0 ? pointer<siginfo_t>(e.addr2) : &nothing;
  info->si_pid = 0;
  const auto which = static_cast<idtype_t>(e.len);
  if (::waitid(which, static_cast<id_t>(e.fd), info, options) != 0) return -errno;
  const bool none = (options & WNOHANG) != 0 && info->si_pid == 0;
  return none && (e.file_index & WNOHANG) == 0 ? must_wait : 0;
}
inline int try_waitid(const io_uring_sqe& e, soft_progress&) noexcept {
  return wait_for_child(e, static_cast<int>(e.file_index) | WNOHANG);
}

}  // namespace rondo::detail::soft

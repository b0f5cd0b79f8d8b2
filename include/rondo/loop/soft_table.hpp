// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The table of the soft ring: what is done for each opcode, one line each. It is closed: an opcode
// that is not in it ends with EOPNOTSUPP, unless the program has brought a function for it
// (rondo::io::register_emulation).
//
//   side       what it waits for when a try finds nothing: that the descriptor is readable, or
//              writable
//   attempt    the system call in a form that does not block (loop/soft_streams.hpp)
//   blocking   the call that a thread of the pool makes (loop/soft_files.hpp): when there is no
//              attempt, when the attempt says so, and when epoll does not know the descriptor
//   at once    a call that cannot block
//
// NOP, POLL_ADD, POLL_REMOVE, ASYNC_CANCEL and all that closing is concern the ring itself: see
// loop/soft_ring.hpp, loop/soft_cancellation.hpp and loop/soft_closing.hpp.

#include <array>
#include <cstddef>
#include <cstdint>

#include <rondo/loop/liburing.hpp>
#include <rondo/loop/opcodes.hpp>
#include <rondo/loop/soft_files.hpp>
#include <rondo/loop/soft_streams.hpp>

namespace rondo::detail::soft {

enum class side : std::uint8_t { none, reading, writing };

struct verb {
  side waits = side::none;
  int (*attempt)(const io_uring_sqe&, soft_progress&) noexcept = nullptr;
  int (*blocking)(const io_uring_sqe&, const soft_progress&) noexcept = nullptr;
  int (*at_once)(const io_uring_sqe&) noexcept = nullptr;
  /// `fd` is the file that it works on (not the folder of a path): canceling by descriptor finds
  /// it.
  bool uses_fd = true;
};

/// Most blocking calls need to know nothing but what was asked.
template <int (*Call)(const io_uring_sqe&) noexcept>
int plain(const io_uring_sqe& e, const soft_progress&) noexcept {
  return Call(e);
}

constexpr std::array<verb, 64> make_table() noexcept {
  std::array<verb, 64> t{};
  t[IORING_OP_READ] = {side::reading, &try_read, &run_read};
  t[IORING_OP_READV] = {side::reading, &try_readv, &plain<run_readv>};
  t[IORING_OP_WRITE] = {side::writing, &try_write, &plain<run_write>};
  t[IORING_OP_WRITEV] = {side::writing, &try_writev, &plain<run_writev>};

  t[IORING_OP_RECV] = {side::reading, &try_recv};
  t[IORING_OP_RECVMSG] = {side::reading, &try_recvmsg};
  t[IORING_OP_SEND] = {side::writing, &try_send};
  t[IORING_OP_SENDMSG] = {side::writing, &try_sendmsg};
  t[IORING_OP_SEND_ZC] = {side::writing, &try_send_zc};
  t[IORING_OP_SENDMSG_ZC] = {side::writing, &try_sendmsg};
  t[IORING_OP_ACCEPT] = {side::reading, &try_accept, &plain<run_accept>};
  t[IORING_OP_CONNECT] = {side::writing, &try_connect, &plain<run_connect>};
  t[opcode::waitid] = {side::reading, &try_waitid, &plain<run_waitid>, nullptr, false};

  t[IORING_OP_SOCKET].at_once = &run_socket;
  t[IORING_OP_SHUTDOWN].at_once = &run_shutdown;
  t[opcode::bind].at_once = &run_bind;
  t[opcode::listen].at_once = &run_listen;

  t[IORING_OP_FSYNC].blocking = &plain<run_fsync>;
  t[IORING_OP_FALLOCATE].blocking = &plain<run_fallocate>;
  t[opcode::ftruncate].blocking = &plain<run_ftruncate>;
  t[IORING_OP_SYNC_FILE_RANGE].blocking = &plain<run_sync_file_range>;
  t[IORING_OP_FADVISE].blocking = &plain<run_fadvise>;
  t[IORING_OP_FGETXATTR].blocking = &plain<run_fgetxattr>;
  t[IORING_OP_FSETXATTR].blocking = &plain<run_fsetxattr>;
  t[IORING_OP_SPLICE].blocking = &plain<run_splice>;
  t[IORING_OP_TEE].blocking = &plain<run_tee>;

  const auto without_fd = [&t](std::size_t code, auto* call) {
    t[code].blocking = call;
    t[code].uses_fd = false;
  };
  without_fd(IORING_OP_OPENAT, &plain<run_openat>);
  without_fd(IORING_OP_OPENAT2, &plain<run_openat2>);
  without_fd(IORING_OP_STATX, &plain<run_statx>);
  without_fd(IORING_OP_RENAMEAT, &plain<run_renameat>);
  without_fd(IORING_OP_UNLINKAT, &plain<run_unlinkat>);
  without_fd(IORING_OP_MKDIRAT, &plain<run_mkdirat>);
  without_fd(IORING_OP_SYMLINKAT, &plain<run_symlinkat>);
  without_fd(IORING_OP_LINKAT, &plain<run_linkat>);
  without_fd(IORING_OP_GETXATTR, &plain<run_getxattr>);
  without_fd(IORING_OP_SETXATTR, &plain<run_setxattr>);
  without_fd(IORING_OP_MADVISE, &plain<run_madvise>);
  without_fd(opcode::futex_wait, &plain<run_futex_wait>);
  without_fd(IORING_OP_CLOSE, &plain<run_close>);
  return t;
}
inline constexpr std::array<verb, 64> table = make_table();

/// Whether the answer is a descriptor.
[[nodiscard]] inline bool makes_descriptor(const io_uring_sqe& e) noexcept {
  return e.opcode == IORING_OP_OPENAT || e.opcode == IORING_OP_OPENAT2 ||
         e.opcode == IORING_OP_ACCEPT || e.opcode == IORING_OP_SOCKET;
}
/// Whether its call, on a thread, may last until somebody else does something. Opening a FIFO may,
/// too, but what a path names is not known before.
[[nodiscard]] inline bool waits_for_others(const io_uring_sqe& e) noexcept {
  return e.opcode == IORING_OP_CONNECT || e.opcode == IORING_OP_ACCEPT ||
         e.opcode == IORING_OP_SPLICE || e.opcode == IORING_OP_TEE || e.opcode == opcode::waitid ||
         e.opcode == opcode::futex_wait || (e.flags & IOSQE_ASYNC) != 0;
}
/// Whether one entry has many answers.
[[nodiscard]] inline bool repeats(const io_uring_sqe& e) noexcept {
  return (e.opcode == IORING_OP_ACCEPT && (e.ioprio & IORING_ACCEPT_MULTISHOT) != 0) ||
         ((e.opcode == IORING_OP_RECV || e.opcode == IORING_OP_RECVMSG) &&
          (e.ioprio & IORING_RECV_MULTISHOT) != 0) ||
         (e.opcode == IORING_OP_POLL_ADD && (e.len & IORING_POLL_ADD_MULTI) != 0);
}

/// What programs bring for opcodes of their own. Registered before loops run, then only read.
inline constinit std::array<int (*)(const io_uring_sqe&), 256> emulations{};

inline int run_emulation(const io_uring_sqe& e, const soft_progress&) noexcept {
  return emulations[e.opcode](e);
}
inline constexpr verb emulated{side::none, nullptr, &run_emulation, nullptr, true};

/// Null for an opcode that nobody knows.
[[nodiscard]] inline const verb* verb_of(std::uint8_t code) noexcept {
  if (emulations[code] != nullptr) return &emulated;
  if (code >= table.size()) return nullptr;
  const verb& v = table[code];
  const bool known = v.attempt != nullptr || v.blocking != nullptr || v.at_once != nullptr;
  return known ? &v : nullptr;
}

}  // namespace rondo::detail::soft

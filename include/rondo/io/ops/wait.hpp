// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Waiting for a child process and for a word in memory. How an operation is awaited, canceled and
// answered is in io/operation.hpp.
//
//     const siginfo_t end = co_await rondo::io::waitid(P_PID, child, WEXITED);
//
// Both are operations of the kernel since Linux 6.7. Before, and on epoll, the end of one process is
// awaited on a pidfd; anything else keeps a thread until it comes true, one beyond those that
// loop_options::max_threads allows.

#include <cstdint>
#include <sys/wait.h>

#include <rondo/io/operation.hpp>
#include <rondo/loop/opcodes.hpp>

namespace rondo::detail {

struct waitid_op {
  using value_type = siginfo_t;
  static constexpr const char* name = "waitid";
  static constexpr std::uint8_t newer_opcode = opcode::waitid;
  idtype_t which;
  id_t id;
  int options;
  siginfo_t answer{};

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_rw(newer_opcode, &e, static_cast<int>(id), nullptr, static_cast<unsigned>(which),
                     0);
    e.file_index = static_cast<unsigned>(options);
    e.addr2 = reinterpret_cast<std::uintptr_t>(&answer);
  }
  [[nodiscard]] siginfo_t value(int) const noexcept { return answer; }
};

struct futex_wait_op {
  using value_type = void;
  static constexpr const char* name = "futex";
  static constexpr std::uint8_t newer_opcode = opcode::futex_wait;
  const std::uint32_t* word;
  std::uint32_t expected;
  std::uint32_t flags;
  std::uint64_t mask;

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_rw(newer_opcode, &e, static_cast<int>(flags), word, 0, expected);
    e.addr3 = mask;
  }
};

}  // namespace rondo::detail

namespace rondo::io {

/// Waits for a child to change, and by default takes note of its end (so that it is no zombie any
/// more). `which`, `id` and `options` as for waitid(2): P_PID and a pid, P_PIDFD and a descriptor,
/// P_PGID, P_ALL; WEXITED, WSTOPPED, WCONTINUED, WNOWAIT.
/// Gives: what waitid fills in; si_pid 0 if with WNOHANG there was nothing. Canceled: the child is
/// left as it was. Throws: std::system_error with ECHILD when there is no such child.
inline auto waitid(idtype_t which, id_t id, int options = WEXITED) {
  return operation(detail::waitid_op{which, id, options});
}

/// For a word that only threads of this process share: cheaper, and what FUTEX_PRIVATE_FLAG wakes.
inline constexpr std::uint32_t futex_private = detail::opcode::futex_private;

/// Waits until somebody wakes waiters of a word (futex(2), FUTEX_WAKE), if it still has the
/// `expected` value; wakes of a private futex (FUTEX_PRIVATE_FLAG) reach only waits with
/// `futex_private`. A wake may come for no reason: look at the word again.
/// Keep alive: the word. Throws: std::system_error with EAGAIN when the word has another value
/// already. `mask`: which wakes (FUTEX_WAKE_BITSET).
inline auto futex_wait(const std::uint32_t* word, std::uint32_t expected, std::uint32_t flags = 0,
                       std::uint64_t mask = 0xffffffffU) {
  return operation(
      detail::futex_wait_op{word, expected, detail::opcode::futex_of_32_bits | flags, mask});
}

}  // namespace rondo::io

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The soft ring: a server of submission entries in user space, for where io_uring is refused.
//
// Its queues are an io_uring struct like any other, only that their memory is ordinary memory, so
// liburing's inline functions (entries, completions) work on it unchanged. No exported function of
// liburing may be called with it: behind it is no ring of the kernel.
//
// `enter` is what io_uring_enter is in the kernel:
//   take      each entry is tried: what is ready is answered at once, the rest waits for its
//             descriptor or goes to a thread (loop/soft_table.hpp says which)
//   collect   what threads have finished
//   tell      epoll, what is waited for since the last time (loop/soft_waits.hpp)
//   watch     ask epoll, asleep if there is no answer yet, and serve who waited
//
// It answers as the kernel does, for what is in the table. It is there to be compatible; the fast
// one is the kernel's.

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rondo/loop/soft_cancellation.hpp>
#include <rondo/loop/soft_closing.hpp>
#include <rondo/loop/soft_entry.hpp>
#include <rondo/loop/soft_readiness.hpp>
#include <rondo/loop/soft_service.hpp>
#include <rondo/loop/soft_table.hpp>
#include <rondo/loop/soft_waits.hpp>
#include <rondo/loop/thread_pool.hpp>

namespace rondo::detail {

class soft_ring : soft_service {
 public:
  /// Sets up `ring`, which stays where it is. The pool ends its threads before this goes.
  /// Throws: std::bad_alloc, std::system_error.
  soft_ring(io_uring& ring, unsigned size, loop_threads& threads)
      : soft_service(ring, size, threads) {
    wake_on(work.bell());
  }
  soft_ring(const soft_ring&) = delete;
  soft_ring& operator=(const soft_ring&) = delete;
  ~soft_ring() = default;

  /// As io_uring_enter: takes entries, and if `wait` says so sleeps until there is an answer, at
  /// most for `timeout` (relative; null: no limit). How many were taken, or a negative errno.
  int enter(bool wait, const __kernel_timespec* timeout) noexcept;

  /// Before somebody else sleeps until `pollable` is readable: who waits on a belief is told about
  /// again, as `enter` does before it sleeps for long.
  void be_polled() noexcept {
    waits.check_beliefs();
    readiness_.tell();
  }
  /// Readable when `enter` has something to do.
  [[nodiscard]] int pollable() const noexcept { return waits.native_handle(); }

  /// A descriptor of the loop's own, an eventfd: a write to it ends sleeping. Throws:
  /// std::system_error.
  void wake_on(int fd) { readiness_.wake_on(fd); }

  /// Whether a thread was told to give up and has not yet: to be entered again soon.
  [[nodiscard]] bool must_insist() const noexcept { return work.must_insist(); }

  /// Buffers that RECV with IOSQE_BUFFER_SELECT chooses from. 0 or a negative errno.
  int add_buffers(std::uint16_t group, io_uring_buf_ring* ring, std::uint16_t count) noexcept {
    return buffers.add(group, ring, count);
  }
  int remove_buffers(std::uint16_t group) noexcept { return buffers.remove(group); }

 private:
  void serve(const io_uring_sqe& e) noexcept;
  void try_first(const io_uring_sqe& e, const soft::verb& v) noexcept;
  [[gnu::cold]] void refuse(const io_uring_sqe& e, const char* why) noexcept;
  void poll(const io_uring_sqe& e) noexcept;
  [[gnu::cold]] void wait_for_process(soft_entry& s) noexcept;
  void collect() noexcept;

  soft_readiness readiness_{*this};
  soft_cancellation cancellation_{*this};
  soft_closing closing_{*this, cancellation_};
  unsigned enters_ = 0;
};

// Implementation

inline int soft_ring::enter(bool wait, const __kernel_timespec* timeout) noexcept {
  queues.catch_up(entries);
  int taken = 0;
  while (const io_uring_sqe* const e = queues.next()) {
    serve(*e);
    queues.taken();
    ++taken;
  }
  collect();
  readiness_.tell();
  // Who waits is not forgotten over those who are always answered at once.
  constexpr unsigned at_least_every = 8;
  const bool answered = queues.has_answers();
  int result = taken;
  if (!answered || ++enters_ % at_least_every == 0) {
    const int watched = readiness_.watch(wait && !answered, timeout);
    if (watched < 0 && taken == 0) result = watched;
    collect();
  }
  queues.set_pending(entries.used() != 0);
  return result;
}

// ---- Entries ------------------------------------------------------------------------------------

inline void soft_ring::serve(const io_uring_sqe& e) noexcept {
  constexpr unsigned not_here = IOSQE_FIXED_FILE | IOSQE_IO_DRAIN | IOSQE_IO_LINK |
                                IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;
  if ((e.flags & not_here) != 0) return refuse(e, "with these flags");
  switch (e.opcode) {
    case IORING_OP_NOP:
      return queues.post(e.user_data, 0, 0);
    case IORING_OP_ASYNC_CANCEL:
      return queues.post(e.user_data, cancellation_.cancel(e), 0);
    case IORING_OP_POLL_ADD:
      return poll(e);
    case IORING_OP_POLL_REMOVE:
      return queues.post(e.user_data, cancellation_.remove_poll(e), 0);
    case opcode::until_unused:
      return closing_.until_unused(e);
    case IORING_OP_CLOSE:
      return e.file_index == 0 ? closing_.close(e) : refuse(e, "of a fixed file");
    default:
      break;
  }
  const soft::verb* const v = soft::verb_of(e.opcode);
  if (v == nullptr) return refuse(e, "");
  const bool selects = (e.flags & IOSQE_BUFFER_SELECT) != 0;
  const bool may_select =
      e.opcode == IORING_OP_RECV || (e.opcode == IORING_OP_RECVMSG && soft::repeats(e));
  if (selects && !may_select) return refuse(e, "with a chosen buffer");
  if (soft::makes_descriptor(e) && e.file_index != 0) return refuse(e, "into a fixed file");

  if (v->at_once != nullptr) return answer(e, v->at_once(e));
  const bool for_a_thread = (e.flags & IOSQE_ASYNC) != 0 && v->blocking != nullptr;
  if (v->attempt != nullptr && !for_a_thread) return try_first(e, *v);
  if (soft_entry* const s = entries.take(e, {})) return block(*s);
  queues.post(e.user_data, -ENOMEM, 0);
}

/// What the kernel would answer with EINVAL ends here with EOPNOTSUPP, and a word about it.
inline void soft_ring::refuse(const io_uring_sqe& e, [[maybe_unused]] const char* why) noexcept {
#ifndef NDEBUG
  std::fprintf(stderr,
               "rondo: the epoll backend does not know operation %d of io_uring %s; "
               "rondo::io::register_emulation can bring one\n",
               static_cast<int>(e.opcode), why);
#endif
  queues.post(e.user_data, -EOPNOTSUPP, 0);
}

/// Tries, and waits if that finds nothing. Not before those who wait already; and not where the
/// last receive has taken everything, which saves a system call for each message.
inline void soft_ring::try_first(const io_uring_sqe& e, const soft::verb& v) noexcept {
  if (e.opcode == IORING_OP_CONNECT) waits.begin_again(e.fd);
  record* const r = waits.find(e.fd);
  soft_progress p;
  p.is_stream = r != nullptr && r->told != 0;
  const bool behind = r != nullptr && v.uses_fd && !r->queue(v.waits).empty();
  const bool drained =
      r != nullptr && r->drained && e.opcode == IORING_OP_RECV && e.flags == 0 && e.len != 0 &&
      (e.msg_flags & (MSG_DONTWAIT | MSG_OOB)) == 0;  // of urgent data epoll does not tell
  if (!behind && !drained && !soft::repeats(e)) {
    const int result = attempt(e, p, v);
    if (result != soft::must_wait && result != soft::must_block) {
      if (p.came_short && r != nullptr) r->drained = r->is_stream && e.opcode == IORING_OP_RECV;
      return answer(e, result, p.flags);
    }
    soft_entry* const s = entries.take(e, p);
    if (s == nullptr) {
      return answer(e, p.done != 0 ? static_cast<int>(p.done) : -ENOMEM);
    }
    if (result == soft::must_block) return block(*s);
    if (e.opcode == opcode::waitid) return wait_for_process(*s);
    return wait(*s, v.waits);
  }
  soft_entry* const s = entries.take(e, p);
  if (s == nullptr) return answer(e, -ENOMEM);
  if (behind || drained || !go_on(*s, v)) wait(*s, v.waits);
}

inline void soft_ring::poll(const io_uring_sqe& e) noexcept {
  const bool many = soft::repeats(e);
  if ((e.len & ~unsigned{IORING_POLL_ADD_MULTI}) != 0) return refuse(e, "with these flags");
  pollfd p{e.fd, static_cast<short>(e.poll32_events & 0xffffU), 0};
  if (::poll(&p, 1, 0) > 0) {
    if ((p.revents & POLLNVAL) != 0) return queues.post(e.user_data, -EBADF, 0);
    if (!many) return queues.post(e.user_data, static_cast<unsigned short>(p.revents), 0);
  }
  soft_entry* const s = entries.take(e, {});
  if (s == nullptr) return queues.post(e.user_data, -ENOMEM, 0);
  record* const r = waits.of(e.fd);
  if (r == nullptr) return end(*s, e.fd < 0 ? -EBADF : -ENOMEM);
  s->at = place::waiting;
  r->polling.push_back(*s);
  if (many) return waits.tell_later(e.fd, *r);  // and be told what is true already
  waits.expect(e.fd, *r, soft_waits::polled_events(*s));
}

/// The end of a process is awaited on a pidfd; other changes, and of several, on a thread.
inline void soft_ring::wait_for_process(soft_entry& s) noexcept {
  const auto which = static_cast<idtype_t>(s.ask.len);
  const bool only_its_end = (s.ask.file_index & (WSTOPPED | WCONTINUED)) == 0;
  if (!only_its_end || (which != P_PID && which != P_PIDFD)) return block(s);
  if (which == P_PID) {
    s.fd = static_cast<int>(::syscall(SYS_pidfd_open, s.ask.fd, 0));
    if (s.fd < 0) return end(s, -errno);
    s.owns_fd = true;
    waits.begin_again(s.fd);
  }
  wait(s, soft::side::reading);
}

// ---- Threads ------------------------------------------------------------------------------------

inline void soft_ring::collect() noexcept {
  work.collect([this](soft_entry& s) noexcept {
    if (soft::repeats(s.ask) && s.result >= 0 && queues.room() && !s.interrupted) {
      look_at_new(s.ask, s.result);
      queues.post(s.ask.user_data, s.result, IORING_CQE_F_MORE);
      if (!go_on(s, *soft::verb_of(s.ask.opcode))) wait(s, soft::side::reading);
    } else {
      const bool would_block = s.result == -EAGAIN && (s.ask.flags & IOSQE_ASYNC) != 0;
      if (would_block && !s.interrupted) {  // somebody has set O_NONBLOCK
        return wait(s, soft::verb_of(s.ask.opcode)->waits);
      }
      const bool gave_up = s.result == -EINTR || would_block;  // because it was told to
      end(s, gave_up ? -ECANCELED : s.result);
    }
  });
  closing_.go_on();
}

}  // namespace rondo::detail

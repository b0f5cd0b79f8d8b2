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

#include <rondo/loop/soft_buffers.hpp>
#include <rondo/loop/soft_entry.hpp>
#include <rondo/loop/soft_queues.hpp>
#include <rondo/loop/soft_table.hpp>
#include <rondo/loop/soft_waits.hpp>
#include <rondo/loop/soft_work.hpp>
#include <rondo/loop/thread_pool.hpp>

namespace rondo::detail {

class soft_ring {
 public:
  /// Sets up `queues`, which stays where it is. The pool ends its threads before this goes.
  /// Throws: std::bad_alloc, std::system_error.
  soft_ring(io_uring& queues, unsigned entries, loop_threads& threads)
      : queues_(queues, entries), work_(threads, waits_) {
    wake_on(work_.bell());
  }
  soft_ring(const soft_ring&) = delete;
  soft_ring& operator=(const soft_ring&) = delete;
  ~soft_ring() { drop_everything(); }

  /// As io_uring_enter: takes entries, and if `wait` says so sleeps until there is an answer, at
  /// most for `timeout` (relative; null: no limit). How many were taken, or a negative errno.
  int enter(bool wait, const __kernel_timespec* timeout) noexcept;

  /// Readable when `enter` has something to do.
  [[nodiscard]] int pollable() const noexcept { return waits_.native_handle(); }

  /// A descriptor of the loop's own, an eventfd: a write to it ends sleeping. Throws:
  /// std::system_error.
  void wake_on(int fd) {
    if (const int error = waits_.watch(fd, bell); error != 0) {
      throw std::system_error(error, std::generic_category(), "epoll_ctl");
    }
  }

  /// Buffers that RECV with IOSQE_BUFFER_SELECT chooses from. 0 or a negative errno.
  int add_buffers(std::uint16_t group, io_uring_buf_ring* ring, std::uint16_t entries) noexcept {
    return buffers_.add(group, ring, entries);
  }
  int remove_buffers(std::uint16_t group) noexcept { return buffers_.remove(group); }

 private:
  using record = soft_waits::record;
  using place = soft_entry::place;

  void serve(const io_uring_sqe& e) noexcept;
  void try_first(const io_uring_sqe& e, const soft::verb& v) noexcept;
  void refuse(const io_uring_sqe& e, const char* why) noexcept;
  int attempt(const io_uring_sqe& e, soft_progress& p, const soft::verb& v) noexcept;
  int receive_into_chosen(const io_uring_sqe& e, soft_progress& p) noexcept;
  bool go_on(soft_entry& s, const soft::verb& v) noexcept;
  void answer(const io_uring_sqe& e, int result, std::uint32_t flags = 0) noexcept {
    look_at_new(e, result);
    queues_.post_last(e, result, flags);
  }
  void end(soft_entry& s, int result, std::uint32_t flags = 0) noexcept {
    look_at_new(s.ask, result);
    if (s.owns_fd) ::close(s.fd);
    queues_.answer(entries_, s, result, flags);
  }
  /// A new descriptor: whatever had its number before has gone.
  void look_at_new(const io_uring_sqe& e, int result) noexcept {
    if (makes_descriptor(e) && result >= 0) waits_.begin_again(result);
  }
  void end_canceled(soft_entry& s) noexcept {
    end(s, s.progress.done != 0 ? static_cast<int>(s.progress.done) : -ECANCELED);
  }
  void wait(soft_entry& s, soft::side side) noexcept;
  void poll(const io_uring_sqe& e) noexcept;
  void wait_for_process(soft_entry& s) noexcept;

  void close(const io_uring_sqe& e) noexcept;
  void close_now(const io_uring_sqe& e, soft_entry* s) noexcept;

  int cancel(const io_uring_sqe& e) noexcept;
  int cancel(soft_entry& s) noexcept;
  int remove_poll(const io_uring_sqe& e) noexcept;

  void block(soft_entry& s) noexcept {
    if (const int error = work_.begin(s); error != 0) end(s, error);
  }
  void collect() noexcept;

  void tell() noexcept {
    waits_.tell([this](int, record& r, int error) noexcept { not_taken(r, error); });
  }
  static bool shorter(const __kernel_timespec& a, const __kernel_timespec* b) noexcept {
    return b == nullptr || a.tv_sec < b->tv_sec ||
           (a.tv_sec == b->tv_sec && a.tv_nsec < b->tv_nsec);
  }
  void drop_everything() noexcept;
  int watch(bool sleep, const __kernel_timespec* timeout) noexcept;
  void reported(int fd, std::uint32_t events) noexcept;
  void serve_queue(intrusive_list<soft_entry>& queue) noexcept;
  void not_taken(record& r, int error) noexcept;

  [[nodiscard]] static bool makes_descriptor(const io_uring_sqe& e) noexcept {
    return e.opcode == IORING_OP_OPENAT || e.opcode == IORING_OP_OPENAT2 ||
           e.opcode == IORING_OP_ACCEPT || e.opcode == IORING_OP_SOCKET;
  }

  /// Whether one entry has many answers.
  [[nodiscard]] static bool repeats(const io_uring_sqe& e) noexcept {
    return (e.opcode == IORING_OP_ACCEPT && (e.ioprio & IORING_ACCEPT_MULTISHOT) != 0) ||
           ((e.opcode == IORING_OP_RECV || e.opcode == IORING_OP_RECVMSG) &&
            (e.ioprio & IORING_RECV_MULTISHOT) != 0) ||
           (e.opcode == IORING_OP_POLL_ADD && (e.len & IORING_POLL_ADD_MULTI) != 0);
  }

  static constexpr std::uint64_t bell = ~std::uint64_t{0};

  soft_queues queues_;
  soft_waits waits_;
  soft_work work_;
  soft_buffers buffers_;
  soft_entries entries_;
  intrusive_list<soft_entry> closing_;
  unsigned enters_ = 0;
};

// Implementation

inline int soft_ring::enter(bool wait, const __kernel_timespec* timeout) noexcept {
  queues_.catch_up(entries_);
  int taken = 0;
  while (const io_uring_sqe* const e = queues_.next()) {
    serve(*e);
    queues_.taken();
    ++taken;
  }
  collect();
  tell();
  // Who waits is not forgotten over those who are always answered at once.
  constexpr unsigned at_least_every = 8;
  const bool answered = queues_.has_answers();
  int result = taken;
  if (!answered || ++enters_ % at_least_every == 0) {
    const int watched = watch(wait && !answered, timeout);
    if (watched < 0 && taken == 0) result = watched;
    collect();
  }
  queues_.set_pending(entries_.used() != 0);
  return result;
}

// ---- Entries ------------------------------------------------------------------------------------

inline void soft_ring::serve(const io_uring_sqe& e) noexcept {
  constexpr unsigned not_here = IOSQE_FIXED_FILE | IOSQE_IO_DRAIN | IOSQE_IO_LINK |
                                IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;
  if ((e.flags & not_here) != 0) return refuse(e, "with these flags");
  switch (e.opcode) {
    case IORING_OP_NOP:
      return queues_.post(e.user_data, 0, 0);
    case IORING_OP_ASYNC_CANCEL:
      return queues_.post(e.user_data, cancel(e), 0);
    case IORING_OP_POLL_ADD:
      return poll(e);
    case IORING_OP_POLL_REMOVE:
      return queues_.post(e.user_data, remove_poll(e), 0);
    case IORING_OP_CLOSE:
      return e.file_index == 0 ? close(e) : refuse(e, "of a fixed file");
    default:
      break;
  }
  const soft::verb* const v = soft::verb_of(e.opcode);
  if (v == nullptr) return refuse(e, "");
  const bool selects = (e.flags & IOSQE_BUFFER_SELECT) != 0;
  const bool may_select = e.opcode == IORING_OP_RECV || (e.opcode == IORING_OP_RECVMSG && repeats(e));
  if (selects && !may_select) return refuse(e, "with a chosen buffer");
  if (makes_descriptor(e) && e.file_index != 0) return refuse(e, "into a fixed file");

  if (v->at_once != nullptr) return answer(e, v->at_once(e));
  if (v->attempt != nullptr) return try_first(e, *v);
  if (soft_entry* const s = entries_.take(e, {})) return block(*s);
  queues_.post(e.user_data, -ENOMEM, 0);
}

/// What the kernel would answer with EINVAL ends here with EOPNOTSUPP, and a word about it.
inline void soft_ring::refuse(const io_uring_sqe& e, [[maybe_unused]] const char* why) noexcept {
#ifndef NDEBUG
  std::fprintf(stderr,
               "rondo: the epoll backend does not know operation %d of io_uring %s; "
               "rondo::io::register_emulation can bring one\n",
               static_cast<int>(e.opcode), why);
#endif
  queues_.post(e.user_data, -EOPNOTSUPP, 0);
}

/// Tries, and waits if that finds nothing. Not before those who wait already; and not where the
/// last receive has taken everything, which saves a system call for each message.
inline void soft_ring::try_first(const io_uring_sqe& e, const soft::verb& v) noexcept {
  if (e.opcode == IORING_OP_CONNECT) waits_.begin_again(e.fd);
  record* const r = waits_.find(e.fd);
  soft_progress p;
  p.is_stream = r != nullptr && r->told != 0;
  const bool behind = r != nullptr && v.uses_fd && !r->queue(v.waits).empty();
  const bool drained =
      r != nullptr && r->drained && e.opcode == IORING_OP_RECV && e.flags == 0 && e.len != 0 &&
      (e.msg_flags & MSG_DONTWAIT) == 0;
  if (!behind && !drained && !repeats(e)) {
    const int result = attempt(e, p, v);
    if (result != soft::must_wait && result != soft::must_block) {
      if (p.came_short && r != nullptr) r->drained = r->is_stream && e.opcode == IORING_OP_RECV;
      return answer(e, result, p.flags);
    }
    soft_entry* const s = entries_.take(e, p);
    if (s == nullptr) {
      return answer(e, p.done != 0 ? static_cast<int>(p.done) : -ENOMEM);
    }
    if (result == soft::must_block) return block(*s);
    if (e.opcode == opcode::waitid) return wait_for_process(*s);
    return wait(*s, v.waits);
  }
  soft_entry* const s = entries_.take(e, p);
  if (s == nullptr) return answer(e, -ENOMEM);
  if (behind || drained || !go_on(*s, v)) wait(*s, v.waits);
}

inline int soft_ring::attempt(const io_uring_sqe& e, soft_progress& p,
                              const soft::verb& v) noexcept {
  if ((e.flags & IOSQE_BUFFER_SELECT) != 0) return receive_into_chosen(e, p);
  return v.attempt(e, p);
}

/// As the kernel: without a buffer it ends, also if nothing has come, unless it is to poll first; one
/// into which nothing went stays.
inline int soft_ring::receive_into_chosen(const io_uring_sqe& e, soft_progress& p) noexcept {
  p.flags = 0;
  soft_buffers::group* const group = buffers_.find(e.buf_group);
  const io_uring_buf* const buffer = group != nullptr ? group->next() : nullptr;
  if (buffer == nullptr) {
    const bool polls_first = (e.ioprio & IORING_RECVSEND_POLL_FIRST) != 0;
    return polls_first && !soft::is_ready(e.fd, POLLIN) ? soft::must_wait : -ENOBUFS;
  }
  io_uring_sqe filled = e;
  filled.addr = buffer->addr;
  filled.len = e.len == 0 || e.len > buffer->len ? buffer->len : e.len;
  filled.ioprio &= static_cast<std::uint16_t>(~IORING_RECV_MULTISHOT);
  p.done = 0;
  const int n = e.opcode == IORING_OP_RECV
                    ? soft::try_recv(filled, p)
                    : soft::try_recvmsg_into(e, soft::pointer<char>(buffer->addr), buffer->len);
  if (n > 0) {
    p.flags = IORING_CQE_F_BUFFER | (static_cast<std::uint32_t>(buffer->bid)
                                     << IORING_CQE_BUFFER_SHIFT);
    group->take();
  }
  return n;
}

/// Tries an entry, which may be in a queue. False: it must wait, or wait on.
inline bool soft_ring::go_on(soft_entry& s, const soft::verb& v) noexcept {
  for (;;) {
    const bool many = repeats(s.ask);
    if (many && !queues_.room()) return false;  // what is ready now is so later
    const int result = attempt(s.ask, s.progress, v);
    s.progress.ready = false;
    if (result == soft::must_wait) return false;
    if (result == soft::must_block) {
      if (s.linked()) s.unlink();
      block(s);
      return true;
    }
    record* const r = s.progress.came_short ? waits_.find(s.fd) : nullptr;
    if (r != nullptr) r->drained = r->is_stream && s.ask.opcode == IORING_OP_RECV;
    const bool more = many && (s.ask.opcode == IORING_OP_RECV ? result > 0 : result >= 0);
    if (!more) {
      if (s.linked()) s.unlink();
      end(s, result, s.progress.flags);
      return true;
    }
    look_at_new(s.ask, result);
    queues_.post(s.ask.user_data, result, s.progress.flags | IORING_CQE_F_MORE);
  }
}

inline void soft_ring::wait(soft_entry& s, soft::side side) noexcept {
  record* const r = waits_.of(s.fd);
  if (r == nullptr) return end(s, -ENOMEM);
  s.at = place::waiting;
  r->queue(side).push_back(s);
  const bool none_left = repeats(s.ask) && !queues_.room();  // it has not looked as far as it might
  if (none_left) return waits_.tell_later(s.fd, *r);
  waits_.expect(s.fd, *r, side == soft::side::reading ? EPOLLIN : EPOLLOUT);
}

inline void soft_ring::poll(const io_uring_sqe& e) noexcept {
  const bool many = repeats(e);
  if ((e.len & ~unsigned{IORING_POLL_ADD_MULTI}) != 0) return refuse(e, "with these flags");
  pollfd p{e.fd, static_cast<short>(e.poll32_events & 0xffffU), 0};
  if (::poll(&p, 1, 0) > 0) {
    if ((p.revents & POLLNVAL) != 0) return queues_.post(e.user_data, -EBADF, 0);
    if (!many) return queues_.post(e.user_data, static_cast<unsigned short>(p.revents), 0);
  }
  soft_entry* const s = entries_.take(e, {});
  if (s == nullptr) return queues_.post(e.user_data, -ENOMEM, 0);
  record* const r = waits_.of(e.fd);
  if (r == nullptr) return end(*s, e.fd < 0 ? -EBADF : -ENOMEM);
  s->at = place::waiting;
  r->polling.push_back(*s);
  if (many) return waits_.tell_later(e.fd, *r);  // and be told what is true already
  waits_.expect(e.fd, *r, soft_waits::polled_events(*s));
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
  }
  wait(s, soft::side::reading);
}

// ---- Close --------------------------------------------------------------------------------------

/// A thread that uses the descriptor would find another under its number: closing waits for it.
inline void soft_ring::close(const io_uring_sqe& e) noexcept {
  const record* const r = waits_.find(e.fd);
  if (r == nullptr || r->at_work == 0) return close_now(e, nullptr);
  soft_entry* const s = entries_.take(e, {});
  if (s == nullptr) return queues_.post(e.user_data, -ENOMEM, 0);
  s->at = place::closing;
  closing_.push_back(*s);
}

/// Files go to a thread: closing may write to a disk or a server. `s` is null where there is no
/// entry yet.
inline void soft_ring::close_now(const io_uring_sqe& e, soft_entry* s) noexcept {
  const bool blocks = soft::is_on_disk(e.fd);
  if (record* const r = waits_.find(e.fd)) {
    const auto cancel_it = [this](soft_entry& waiting) noexcept { cancel(waiting); };
    r->reading.for_each(cancel_it);
    r->writing.for_each(cancel_it);
    r->polling.for_each(cancel_it);
    waits_.forget(e.fd);
  }
  if (blocks && s == nullptr) s = entries_.take(e, {});
  if (blocks && s != nullptr) return block(*s);
  const int result = soft::run_close(e);
  if (s != nullptr) return end(*s, result);
  queues_.post(e.user_data, result, 0);
}

// ---- Cancellation -------------------------------------------------------------------------------

/// Answers as the kernel: 0 or how many; ENOENT when there is nothing; EALREADY when a thread is
/// at it, which is told to give up, and then what it says counts.
inline int soft_ring::cancel(const io_uring_sqe& e) noexcept {
  constexpr unsigned known = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD |
                             IORING_ASYNC_CANCEL_ANY | opcode::cancel_by_user_data;
  const unsigned how = e.cancel_flags;
  if ((how & ~known) != 0) return -EINVAL;
  const bool any = (how & IORING_ASYNC_CANCEL_ANY) != 0;
  const bool all = any || (how & IORING_ASYNC_CANCEL_ALL) != 0;
  const bool by_descriptor = !any && (how & IORING_ASYNC_CANCEL_FD) != 0;
  int count = 0;
  int first = -ENOENT;
  const auto visit = [&](soft_entry& s) noexcept {
    if (!all && count != 0) return;
    const int result = cancel(s);
    if (count++ == 0) first = result;
  };

  if (!any && !by_descriptor) {
    const auto fresh = [](soft_entry& s) noexcept {
      return !s.interrupted && s.at != place::closing;
    };
    while (soft_entry* const s = entries_.find(e.addr, fresh)) {
      visit(*s);
      if (!all) break;
    }
  } else {
    const auto on_descriptor = [&](record& r) noexcept {
      r.reading.for_each(visit);
      r.writing.for_each(visit);
      r.polling.for_each(visit);
    };
    if (any) {
      waits_.for_each(on_descriptor);
    } else if (record* const r = waits_.find(e.fd)) {
      on_descriptor(*r);
    }
    work_.for_each([&](soft_entry& s) noexcept {
      const bool right = any || (soft::verb_of(s.ask.opcode)->uses_fd && s.ask.fd == e.fd);
      if (right && s.ask.opcode != IORING_OP_CLOSE) visit(s);
    });
  }
  return all ? count : first;
}

/// What was there before is delivered, as it would be by the kernel, which had met it earlier: so
/// who is first in the queue is tried once more.
inline int soft_ring::cancel(soft_entry& s) noexcept {
  if (s.at == place::waiting) {
    const soft::verb* const v = soft::verb_of(s.ask.opcode);
    record* const r = waits_.find(s.fd);
    const bool once_more = v != nullptr && v->attempt != nullptr && v->uses_fd &&
                           !repeats(s.ask) && r != nullptr && &r->queue(v->waits).front() == &s;
    s.progress.ready = true;
    const int result = once_more ? attempt(s.ask, s.progress, *v) : soft::must_wait;
    s.unlink();
    if (result != soft::must_wait && result != soft::must_block) {
      end(s, result, s.progress.flags);
    } else {
      end_canceled(s);
    }
    return 0;
  }
  if (s.at == place::working && work_.take_back(s)) {
    end_canceled(s);
    return 0;
  }
  return -EALREADY;
}

inline int soft_ring::remove_poll(const io_uring_sqe& e) noexcept {
  if (e.len != 0) return -EOPNOTSUPP;
  const auto polls = [](soft_entry& s) noexcept { return s.ask.opcode == IORING_OP_POLL_ADD; };
  soft_entry* const s = entries_.find(e.addr, polls);
  return s != nullptr ? cancel(*s) : -ENOENT;
}

// ---- Threads ------------------------------------------------------------------------------------

inline void soft_ring::collect() noexcept {
  const bool some = work_.collect([this](soft_entry& s) noexcept {
    if (repeats(s.ask) && s.result >= 0 && queues_.room() && !s.interrupted) {
      queues_.post(s.ask.user_data, s.result, IORING_CQE_F_MORE);
      if (!go_on(s, *soft::verb_of(s.ask.opcode))) wait(s, soft::side::reading);
    } else {
      end(s, s.result == -EINTR ? -ECANCELED : s.result);  // it gave up because it was told to
    }
  });
  if (!some) return;
  closing_.for_each([this](soft_entry& s) noexcept {
    if (waits_.find(s.ask.fd)->at_work != 0) return;
    s.unlink();
    const io_uring_sqe e = s.ask;
    close_now(e, &s);
  });
}

// ---- Readiness ----------------------------------------------------------------------------------

inline int soft_ring::watch(bool sleep, const __kernel_timespec* timeout) noexcept {
  constexpr int most = 128;
  epoll_event reports[most];
  __kernel_timespec limit{};  // none at all
  constexpr __kernel_timespec soon{0, 10'000'000};
  if (sleep && work_.must_insist() && shorter(soon, timeout)) timeout = &soon;
  if (sleep && timeout != nullptr) limit = *timeout;
  const bool for_ever = sleep && timeout == nullptr;

  int count = 0;
  constexpr __kernel_timespec a_moment{0, 2'000'000};
  if (sleep && waits_.believes() && shorter(a_moment, timeout)) {
    count = waits_.wait(reports, most, &a_moment);
    if (count == 0) {
      waits_.check_beliefs();
      tell();
      if (limit.tv_nsec < a_moment.tv_nsec && !for_ever) {
        --limit.tv_sec;
        limit.tv_nsec += 1'000'000'000;
      }
      limit.tv_nsec -= a_moment.tv_nsec;
      if (!queues_.has_answers()) count = waits_.wait(reports, most, for_ever ? nullptr : &limit);
    }
  } else {
    count = waits_.wait(reports, most, for_ever ? nullptr : &limit);
  }
  for (int i = 0; i < count; ++i) {
    if (reports[i].data.u64 != bell) {
      reported(static_cast<int>(reports[i].data.u64), reports[i].events);
    }
  }
  if (work_.must_insist()) work_.insist();
  return count == 0 && sleep ? -ETIME : count;
}

/// What epoll says about a number is only a reason to look: it may be about an earlier life of it.
inline void soft_ring::reported(int fd, std::uint32_t events) noexcept {
  record* const r = waits_.find(fd);
  if (r == nullptr) return;
  waits_.prove(fd, *r);
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (broken || (events & (EPOLLIN | EPOLLRDHUP)) != 0) serve_queue(r->reading);
  if (broken || (events & EPOLLOUT) != 0) serve_queue(r->writing);
  r->polling.for_each([this](soft_entry& s) noexcept {
    pollfd p{s.fd, static_cast<short>(soft_waits::polled_events(s)), 0};
    if (::poll(&p, 1, 0) <= 0) return;
    const int result = static_cast<unsigned short>(p.revents);
    if (!repeats(s.ask)) {
      s.unlink();
      end(s, result);
    } else if (queues_.room()) {
      queues_.post(s.ask.user_data, result, IORING_CQE_F_MORE);
    }
  });
  waits_.looked_at(*r);
  if (!r->nobody() && !queues_.room()) waits_.tell_later(fd, *r);
}

inline void soft_ring::serve_queue(intrusive_list<soft_entry>& queue) noexcept {
  while (!queue.empty()) {
    soft_entry& s = queue.front();
    s.progress.ready = true;
    if (!go_on(s, *soft::verb_of(s.ask.opcode))) return;
  }
}

/// epoll does not take a descriptor. EPERM: it is always ready, as far as epoll is concerned.
inline void soft_ring::not_taken(record& r, int error) noexcept {
  const auto move_on = [this, error](soft_entry& s) noexcept {
    s.unlink();
    const soft::verb* const v = soft::verb_of(s.ask.opcode);
    if (error == EPERM && v != nullptr && v->blocking != nullptr) {
      block(s);
    } else {
      end(s, error == EPERM ? -EINVAL : error == ENOSPC ? -ENOMEM : -error);
    }
  };
  r.reading.for_each(move_on);
  r.writing.for_each(move_on);
  r.polling.for_each(move_on);
}

/// The ring goes, and with it what nobody will be told about.
inline void soft_ring::drop_everything() noexcept {
  const auto drop = [](soft_entry& s) noexcept {
    s.unlink();
    if (s.owns_fd) ::close(s.fd);
  };
  waits_.for_each([&drop](record& r) noexcept {
    r.reading.for_each(drop);
    r.writing.for_each(drop);
    r.polling.for_each(drop);
  });
  work_.for_each(drop);
  closing_.for_each(drop);
  queues_.drop_answers();
}

}  // namespace rondo::detail

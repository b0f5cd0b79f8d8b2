// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What the parts of the soft ring share: its queues, the entries in progress, and what can happen to
// one of these. It is tried; it waits for its descriptor; a thread works on it; it ends.
//
// Who decides which: soft_ring when it is new or its descriptor is ready, soft_cancellation when
// somebody cancels it, soft_closing when its descriptor goes.

#include <cerrno>
#include <cstdint>
#include <sys/epoll.h>
#include <unistd.h>

#include <rondo/loop/soft_buffers.hpp>
#include <rondo/loop/soft_entry.hpp>
#include <rondo/loop/soft_queues.hpp>
#include <rondo/loop/soft_table.hpp>
#include <rondo/loop/soft_waits.hpp>
#include <rondo/loop/soft_work.hpp>
#include <rondo/loop/thread_pool.hpp>

namespace rondo::detail {

struct soft_service {
  using record = soft_waits::record;
  using place = soft_entry::place;

  /// Throws: std::bad_alloc, std::system_error.
  soft_service(io_uring& ring, unsigned size, loop_threads& threads)
      : queues(ring, size), work(threads, waits) {}
  soft_service(const soft_service&) = delete;
  soft_service& operator=(const soft_service&) = delete;
  ~soft_service() { drop_everything(); }

  /// Answers what has no entry yet.
  void answer(const io_uring_sqe& e, int result, std::uint32_t flags = 0) noexcept {
    look_at_new(e, result);
    queues.post_last(e, result, flags);
  }
  /// Answers an entry, which is in no list, and which is gone then.
  void end(soft_entry& s, int result, std::uint32_t flags = 0) noexcept {
    look_at_new(s.ask, result);
    if (s.owns_fd) ::close(s.fd);
    queues.answer(entries, s, result, flags);
  }
  void end_canceled(soft_entry& s) noexcept {
    end(s, s.progress.done != 0 ? static_cast<int>(s.progress.done) : -ECANCELED);
  }

  int attempt(const io_uring_sqe& e, soft_progress& p, const soft::verb& v) noexcept;
  bool go_on(soft_entry& s, const soft::verb& v) noexcept;
  void wait(soft_entry& s, soft::side side) noexcept;
  /// Gives an entry, which is in no list, to a thread.
  void block(soft_entry& s) noexcept {
    if (const int error = work.begin(s); error != 0) end(s, error);
  }

  soft_queues queues;
  /// A new descriptor: whatever had its number before has gone.
  void look_at_new(const io_uring_sqe& e, int result) noexcept {
    if (soft::makes_descriptor(e) && result >= 0) waits.begin_again(result);
  }

  soft_waits waits;
  soft_work work;
  soft_buffers buffers;
  soft_entries entries;

 private:
  [[gnu::cold]] void drop_everything() noexcept;
};

// Implementation

inline int soft_service::attempt(const io_uring_sqe& e, soft_progress& p,
                                 const soft::verb& v) noexcept {
  if ((e.flags & IOSQE_BUFFER_SELECT) != 0) return buffers.receive(e, p);
  return v.attempt(e, p);
}

/// Tries an entry, which may be in a queue. False: it must wait, or wait on.
inline bool soft_service::go_on(soft_entry& s, const soft::verb& v) noexcept {
  for (;;) {
    const bool many = soft::repeats(s.ask);
    if (many && !queues.room()) return false;  // what is ready now is so later
    const int result = attempt(s.ask, s.progress, v);
    s.progress.ready = false;
    if (result == soft::must_wait) return false;
    if (result == soft::must_block) {
      if (s.linked()) s.unlink();
      block(s);
      return true;
    }
    record* const r = s.progress.came_short ? waits.find(s.fd) : nullptr;
    if (r != nullptr) r->drained = r->is_stream && s.ask.opcode == IORING_OP_RECV;
    const bool more = many && (s.ask.opcode == IORING_OP_RECV ? result > 0 : result >= 0);
    if (!more) {
      if (s.linked()) s.unlink();
      end(s, result, s.progress.flags);
      return true;
    }
    look_at_new(s.ask, result);
    queues.post(s.ask.user_data, result, s.progress.flags | IORING_CQE_F_MORE);
  }
}

inline void soft_service::wait(soft_entry& s, soft::side side) noexcept {
  record* const r = waits.of(s.fd);
  if (r == nullptr) return end(s, -ENOMEM);
  s.at = place::waiting;
  r->queue(side).push_back(s);
  // It has not looked as far as it might.
  const bool none_left = soft::repeats(s.ask) && !queues.room();
  if (none_left) return waits.tell_later(s.fd, *r);
  waits.expect(s.fd, *r, side == soft::side::reading ? EPOLLIN : EPOLLOUT);
}

/// The ring goes, and with it what nobody will be told about. Closing things have gone already.
inline void soft_service::drop_everything() noexcept {
  const auto drop = [](soft_entry& s) noexcept {
    s.unlink();
    if (s.owns_fd) ::close(s.fd);
  };
  waits.for_each([&drop](record& r) noexcept {
    r.reading.for_each(drop);
    r.writing.for_each(drop);
    r.polling.for_each(drop);
  });
  work.for_each(drop);
  queues.drop_answers();
}

}  // namespace rondo::detail

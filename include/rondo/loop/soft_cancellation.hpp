// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Cancellation in the soft ring, by ASYNC_CANCEL and POLL_REMOVE: an entry by its user_data, those
// of a descriptor, or all.
//
// A thread that works on one is told to give up, and then what it says counts. One that waits is
// tried once more first: what had come before the cancellation is delivered.

#include <cerrno>

#include <rondo/loop/descriptors_of.hpp>
#include <rondo/loop/liburing.hpp>
#include <rondo/loop/opcodes.hpp>
#include <rondo/loop/soft_service.hpp>

namespace rondo::detail {

class soft_cancellation {
 public:
  explicit soft_cancellation(soft_service& service) noexcept : service_(service) {}

  /// ASYNC_CANCEL. Answers as the kernel: 0 or how many; ENOENT when there is nothing; EALREADY when
  /// a thread is at it.
  [[gnu::cold]] int cancel(const io_uring_sqe& e) noexcept;
  /// POLL_REMOVE.
  [[gnu::cold]] int remove_poll(const io_uring_sqe& e) noexcept;
  /// One entry: 0, or EALREADY.
  [[gnu::cold]] int cancel(soft_entry& s) noexcept;

 private:
  using record = soft_waits::record;
  using place = soft_entry::place;
  soft_service& service_;
};

// Implementation

inline int soft_cancellation::cancel(const io_uring_sqe& e) noexcept {
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
      return !s.interrupted && s.at != place::closing && s.ask.opcode != IORING_OP_CLOSE;
    };
    while (soft_entry* const s = service_.entries.find(e.addr, fresh)) {
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
      service_.waits.for_each(on_descriptor);
    } else if (record* const r = service_.waits.find(e.fd)) {
      on_descriptor(*r);
    }
    service_.work.for_each([&](soft_entry& s) noexcept {
      const bool right =
          any || (soft::verb_of(s.ask.opcode)->uses_fd && descriptors_of(s.ask).has(e.fd));
      if (right && s.ask.opcode != IORING_OP_CLOSE) visit(s);
    });
  }
  return all ? count : first;
}

/// What was there before is delivered, as it would be by the kernel, which had met it earlier: so
/// who is first in the queue is tried once more.
inline int soft_cancellation::cancel(soft_entry& s) noexcept {
  if (s.at == place::waiting) {
    const soft::verb* const v = soft::verb_of(s.ask.opcode);
    record* const r = service_.waits.find(s.fd);
    const bool once_more = v != nullptr && v->attempt != nullptr && v->uses_fd && r != nullptr &&
                           !soft::repeats(s.ask) && &r->queue(v->waits).front() == &s;
    s.progress.ready = true;
    const int result = once_more ? service_.attempt(s.ask, s.progress, *v) : soft::must_wait;
    s.unlink();
    if (result != soft::must_wait && result != soft::must_block) {
      service_.end(s, result, s.progress.flags);
    } else {
      service_.end_canceled(s);
    }
    return 0;
  }
  if (s.at == place::working && service_.work.take_back(s)) {
    service_.end_canceled(s);
    return 0;
  }
  return -EALREADY;
}

inline int soft_cancellation::remove_poll(const io_uring_sqe& e) noexcept {
  if (e.len != 0) return -EOPNOTSUPP;
  const auto polls = [](soft_entry& s) noexcept { return s.ask.opcode == IORING_OP_POLL_ADD; };
  soft_entry* const s = service_.entries.find(e.addr, polls);
  return s != nullptr ? cancel(*s) : -ENOENT;
}

}  // namespace rondo::detail

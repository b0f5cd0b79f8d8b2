// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Closing in the soft ring. What waits on the descriptor is canceled, and epoll forgets it. But a
// thread that uses it has only its number, and would find another file under that: so who closes
// asks before when no thread does any more.

#include <unistd.h>

#include <rondo/detail/intrusive_list.hpp>
#include <rondo/loop/soft_cancellation.hpp>
#include <rondo/loop/soft_files.hpp>
#include <rondo/loop/soft_service.hpp>

namespace rondo::detail {

class soft_closing {
 public:
  soft_closing(soft_service& service, soft_cancellation& cancellation) noexcept
      : service_(service), cancellation_(cancellation) {}
  soft_closing(const soft_closing&) = delete;
  soft_closing& operator=(const soft_closing&) = delete;
  ~soft_closing() {
    while (!waiting_.empty()) waiting_.pop_front();
  }

  /// opcode::until_unused: ends when no thread uses the descriptor.
  [[gnu::cold]] void until_unused(const io_uring_sqe& e) noexcept;
  /// CLOSE.
  [[gnu::cold]] void close(const io_uring_sqe& e) noexcept;
  /// Threads may have finished something, or have been relieved of it.
  void go_on() noexcept;

 private:
  using record = soft_waits::record;
  [[nodiscard]] bool is_used(int fd) noexcept {
    const record* const r = service_.waits.find(fd);
    return r != nullptr && r->at_work != 0;
  }

  soft_service& service_;
  soft_cancellation& cancellation_;
  intrusive_list<soft_entry> waiting_;
};

// Implementation

inline void soft_closing::until_unused(const io_uring_sqe& e) noexcept {
  if (!is_used(e.fd)) return service_.queues.post(e.user_data, 0, 0);
  soft_entry* const s = service_.entries.take(e, {});
  if (s == nullptr) return service_.queues.post(e.user_data, -ENOMEM, 0);
  s->at = soft_entry::place::closing;
  waiting_.push_back(*s);
}

inline void soft_closing::go_on() noexcept {
  waiting_.for_each([this](soft_entry& s) noexcept {
    if (is_used(s.ask.fd)) return;
    s.unlink();
    service_.end(s, 0);
  });
}

/// Files go to a thread: closing may write to a disk or a server.
inline void soft_closing::close(const io_uring_sqe& e) noexcept {
  io_uring_sqe others{};
  io_uring_prep_cancel_fd(&others, e.fd, IORING_ASYNC_CANCEL_ALL);
  cancellation_.cancel(others);
  const bool blocks = soft::is_on_disk(e.fd);
  service_.waits.forget(e.fd);
  soft_entry* const s = blocks ? service_.entries.take(e, {}) : nullptr;
  if (s != nullptr && service_.work.begin(*s) == 0) return;
  const int result = soft::run_close(e);  // without a thread for it: the loop waits
  if (s != nullptr) return service_.end(*s, result);
  service_.queues.post(e.user_data, result, 0);
}

}  // namespace rondo::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Closing in the soft ring. What is in flight on the descriptor is canceled, and epoll forgets it.
// But a thread that uses it has only its number, and would find another file under that: closing
// waits until no thread does.

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

  /// CLOSE.
  void close(const io_uring_sqe& e) noexcept;
  /// Threads have finished something.
  void go_on() noexcept;

 private:
  using record = soft_waits::record;
  void cancel_all_on(int fd) noexcept {
    io_uring_sqe request{};
    io_uring_prep_cancel_fd(&request, fd, IORING_ASYNC_CANCEL_ALL);
    cancellation_.cancel(request);
  }
  void close_now(const io_uring_sqe& e, soft_entry* s) noexcept;

  soft_service& service_;
  soft_cancellation& cancellation_;
  intrusive_list<soft_entry> waiting_;  // for threads that use their descriptors
};

// Implementation

inline void soft_closing::close(const io_uring_sqe& e) noexcept {
  cancel_all_on(e.fd);
  const record* const r = service_.waits.find(e.fd);
  if (r == nullptr || r->at_work == 0) return close_now(e, nullptr);
  soft_entry* const s = service_.entries.take(e, {});
  if (s == nullptr) return service_.queues.post(e.user_data, -ENOMEM, 0);
  s->at = soft_entry::place::closing;
  waiting_.push_back(*s);
}

/// Files go to a thread: closing may write to a disk or a server. `s` is null where there is no
/// entry yet.
inline void soft_closing::close_now(const io_uring_sqe& e, soft_entry* s) noexcept {
  const bool blocks = soft::is_on_disk(e.fd);
  service_.waits.forget(e.fd);
  if (blocks && s == nullptr) s = service_.entries.take(e, {});
  if (blocks && s != nullptr && service_.work.begin(*s) == 0) return;
  const int result = soft::run_close(e);  // without a thread for it: the loop waits
  if (s != nullptr) return service_.end(*s, result);
  service_.queues.post(e.user_data, result, 0);
}

inline void soft_closing::go_on() noexcept {
  waiting_.for_each([this](soft_entry& s) noexcept {
    if (service_.waits.find(s.ask.fd)->at_work != 0) return;
    s.unlink();
    const io_uring_sqe e = s.ask;
    cancel_all_on(e.fd);  // they have come since
    close_now(e, &s);
  });
}

}  // namespace rondo::detail

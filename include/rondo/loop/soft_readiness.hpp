// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Readiness in the soft ring: epoll is told what is waited for and asked what has come true, asleep
// if there is nothing to answer, and who waited is served.
//
// What it says about a descriptor's number is only a reason to look: the number may have belonged to
// another descriptor when epoll was told (loop/soft_waits.hpp).

#include <cerrno>
#include <cstdint>
#include <poll.h>
#include <sys/epoll.h>
#include <system_error>

#include <rondo/detail/intrusive_list.hpp>
#include <rondo/loop/soft_entry.hpp>
#include <rondo/loop/soft_service.hpp>
#include <rondo/loop/soft_work.hpp>

namespace rondo::detail {

class soft_readiness {
 public:
  explicit soft_readiness(soft_service& service) noexcept : service_(service) {}

  /// Tells epoll what is waited for since the last time.
  void tell() noexcept {
    service_.waits.tell([this](int, record& r, int error) noexcept { not_taken(r, error); });
  }
  /// Asks epoll. How many reports, -ETIME when time was up, or another negative errno.
  int watch(bool sleep, const __kernel_timespec* timeout) noexcept;

  /// A write to this eventfd ends sleeping. Throws: std::system_error.
  void wake_on(int fd) {
    if (const int error = service_.waits.watch(fd, bell); error != 0) {
      throw std::system_error(error, std::generic_category(), "epoll_ctl");
    }
  }

 private:
  using record = soft_waits::record;

  static bool shorter(const __kernel_timespec& a, const __kernel_timespec* b) noexcept {
    return b == nullptr || a.tv_sec < b->tv_sec ||
           (a.tv_sec == b->tv_sec && a.tv_nsec < b->tv_nsec);
  }
  void reported(int fd, std::uint32_t events) noexcept;
  void serve(intrusive_list<soft_entry>& queue) noexcept;
  [[gnu::cold]] void not_taken(record& r, int error) noexcept;

  static constexpr std::uint64_t bell = ~std::uint64_t{0};
  soft_service& service_;
};

// Implementation

inline int soft_readiness::watch(bool sleep, const __kernel_timespec* timeout) noexcept {
  constexpr int most = 128;
  epoll_event reports[most];
  __kernel_timespec limit{};  // none at all
  if (sleep && service_.work.must_insist() && insists_before(timeout)) timeout = &insisting_pause;
  if (sleep && timeout != nullptr) limit = *timeout;
  const bool for_ever = sleep && timeout == nullptr;

  int count = 0;
  constexpr __kernel_timespec a_moment{0, 2'000'000};
  if (sleep && service_.waits.believes() && shorter(a_moment, timeout)) {
    count = service_.waits.wait(reports, most, &a_moment);
    if (count == 0) {
      service_.waits.check_beliefs();
      tell();
      if (limit.tv_nsec < a_moment.tv_nsec && !for_ever) {
        --limit.tv_sec;
        limit.tv_nsec += 1'000'000'000;
      }
      limit.tv_nsec -= a_moment.tv_nsec;
      if (!service_.queues.has_answers()) {
        count = service_.waits.wait(reports, most, for_ever ? nullptr : &limit);
      }
    }
  } else {
    count = service_.waits.wait(reports, most, for_ever ? nullptr : &limit);
  }
  for (int i = 0; i < count; ++i) {
    if (reports[i].data.u64 != bell) {
      reported(static_cast<int>(reports[i].data.u64), reports[i].events);
    }
  }
  if (service_.work.must_insist()) service_.work.insist();
  return count == 0 && sleep ? -ETIME : count;
}

inline void soft_readiness::reported(int fd, std::uint32_t events) noexcept {
  record* const r = service_.waits.find(fd);
  if (r == nullptr) return;
  service_.waits.prove(fd, *r);
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (broken || (events & (EPOLLIN | EPOLLRDHUP)) != 0) serve(r->reading);
  if (broken || (events & EPOLLOUT) != 0) serve(r->writing);
  r->polling.for_each([this](soft_entry& s) noexcept {
    pollfd p{s.fd, static_cast<short>(soft_waits::polled_events(s)), 0};
    if (::poll(&p, 1, 0) <= 0) return;
    const int result = static_cast<unsigned short>(p.revents);
    if (!soft::repeats(s.ask)) {
      s.unlink();
      service_.end(s, result);
    } else if (service_.queues.room()) {
      service_.queues.post(s.ask.user_data, result, IORING_CQE_F_MORE);
    }
  });
  service_.waits.looked_at(*r);
  if (!r->nobody() && !service_.queues.room()) service_.waits.tell_later(fd, *r);
}

inline void soft_readiness::serve(intrusive_list<soft_entry>& queue) noexcept {
  while (!queue.empty()) {
    soft_entry& s = queue.front();
    s.progress.ready = true;
    if (!service_.go_on(s, *soft::verb_of(s.ask.opcode))) return;
  }
}

/// epoll does not take a descriptor. EPERM: it is always ready, as far as epoll is concerned.
inline void soft_readiness::not_taken(record& r, int error) noexcept {
  const auto move_on = [this, error](soft_entry& s) noexcept {
    s.unlink();
    const soft::verb* const v = soft::verb_of(s.ask.opcode);
    if (error == EPERM && v != nullptr && v->blocking != nullptr) {
      service_.block(s);
    } else {
      service_.end(s, error == EPERM ? -EINVAL : error == ENOSPC ? -ENOMEM : -error);
    }
  };
  for (auto* const those : {&r.reading, &r.writing, &r.polling}) those->for_each(move_on);
}

}  // namespace rondo::detail

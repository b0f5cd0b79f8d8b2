// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What waits for descriptors in the soft ring: one record for each descriptor, found by its number,
// and one epoll for all of them.
//
// A record has two queues, for those that want to read and those that want to write, served in the
// order in which they came; and those that only poll, each with events of its own. Whoever waits
// has tried before, so epoll needs to report changes only (EPOLLET), and to be told about a
// descriptor once, not for each message: telling it is what costs.
//
// But the program may close a descriptor with close(2), and the kernel may give out its number
// again, without a word to us. What epoll was told about a number then holds no more. So:
//   - what epoll reports is only a reason to try, or to ask poll(2); an old life's report does no
//     harm
//   - a number is believed to be known to epoll only if epoll has reported something about it, and
//     the ring has neither closed it nor delivered it as a new descriptor since
//   - who waits on that belief is checked before the loop sleeps for long, and after some turns at
//     the latest: epoll is told again, and reports what was ready meanwhile. Nothing is lost, and a
//     busy connection is not checked at all.
// A number that epoll knows no more is added (MOD, ENOENT, ADD), and one that it still knows under
// an older life is changed (ADD, EEXIST, MOD).

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <new>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include <rondo/config.hpp>
#include <rondo/detail/intrusive_list.hpp>
#include <rondo/loop/own_descriptor.hpp>
#include <rondo/loop/soft_entry.hpp>
#include <rondo/loop/soft_table.hpp>

namespace rondo::detail {

class soft_waits {
 public:
  struct record : list_hook {  // in the list of those that are believed
    intrusive_list<soft_entry> reading;
    intrusive_list<soft_entry> writing;
    intrusive_list<soft_entry> polling;
    std::uint32_t told = 0;      // what epoll was told to report about the number; 0: nothing
    bool proven = false;         // and has reported since
    bool to_tell = false;        // in the list of those that epoll is to be told about
    bool drained = false;        // the last receive took all that was there
    bool is_stream = false;      // a stream socket: what comes short has come to an end
    unsigned at_work = 0;        // threads of the pool that use the descriptor, or will
    unsigned believed_since = 0;

    [[nodiscard]] bool nobody() const noexcept {
      return reading.empty() && writing.empty() && polling.empty();
    }
    [[nodiscard]] intrusive_list<soft_entry>& queue(soft::side s) noexcept {
      return s == soft::side::reading ? reading : writing;
    }
  };

  /// Throws: std::bad_alloc, std::system_error.
  soft_waits() = default;
  soft_waits(const soft_waits&) = delete;
  soft_waits& operator=(const soft_waits&) = delete;
  ~soft_waits() {
    while (!believed_.empty()) believed_.pop_front();
  }

  [[nodiscard]] int native_handle() const noexcept { return epoll_.get(); }

  /// What a POLL_ADD asks for; without EPOLLET and the like.
  [[nodiscard]] static std::uint32_t polled_events(const soft_entry& s) noexcept {
    return s.ask.poll32_events & 0xffffU;
  }

  /// The record of a descriptor, if there is one.
  [[nodiscard]] record* find(int fd) noexcept {
    return static_cast<std::size_t>(fd) < records_.size()  // a negative one is a huge number
               ? &records_[static_cast<std::size_t>(fd)]
               : nullptr;
  }
  /// The same, made if need be; null when there is no memory for it.
  [[nodiscard]] record* of(int fd) noexcept {
    if (record* const r = find(fd)) return r;
    if (fd < 0) return nullptr;
    try {
      const auto wanted = static_cast<std::size_t>(fd) + 1;
      // First, so that tell_later needs no memory for any record.
      if (to_tell_.capacity() < wanted) to_tell_.reserve(2 * wanted);
      while (records_.size() < wanted) records_.emplace_back();
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
    return find(fd);
  }

  template <typename F>
  void for_each(F f) noexcept {
    for (record& r : records_) f(r);
  }

  /// Somebody has begun to wait for these events.
  void expect(int fd, record& r, std::uint32_t events) noexcept {
    if (!r.proven || (events & ~r.told) != 0) return tell_later(fd, r);
    if (r.to_tell || r.linked()) return;
    r.believed_since = turn_;
    believed_.push_back(r);
  }
  /// epoll is to look again, and to report what is ready already.
  void tell_later(int fd, record& r) noexcept {
    if (r.to_tell) return;
    r.to_tell = true;
    to_tell_.push_back(fd);
  }

  /// Tells epoll about all that is new. Calls `failed(fd, record, error)` where it does not take
  /// it: EPERM for what needs no waiting (a regular file), EBADF for what is closed already.
  template <typename Failed>
  void tell(Failed failed) noexcept {
    ++turn_;
    while (!believed_.empty() && turn_ - believed_.front().believed_since > most_turns) {
      check_oldest();
    }
    while (!to_tell_.empty()) {
      const int fd = to_tell_.back();
      to_tell_.pop_back();
      record& r = records_[static_cast<std::size_t>(fd)];
      r.to_tell = false;
      if (r.nobody()) continue;
      if (const int error = tell_about(fd, r); error != 0) failed(fd, r, error);
    }
  }

  /// Whether somebody waits on a belief, and all those are to be told about again.
  [[nodiscard]] bool believes() const noexcept { return !believed_.empty(); }
  void check_beliefs() noexcept {
    while (!believed_.empty()) check_oldest();
  }

  /// epoll has reported the number. Those who go on waiting stay believers: it may have been about
  /// an earlier life of it, whose file is still open elsewhere (a duplicate, a child before its
  /// exec).
  void prove(int fd, record& r) noexcept {
    if (!r.proven) r.is_stream = soft::is_stream_socket(fd);
    r.proven = true;
    r.drained = false;
  }
  /// What was reported has been looked at.
  void looked_at(record& r) noexcept {
    if (r.linked() && r.nobody()) r.unlink();
  }
  /// The number belongs to another descriptor from now on.
  void begin_again(int fd) noexcept {
    record* const r = find(fd);
    if (r == nullptr) return;
    r->proven = r->drained = r->is_stream = false;
    r->told = 0;
    if (r->linked()) r->unlink();
  }
  /// The descriptor is about to be closed.
  void forget(int fd) noexcept {
    epoll_event unused{};
    if (const record* const r = find(fd); r != nullptr && r->told != 0) {
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, &unused);
    }
    begin_again(fd);
  }

  /// Watches a descriptor of the ring's own, edge-triggered. 0 or an errno.
  [[nodiscard]] int watch(int fd, std::uint64_t name) noexcept {
    epoll_event e{EPOLLIN | EPOLLET, {.u64 = name}};
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : errno;
  }

  /// Sleeps until something is reported or time is up (null: no limit). How many reports, or a
  /// negative errno.
  int wait(epoll_event* reports, int most, const __kernel_timespec* timeout) noexcept {
#ifdef SYS_epoll_pwait2
    if (precise_) {
      const auto n = ::syscall(SYS_epoll_pwait2, epoll_.get(), reports, most, timeout, nullptr, 0);
      if (n >= 0) return static_cast<int>(n);
      if (errno != ENOSYS && errno != EPERM) return -errno;
      precise_ = false;  // Linux 5.11 has it, and a seccomp profile may not
    }
#endif
    const int n = ::epoll_wait(epoll_.get(), reports, most, milliseconds(timeout));
    return n >= 0 ? n : -errno;
  }

 private:
  /// Rounded up: never earlier than asked.
  static int milliseconds(const __kernel_timespec* timeout) noexcept {
    if (timeout == nullptr) return -1;
    constexpr long long most = 3'600'000;  // an hour: then it is asked again
    if (timeout->tv_sec >= most / 1000) return static_cast<int>(most);
    return static_cast<int>(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999'999) / 1'000'000);
  }

  static constexpr unsigned most_turns = 64;

  void check_oldest() noexcept {
    record& r = believed_.pop_front();
    r.proven = false;
    if (!r.nobody()) tell_later(fd_of(r), r);
  }
  [[nodiscard]] static int fd_of(record& r) noexcept {
    return !r.reading.empty()   ? r.reading.front().fd
           : !r.writing.empty() ? r.writing.front().fd
                                : r.polling.front().fd;
  }

  static std::uint32_t events_for(record& r) noexcept {
    std::uint32_t events = EPOLLET;
    if (!r.reading.empty()) events |= EPOLLIN;
    if (!r.writing.empty()) events |= EPOLLOUT;
    r.polling.for_each([&events](soft_entry& s) noexcept { events |= polled_events(s); });
    return events;
  }

  int tell_about(int fd, record& r) noexcept {
    epoll_event e{events_for(r), {.u64 = static_cast<std::uint64_t>(fd)}};
    int call = r.told != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    for (int attempt = 0; attempt < 3; ++attempt) {
      if (::epoll_ctl(epoll_.get(), call, fd, &e) == 0) {
        r.told = e.events;
        return 0;
      }
      if (errno == ENOENT) {
        call = EPOLL_CTL_ADD;
      } else if (errno == EEXIST) {
        call = EPOLL_CTL_MOD;
      } else {
        break;
      }
    }
    const int error = errno;
    begin_again(fd);
    return error;
  }

  std::deque<record> records_;  // by descriptor
  std::vector<int> to_tell_;
  intrusive_list<record> believed_;
  unsigned turn_ = 0;
  own_descriptor epoll_{::epoll_create1(EPOLL_CLOEXEC), "epoll_create"};
  bool precise_ = true;
};

}  // namespace rondo::detail

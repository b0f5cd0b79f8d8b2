// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The driver is what stands between libcurl and the loop: one pool of connections, and the
// transfers that use it.
//
// libcurl asks for two things, through callbacks: to be told when its sockets are ready (for that
// see watchers.hpp), and to be called after some time (one timer in the loop's heap). What it is
// told makes it do much at once: read, decrypt, open and close sockets, call back. So nothing is
// told while completions are reaped or timers expire; the driver records it, queues itself, and
// does everything in one `step`:
//
//   1. tell libcurl which sockets are ready, and that its time has come
//   2. collect the transfers that have ended
//   3. remove the transfers that somebody gave up; those that ended in 2 have ended with their
//      result
//   4. arm the watchers
//
// No callback of libcurl's runs foreign code, and none may throw: what fails in one is noted in
// `broken_`, and ends all transfers with that error, since libcurl can no longer be driven.
//
// A session may live longer than the loop it was used on. A loop that ends has first ended all
// polls and told whom it had queued, and disarms the timers of its heap; so a driver with nothing
// running holds nothing of the loop, and goes on with the loop of its next transfer. What is still
// running then (a stream that somebody kept) ends as canceled.

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include <curl/curl.h>

#include <rondo/core/ready_queue.hpp>
#include <rondo/http/curl.hpp>
#include <rondo/http/resending.hpp>
#include <rondo/http/session_options.hpp>
#include <rondo/http/watchers.hpp>
#include <rondo/loop/engine.hpp>
#include <rondo/time/sleep.hpp>

namespace rondo::http::detail {

/// A request while libcurl works on it.
struct transfer : rondo::detail::list_hook {
  explicit transfer(void (*on_end)(transfer&, CURLcode, int) noexcept) noexcept : ended(on_end) {}

  /// Called once, when `easy` is no longer with libcurl: with what libcurl says, or with
  /// CURLE_ABORTED_BY_CALLBACK when it was given up, or with an errno when the driver broke. Runs
  /// no user code.
  void (*ended)(transfer&, CURLcode, int error) noexcept;
  easy_handle easy;
  bool given_up = false;
};

class driver final : watchers,
                     rondo::detail::listener,
                     rondo::detail::ready_node,
                     rondo::detail::timer,
                     rondo::detail::guest {
 public:
  explicit driver(session_options options);
  driver(const driver&) = delete;
  driver& operator=(const driver&) = delete;

  /// Instead of a destructor, because the loop may have it queued: frees itself then or now.
  void close() noexcept;

  [[nodiscard]] const session_options& options() const noexcept { return options_; }

  /// While this exists somebody will send requests, also when none is under way.
  class in_use {
   public:
    explicit in_use(driver& d) noexcept : driver_(d) { ++driver_.users_; }
    in_use(const in_use&) = delete;
    in_use& operator=(const in_use&) = delete;
    ~in_use() { --driver_.users_; }

   private:
    driver& driver_;
  };

  /// A handle with nothing set. Null when there is no memory.
  [[nodiscard]] easy_handle take_easy() noexcept;
  void give_back(easy_handle easy) noexcept;

  [[nodiscard]] http1_ports& in_http1() noexcept { return in_http1_; }

  /// Sets what the pool needs to know about each handle.
  void set_up(option_setter& set) noexcept;

  /// False when the session is in use on another loop; the transfer was not started then.
  [[nodiscard]] bool move_to(engine& other) noexcept;
  CURLMcode start(transfer& t) noexcept;
  /// Waits for its sockets again if the run of the loop before this one has ended that.
  void go_on() noexcept;
  /// The transfer ends soon: with its result if it has one by then, else as given up.
  void give_up(transfer& t) noexcept;
  /// At once, without a word to the transfer. Not in a callback of libcurl's.
  void take_out(transfer& t) noexcept;

 private:
  ~driver() = default;

  static int on_timer(CURLM*, long milliseconds, void* self) noexcept;
  static void due(timer& self) noexcept;
  static void step(listener& self) noexcept;
  static void heard(guest& self, news what, int) noexcept;

  void tell_curl() noexcept;
  void harvest() noexcept;
  void finish(transfer& t, CURLcode code, int error) noexcept;
  void schedule(time_point when) noexcept;

  void wake() noexcept override {
    if (!std::exchange(queued_, true)) loop()->push(*this);
  }
  void broke(int error) noexcept override {
    broken_ = error;
    wake();
  }

  session_options options_;
  CURLM* multi_;
  CURLSH* cookies_ = nullptr;
  std::vector<easy_handle> spare_;
  http1_ports in_http1_;

  rondo::detail::intrusive_list<transfer> running_;
  rondo::detail::intrusive_list<transfer> given_up_;
  std::size_t count_ = 0;  // of transfers in both lists
  std::size_t users_ = 0;

  time_point time_ = time_point::max();  // when libcurl wants to be called; max: not at all
  bool time_has_come_ = false;
  bool queued_ = false;  // in the ready queue
  bool closed_ = false;
  int broken_ = 0;       // an errno
};

struct driver_closer {
  void operator()(driver* d) const noexcept { d->close(); }
};
using driver_handle = std::unique_ptr<driver, driver_closer>;

// Implementation

inline driver::driver(session_options options)
    : listener{&driver::step},
      timer(&driver::due),
      guest(&driver::heard),
      options_(std::move(options)) {
  static_cast<void>(curl_library::get());
  waiter = rondo::detail::continuation(static_cast<listener&>(*this));
  spare_.reserve(32);
  multi_ = curl_multi_init();
  cookies_ = curl_share_init();
  if (multi_ == nullptr || cookies_ == nullptr) {
    curl_multi_cleanup(multi_);
    curl_share_cleanup(cookies_);
    throw std::bad_alloc();
  }
  curl_share_setopt(cookies_, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
  const long connections = options_.max_connections_;
  watchers::serve(multi_);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &driver::on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
  curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS,
                    static_cast<long>(options_.max_connections_per_host_));
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, connections != 0 ? connections : 1000L);
}

inline void driver::close() noexcept {
  RONDO_ASSERT(count_ == 0 && users_ == 0,
               "an http::session was destroyed before its requests had ended");
  closed_ = true;
  heed_no_more();
  spare_.clear();
  curl_multi_cleanup(multi_);
  curl_share_cleanup(cookies_);
  if (armed()) loop()->timers().disarm(*this);
  if (guest::linked()) guest::unlink();
  retire_all();
  if (!queued_) delete this;
}

inline easy_handle driver::take_easy() noexcept {
  if (spare_.empty()) return easy_handle(curl_easy_init());
  easy_handle easy = std::move(spare_.back());
  spare_.pop_back();
  return easy;
}

inline void driver::give_back(easy_handle easy) noexcept {
  if (spare_.size() == spare_.capacity()) return;
  curl_easy_setopt(easy.get(), CURLOPT_COOKIEFILE, nullptr);  // reset would leak the list
  curl_easy_reset(easy.get());
  spare_.push_back(std::move(easy));
}

inline void driver::set_up(option_setter& set) noexcept {
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_SHARE, cookies_);
  watchers::serve(set);
#if CURL_AT_LEAST_VERSION(7, 87, 0)
  set(CURLOPT_QUICK_EXIT, 1L);  // giving up a name look-up must not wait for its thread
#endif
}

inline bool driver::move_to(engine& other) noexcept {
  if (loop() == &other) return true;
  if (count_ != 0 || queued_ || any_in_kernel()) return false;
  if (armed()) loop()->timers().disarm(*this);
  if (guest::linked()) guest::unlink();
  use(&other);
  other.admit(*this);
  return true;
}

inline CURLMcode driver::start(transfer& t) noexcept {
  const CURLMcode result = curl_multi_add_handle(multi_, t.easy.get());
  if (result != CURLM_OK) return result;
  running_.push_back(t);
  ++count_;
  go_on();
  return CURLM_OK;
}

inline void driver::go_on() noexcept {
  revive();
  if (any_to_arm() || time_has_come_) wake();
  if (time_ != time_point::max() && !armed())
    schedule(time_);  // the loop before this one disarmed it
}

inline void driver::give_up(transfer& t) noexcept {
  if (std::exchange(t.given_up, true)) return;
  t.unlink();
  given_up_.push_back(t);
  wake();
}

inline void driver::take_out(transfer& t) noexcept {
  t.unlink();
  --count_;
  curl_multi_remove_handle(multi_, t.easy.get());
}

// What libcurl asks for.

inline int driver::on_timer(CURLM*, long milliseconds, void* self) noexcept {
  auto& d = *static_cast<driver*>(self);
  if (d.closed_) return 0;
  if (d.armed()) d.loop()->timers().disarm(d);
  d.time_ = time_point::max();
  d.time_has_come_ = milliseconds == 0;
  if (milliseconds == 0) {
    d.wake();
  } else if (milliseconds > 0) {
    d.schedule(
        rondo::detail::deadline_after(*d.loop(), std::chrono::milliseconds(milliseconds)));
  }
  return 0;
}

inline void driver::schedule(time_point when) noexcept {
  time_ = when;
  if (!loop()->timers().arm(*this, when)) broke(ENOMEM);
}

// What the loop tells.

inline void driver::due(timer& self) noexcept {
  auto& d = static_cast<driver&>(self);
  d.time_ = time_point::max();
  d.time_has_come_ = true;
  d.wake();
}

inline void driver::step(listener& self) noexcept {
  auto& d = static_cast<driver&>(self);
  d.queued_ = false;
  if (d.closed_) {
    delete &d;
    return;
  }
  d.tell_curl();
  d.harvest();
  if (const int error = std::exchange(d.broken_, 0); error != 0) {
    while (!d.running_.empty()) d.finish(d.running_.front(), CURLE_OK, error);
  }
  while (!d.given_up_.empty()) d.finish(d.given_up_.front(), CURLE_ABORTED_BY_CALLBACK, 0);
  if (!d.arm()) d.broke(EAGAIN);
}

/// Only streams can be left: whoever awaits something has ended before the loop. When libcurl loses
/// one, it may ask to be called for the sake of another; this loop calls nobody any more.
inline void driver::heard(guest& self, news what, int) noexcept {
  if (what != news::loop_ends) return;
  auto& d = static_cast<driver&>(self);
  d.queued_ = true;
  while (!d.running_.empty()) d.finish(d.running_.front(), CURLE_ABORTED_BY_CALLBACK, 0);
  d.queued_ = false;
  d.broken_ = 0;
  d.use(nullptr);
}

inline void driver::tell_curl() noexcept {
  int still_running = 0;
  tell([&](int fd, int events) {
    curl_multi_socket_action(multi_, fd, events, &still_running);
  });
  if (std::exchange(time_has_come_, false)) {
    curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &still_running);
  }
}

inline void driver::harvest() noexcept {
  int left = 0;
  while (CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;  // the message goes with the handle
    finish(*reinterpret_cast<transfer*>(info<char*>(message->easy_handle, CURLINFO_PRIVATE)), code,
           0);
  }
}

inline void driver::finish(transfer& t, CURLcode code, int error) noexcept {
  take_out(t);
  t.ended(t, code, error);
}

}  // namespace rondo::http::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The watchers of a session: one for each socket that libcurl is interested in. libcurl says what
// it waits for, and opens and closes its sockets, through callbacks; what the polls see is kept
// until the driver has a moment for it, and so are polls that are to be armed.
//
//     libcurl: watch -> to_arm_ -> arm -> in the kernel -> ready_ -> tell -> to_arm_ ...
//                                                    `-> idle_ -> revive -> to_arm_
//
// A run of the loop that ends cancels all polls; their watchers are idle until the session is used
// again, with this loop or another one.

#include <cerrno>
#include <new>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>

#include <rondo/detail/intrusive_list.hpp>
#include <rondo/http/curl.hpp>
#include <rondo/http/watcher.hpp>
#include <rondo/loop/engine.hpp>

namespace rondo::http::detail {

using rondo::detail::engine;

/// The base of the driver.
class watchers {
 public:
  watchers(const watchers&) = delete;
  watchers& operator=(const watchers&) = delete;

 protected:
  watchers() noexcept = default;
  ~watchers() = default;

  /// libcurl reports its sockets to these watchers.
  void serve(CURLM* multi) noexcept;
  /// It opens and closes them through these watchers.
  void serve(option_setter& set) noexcept;

  [[nodiscard]] engine* loop() const noexcept { return loop_; }
  /// Whose polls they are from now on; none is in the kernel.
  void use(engine* loop) noexcept { loop_ = loop; }
  [[nodiscard]] bool any_in_kernel() noexcept;
  /// libcurl is about to go: it may still close sockets, and what else it wants does not matter.
  void heed_no_more() noexcept { heeds_ = false; }
  /// It has gone.
  void retire_all() noexcept;

  /// Calls f(fd, events) for each socket that is ready; libcurl may do anything meanwhile.
  template <typename F>
  void tell(F f) noexcept;
  /// Arms what is to be armed. False: the kernel takes no entry.
  [[nodiscard]] bool arm() noexcept;
  [[nodiscard]] bool any_to_arm() const noexcept { return !to_arm_.empty(); }
  void revive() noexcept {
    while (!idle_.empty()) to_arm_.push_back(idle_.pop_front());
  }

 private:
  using watcher_list = rondo::detail::intrusive_list<rondo::detail::in_flight>;

  // These run no foreign code.
  /// There is something to `tell` or to `arm`.
  virtual void wake() noexcept = 0;
  /// libcurl cannot be driven any more. An errno.
  virtual void broke(int error) noexcept = 0;

  static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void* known) noexcept;
  static curl_socket_t on_open(void* self, curlsocktype, curl_sockaddr* address) noexcept;
  static int on_close(void* self, curl_socket_t fd) noexcept;
  static void polled(void* self, watcher& w, int result) noexcept;
  [[nodiscard]] bool watch(curl_socket_t fd, int what, watcher* known) noexcept;

  CURLM* multi_ = nullptr;
  engine* loop_ = nullptr;
  bool heeds_ = true;
  rondo::detail::intrusive_list<watcher_place> watched_;
  rondo::detail::intrusive_list<watcher_place> retired_;
  watcher_list ready_;   // their polls have ended
  watcher_list to_arm_;  // libcurl is interested, and no poll is in flight
  watcher_list idle_;    // the run of the loop ended their polls
};

// Implementation

inline void watchers::serve(CURLM* multi) noexcept {
  multi_ = multi;
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &watchers::on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
}

inline void watchers::serve(option_setter& set) noexcept {
  set(CURLOPT_OPENSOCKETFUNCTION, &watchers::on_open);
  set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
  set(CURLOPT_CLOSESOCKETFUNCTION, &watchers::on_close);
  set(CURLOPT_CLOSESOCKETDATA, static_cast<void*>(this));
}

inline bool watchers::any_in_kernel() noexcept {
  bool found = false;
  watched_.for_each(
      [&found](watcher_place& w) { found = found || static_cast<watcher&>(w).in_kernel(); });
  return found;
}

inline void watchers::retire_all() noexcept {
  while (!watched_.empty()) static_cast<watcher&>(watched_.front()).retire(loop_, retired_);
  retired_.for_each([](watcher_place& each) { each.unlink(); });
}

template <typename F>
void watchers::tell(F f) noexcept {
  while (!ready_.empty()) {
    auto& w = static_cast<watcher&>(ready_.pop_front());
    to_arm_.push_back(w);
    const int fd = w.fd();
    const int events = w.take_events();
    if (events != 0) f(fd, events);  // w may be gone
  }
}

inline bool watchers::arm() noexcept {
  while (!to_arm_.empty()) {
    auto& w = static_cast<watcher&>(to_arm_.pop_front());
    if (!w.wants_something()) continue;
    if (loop_->winds_up()) {
      idle_.push_back(w);
      continue;
    }
    if (!w.arm(*loop_)) {
      to_arm_.push_back(w);
      return false;
    }
  }
  return true;
}

// What libcurl asks for.

inline int watchers::on_socket(CURL*, curl_socket_t fd, int what, void* self,
                               void* known) noexcept {
  auto& all = *static_cast<watchers*>(self);
  auto* const w = static_cast<watcher*>(known);
  if (what == CURL_POLL_REMOVE) {
    if (w != nullptr) w->retire(all.loop_, all.retired_);
  } else if (all.heeds_ && !all.watch(fd, what, w)) {
    all.broke(ENOMEM);
  }
  return 0;
}

inline bool watchers::watch(curl_socket_t fd, int what, watcher* w) noexcept {
  if (w == nullptr) {
    try {
      w = new watcher(fd, this, &watchers::polled);
    } catch (const std::bad_alloc&) {
      return false;
    }
    watched_.push_back(*w);
    if (curl_multi_assign(multi_, fd, w) != CURLM_OK) {
      w->retire(loop_, retired_);
      return false;
    }
  }
  w->want(what, *loop_);
  if (!w->in_kernel() && !w->queued()) {
    to_arm_.push_back(*w);
    wake();
  }
  return true;
}

/// libcurl may have closed a socket that never got connected without a word, and now gets its
/// number again: a poll that is in flight for that number waits for the wrong socket.
inline curl_socket_t watchers::on_open(void* self, curlsocktype, curl_sockaddr* address) noexcept {
  auto& all = *static_cast<watchers*>(self);
  const int fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  all.watched_.for_each([&](watcher_place& each) {
    auto& w = static_cast<watcher&>(each);
    if (w.fd() == fd) w.renew(*all.loop_);
  });
  return fd;
}

inline int watchers::on_close(void* self, curl_socket_t fd) noexcept {
  auto& all = *static_cast<watchers*>(self);
  watcher* last = nullptr;
  all.retired_.for_each([&](watcher_place& each) {
    auto& w = static_cast<watcher&>(each);
    if (w.fd() == fd) last = &w;
  });
  if (last == nullptr) return ::close(fd);
  last->close_later();
  return 0;
}

// What the loop tells.

inline void watchers::polled(void* self, watcher& w, int result) noexcept {
  auto& all = *static_cast<watchers*>(self);
  if (result == -ECANCELED && !w.was_canceled() && all.loop_->winds_up()) {
    all.idle_.push_back(w);
    return;
  }
  all.ready_.push_back(w);
  if (result >= 0) {
    w.saw(result);
  } else if (result != -ECANCELED) {
    return all.broke(-result);
  }
  all.wake();
}

}  // namespace rondo::http::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// watch: what happens to a file or in a folder, as a stream.
//
//     auto changes = rondo::watch("/etc", IN_CLOSE_WRITE | IN_MOVED_TO);
//     while (auto change = co_await changes.next()) reload(change->name);
//
// The kernel keeps what nobody has taken yet (16,384 events, /proc/sys/fs/inotify/max_queued_events);
// when it has lost some it says so with IN_Q_OVERFLOW. See inotify(7).

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits.h>
#include <memory>
#include <optional>
#include <string>
#include <sys/inotify.h>
#include <system_error>
#include <utility>

#include <rondo/io/event_queue.hpp>
#include <rondo/io/path.hpp>

namespace rondo {

/// Something that has happened.
struct file_event {
  std::uint32_t mask = 0;    // what: IN_CREATE, IN_MODIFY, ...; and IN_ISDIR, if to a folder
  std::uint32_t cookie = 0;  // the same in IN_MOVED_FROM and IN_MOVED_TO of one file
  std::string name;          // in the folder that is watched; empty if it is about that itself
};

namespace detail {
struct inotify_format {
  using value_type = file_event;
  static constexpr const char* name = "inotify";
  static constexpr std::size_t room = 2048;
  static_assert(room >= sizeof(inotify_event) + NAME_MAX + 1);

  /// IN_IGNORED: what was watched has gone, and nothing more will come.
  static std::optional<file_event> take(const char* bytes, std::size_t& used) {
    inotify_event event{};
    std::memcpy(&event, bytes, sizeof event);
    used = sizeof event + event.len;
    if ((event.mask & IN_IGNORED) != 0) return std::nullopt;
    const char* const text = bytes + sizeof event;
    return file_event{event.mask, event.cookie, std::string(text, ::strnlen(text, event.len))};
  }
};
}  // namespace detail

/// Thread: the loop's. One `next` at a time.
class [[nodiscard("the events are lost with the stream")]] watch_stream {
 public:
  /// Waits for the next event. Gives: an optional; empty when what is watched has been removed or
  /// unmounted, and after close(). The kernel says that something was removed when nobody has it open
  /// any more. After IN_Q_OVERFLOW that may be among what is lost, and nothing comes any more: look
  /// whether what is watched is there, and watch it anew.
  /// Throws: std::system_error. Canceled: nothing is lost.
  auto next() & { return detail::next_event_description<detail::inotify_format>(*events_); }

  /// Ends the stream. A next() that another task awaits ends, and gives nothing.
  auto close() & {
    return io::operation(detail::close_events_op<detail::inotify_format>(*events_));
  }
  /// The inotify descriptor.
  [[nodiscard]] int native_handle() const noexcept { return events_->fd.native_handle(); }

 private:
  friend watch_stream watch(detail::path_argument path, std::uint32_t mask);
  explicit watch_stream(descriptor fd)
      : events_(new detail::event_buffer<detail::inotify_format>) {
    events_->fd = std::move(fd);
  }

  std::unique_ptr<detail::event_buffer<detail::inotify_format>> events_;
};

/// Watches from now on: a plain call, which does not wait. mask: IN_CREATE, IN_MODIFY and the like.
/// Throws: std::system_error that names the path.
[[nodiscard]] watch_stream watch(detail::path_argument path, std::uint32_t mask);

// Implementation

inline watch_stream watch(detail::path_argument path, std::uint32_t mask) {
  descriptor fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd || ::inotify_add_watch(fd.native_handle(), path.c_str(), mask) < 0) {
    throw std::system_error(errno, std::system_category(), std::string("watch ") + path.c_str());
  }
  return watch_stream(std::move(fd));
}

}  // namespace rondo

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// mutex: one task at a time, across awaits.
//
//     rondo::mutex m;
//     {
//       auto guard = co_await m.lock();
//       co_await rewrite(file);
//     }                                             // unlocked here, also by an exception
//
// Tasks of one loop do not interrupt each other between two awaits, so what needs no await while it
// changes needs no mutex. There is no unlock() besides the guard's: std::lock_guard, whose lock()
// would not wait, does not compile with it.

#include <optional>

#include <rondo/sync/permits.hpp>

namespace rondo {

/// Thread: the loop's. Keep it alive while somebody waits or holds it.
class mutex {
 public:
  /// Movable; `release()` unlocks early, `owns_lock()` tells whether it holds the lock.
  using guard = detail::lock_guard<mutex, 1>;

  mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  /// Waits for the lock, first come, first served. Gives: a guard. Canceled: it was not locked.
  [[nodiscard]] auto lock() & noexcept { return detail::acquire_description<guard>(permits_, {}); }
  /// Without waiting: empty if somebody holds it.
  [[nodiscard]] std::optional<guard> try_lock() noexcept {
    if (!permits_.try_take(1)) return std::nullopt;
    return guard(permits_, {});
  }

 private:
  detail::permits permits_{1};
};

}  // namespace rondo

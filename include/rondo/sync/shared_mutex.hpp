// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// shared_mutex: many readers or one writer.
//
//     auto reading = co_await table.lock_shared();
//     auto writing = co_await table.lock();
//
// First come, first served: readers who come after a writer wait for it, so a writer is not kept
// waiting by a stream of readers.

#include <cstddef>
#include <limits>
#include <optional>

#include <rondo/sync/permits.hpp>

namespace rondo {

/// Thread: the loop's. Keep it alive while somebody waits or holds it.
class shared_mutex {
  static constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

 public:
  /// Both as mutex::guard.
  using guard = detail::lock_guard<shared_mutex, all>;
  using shared_guard = detail::lock_guard<shared_mutex, 1>;

  shared_mutex() noexcept = default;
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;

  /// Waits until nobody else holds it. Gives: a guard. Canceled: it was not locked, and readers who
  /// waited behind may go on.
  [[nodiscard]] auto lock() & noexcept { return detail::acquire_description<guard>(permits_, {}); }
  /// Waits until no writer holds it, or waits before. Gives: a shared_guard.
  [[nodiscard]] auto lock_shared() & noexcept {
    return detail::acquire_description<shared_guard>(permits_, {});
  }
  /// Without waiting.
  [[nodiscard]] std::optional<guard> try_lock() noexcept { return take<guard>(); }
  [[nodiscard]] std::optional<shared_guard> try_lock_shared() noexcept {
    return take<shared_guard>();
  }

 private:
  template <typename Guard>
  std::optional<Guard> take() noexcept {
    if (!permits_.try_take(typename Guard::amount())) return std::nullopt;
    return Guard(permits_, {});
  }

  detail::permits permits_{all};
};

}  // namespace rondo

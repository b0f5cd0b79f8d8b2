// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// semaphore: at most so many at a time.
//
//     rondo::semaphore connections(10);
//     {
//       auto permit = co_await connections.acquire();
//       co_await fetch(url);
//     }                                             // given back here, also by an exception
//
// First come, first served: acquire(5) waits until five are free at once and is not overtaken by
// those who need fewer.

#include <cstddef>
#include <optional>
#include <utility>

#include <rondo/sync/permits.hpp>

namespace rondo {

/// Thread: the loop's. Keep it alive while somebody waits or holds a permit.
class semaphore {
 public:
  /// Some of the semaphore's permits; gives them back when it goes.
  class [[nodiscard("a permit is held as long as this lives")]] permit {
   public:
    using amount = std::size_t;
    static constexpr const char* what = "semaphore";

    /// Holds nothing.
    permit() noexcept = default;
    permit(permit && other) noexcept : of_(std::exchange(other.of_, nullptr)), n_(other.n_) {}
    permit& operator=(permit&& other) noexcept {
      permit taken(std::move(other));
      std::swap(of_, taken.of_);
      std::swap(n_, taken.n_);
      return *this;
    }
    ~permit() {
      if (of_ != nullptr) of_->give(n_);
    }

    /// Gives back early.
    void release() noexcept {
      if (of_ != nullptr) std::exchange(of_, nullptr)->give(n_);
    }
    /// Never gives back: the semaphore has so many fewer from here on.
    void forget() noexcept { of_ = nullptr; }
    /// How many it holds.
    [[nodiscard]] std::size_t count() const noexcept { return of_ != nullptr ? n_ : 0; }
    [[nodiscard]] explicit operator bool() const noexcept { return of_ != nullptr; }

   private:
    friend semaphore;
    friend detail::acquire_state<permit>;
    permit(detail::permits & of, std::size_t n) noexcept : of_(&of), n_(n) {}

    detail::permits* of_ = nullptr;
    std::size_t n_ = 0;
  };

  explicit semaphore(std::size_t permits) noexcept : permits_(permits) {}
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  /// Waits until n permits are free and everybody who came before has theirs. Gives: a permit.
  /// Canceled: nothing was taken, and whoever waits behind may go on.
  [[nodiscard]] auto acquire(std::size_t n = 1) & noexcept {
    return detail::acquire_description<permit>(permits_, n);
  }
  /// Without waiting: empty if there are too few, or somebody waits already.
  [[nodiscard]] std::optional<permit> try_acquire(std::size_t n = 1) noexcept {
    if (!permits_.try_take(n)) return std::nullopt;
    return permit(permits_, n);
  }
  /// Adds permits to those that there are.
  void release(std::size_t n = 1) noexcept { permits_.give(n); }

  /// How many are free.
  [[nodiscard]] std::size_t available() const noexcept { return permits_.available(); }

 private:
  detail::permits permits_;
};

}  // namespace rondo

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The attempts of one request under its retry_policy: whether there is another one, and the wait
// before it. Whoever sends it goes
//
//     attempts course(options, request, loop);
//     for (;;) {
//       ...send it, as course.next(std::move(request))...
//       if (!course.goes_on_after(what came)) co_return it;
//       co_await course.wait();
//     }

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <curl/curl.h>

#include <rondo/http/error.hpp>
#include <rondo/http/request.hpp>
#include <rondo/http/resending.hpp>
#include <rondo/http/response.hpp>
#include <rondo/http/retry.hpp>
#include <rondo/http/session_options.hpp>
#include <rondo/http/setup.hpp>
#include <rondo/loop/engine.hpp>
#include <rondo/time/sleep.hpp>

namespace rondo::http::detail {

/// The lots that are drawn for jitter (splitmix64).
class lots {
 public:
  explicit lots(std::uint64_t seed) noexcept : state_(seed) {}
  /// From 0 to 1.
  [[nodiscard]] double draw() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }
  /// Others for each thread, process and time; none of it is secret.
  [[nodiscard]] static lots of_this_thread() noexcept {
    static thread_local std::uint64_t next =
        reinterpret_cast<std::uintptr_t>(&next) ^
        static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    return lots(next += 0x632be59bd9b4e019);
  }

 private:
  std::uint64_t state_;
};

/// What the value of Retry-After says: seconds or a date (RFC 9110, 10.2.3). Zero: nothing.
[[nodiscard]] inline std::chrono::nanoseconds retry_after(std::string_view value) {
  using std::chrono::seconds;
  constexpr seconds longest = std::chrono::hours(24 * 365);
  seconds::rep count = 0;
  const char* const end = value.data() + value.size();
  const auto [rest, error] = std::from_chars(value.data(), end, count);
  if (error == std::errc::result_out_of_range) return longest;
  if (error != std::errc() || rest != end) {
    const std::time_t date = curl_getdate(std::string(value).c_str(), nullptr);
    count = date < 0 ? 0 : date - std::time(nullptr);
  }
  return std::clamp(seconds(count), seconds(0), longest);
}

class attempts {
 public:
  /// Keep alive: the options.
  attempts(const session_options& options, request& r, const rondo::detail::engine& loop)
      : loop_(loop), policy_(policy_of(options, r)) {
    if (policy_ == nullptr) return;
    if (r.retry_) policy_ = &own_.emplace(*std::exchange(r.retry_, std::nullopt));
    lots_ = policy_->seed_ ? lots(*policy_->seed_) : lots::of_this_thread();
    delay_ = std::min(policy_->first_delay_, policy_->max_delay_);
    const auto limit = setup(options, r).limits().total;
    if (limit > limit.zero()) complete_by_ = rondo::detail::deadline_after(loop, limit);
  }
  attempts(const attempts&) = delete;
  attempts& operator=(const attempts&) = delete;

  /// Whether a request may be sent more than once.
  [[nodiscard]] static bool are_several(const session_options& options, const request& r) noexcept {
    return policy_of(options, r) != nullptr;
  }

  [[nodiscard]] request&& next(request&& r) noexcept {
    r.attempt_ = ++made_;
    r.complete_by_ = complete_by_;
    return std::move(r);
  }
  /// After these, `wait` and then send it again. They throw only std::bad_alloc.
  [[nodiscard]] bool goes_on_after(const error& e) { return may_help(e) && has_another({}); }
  [[nodiscard]] bool goes_on_after(const response& answer) {
    if (policy_ == nullptr) return false;
    const auto& all = policy_->statuses_;
    if (std::find(all.begin(), all.end(), answer.status) == all.end()) return false;
    return has_another(retry_after(answer.headers["retry-after"]));
  }
  [[nodiscard]] auto wait() const noexcept { return sleep_for(wait_); }

 private:
  [[nodiscard]] static const retry_policy* policy_of(const session_options& options,
                                                     const request& r) noexcept {
    const auto& policy = r.retry_ ? r.retry_ : options.retry_;
    if (!policy || policy->attempts_ <= 1 || r.source_) return nullptr;
    return is_idempotent(r.method_) ? &*policy : nullptr;
  }

  [[nodiscard]] static bool may_help(const error& e) noexcept {
    switch (e.kind()) {
      case error_kind::name_not_resolved:
      case error_kind::connection_refused:
      case error_kind::connect_failed:
      case error_kind::connection_lost:
      case error_kind::timeout:  // after the total one there is no time for another
        return true;
      default:
        return false;
    }
  }

  /// If so, `wait_` is how long to wait for it. A wait that would not end in time is not begun: what
  /// has come by now says more than that there was no time left.
  [[nodiscard]] bool has_another(std::chrono::nanoseconds asked_for) noexcept {
    if (policy_ == nullptr || made_ >= policy_->attempts_) return false;
    if (asked_for > policy_->max_delay_) return false;
    using real = std::chrono::duration<double, std::nano>;
    const real drawn = real(delay_) * (1 - policy_->jitter_ * lots_.draw());
    wait_ = std::max(std::chrono::nanoseconds(static_cast<std::int64_t>(drawn.count())), asked_for);
    const real longer = real(delay_) * policy_->factor_;
    delay_ = longer < real(policy_->max_delay_)
                 ? std::chrono::nanoseconds(static_cast<std::int64_t>(longer.count()))
                 : policy_->max_delay_;
    return complete_by_ == time_point::max() ||
           rondo::detail::deadline_after(loop_, wait_) < complete_by_;
  }

  const rondo::detail::engine& loop_;
  const retry_policy* policy_;  // null: there is one attempt
  std::optional<retry_policy> own_;
  lots lots_{0};
  unsigned made_ = 0;
  std::chrono::nanoseconds delay_{};
  std::chrono::nanoseconds wait_{};
  time_point complete_by_ = time_point::max();
};

}  // namespace rondo::http::detail

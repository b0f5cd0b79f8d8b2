// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What a call gives that has done its work when it returns, where others of its kind have to be
// awaited: it may be awaited, or not. So generic code can `co_await stream.close()` of every stream.
//
// Nothing waits, so a cancellation does not touch it.

#include <rondo/core/awaitable.hpp>

namespace rondo::detail {

class done_state;

class done : public only_in_rondo {
 public:
  using state_type = done_state;
};

class done_state {
 public:
  explicit done_state(done) noexcept {}

  [[nodiscard]] bool start(scope&, continuation) const noexcept { return false; }
  [[nodiscard]] outcome how() const noexcept { return outcome::value; }
  void take() const noexcept {}
};

static_assert(operation<done> && operation<done&>);

}  // namespace rondo::detail

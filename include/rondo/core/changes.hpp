// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// changes: waiting until somebody says that something is different now. What, each looks up for
// itself:
//
//     while (open.size() != 0) co_await changed.next();
//
//     --size_;                             // elsewhere
//     changed.notify_all();

#include <rondo/core/wait_list.hpp>

namespace rondo::detail {

class changes;
class next_change;

/// Gives nothing. Keep alive: the changes.
class [[nodiscard("it does nothing until it is awaited")]] next_change_description
    : public only_in_rondo {
 public:
  using state_type = next_change;

 private:
  friend changes;
  friend next_change;
  explicit next_change_description(changes& of) noexcept : of_(&of) {}
  changes* of_;
};

class changes {
 public:
  /// Waits for the next notify_all.
  [[nodiscard]] next_change_description next() noexcept { return next_change_description(*this); }
  void notify_all() noexcept { waiting_.wake_all(); }

 private:
  friend next_change;
  wait_list waiting_;
};

class next_change : public place_in_list {
 public:
  explicit next_change(next_change_description&& d) noexcept : of_(*d.of_) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    return wait_in(of_.waiting_, line, told, kind);
  }

 private:
  static constexpr leaf_kind kind{"a change", &end_canceled};

  changes& of_;
};

}  // namespace rondo::detail

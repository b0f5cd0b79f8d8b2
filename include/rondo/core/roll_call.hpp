// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Who is still there? Nobody keeps a list of all tasks: the loop knows those that it owns, a group
// its children. But a cancellation reaches them all, so that is how they are asked: while a
// roll call is held, each spawned task that is canceled gives its name.

#include <cstddef>
#include <new>
#include <string>
#include <string_view>

#include <rondo/core/ready_queue.hpp>

namespace rondo::detail {

class roll_call {
 public:
  /// While this exists, those who are canceled on the loop answer.
  class held {
   public:
    held(loop_base& loop, roll_call& asked) noexcept : loop_(loop) { loop_.roll_call_ = &asked; }
    held(const held&) = delete;
    held& operator=(const held&) = delete;
    ~held() { loop_.roll_call_ = nullptr; }

   private:
    loop_base& loop_;
  };

  /// A task without a name is counted; so is one whose name there is no memory for.
  void here(std::string_view name) noexcept {
    if (!name.empty()) {
      try {
        names_.append(names_.empty() ? "" : ", ").append(name);
        return;
      } catch (const std::bad_alloc&) {
      }
    }
    ++unnamed_;
  }

  [[nodiscard]] bool empty() const noexcept { return names_.empty() && unnamed_ == 0; }
  /// "reader, writer and 2 tasks without a name"; empty if nobody has answered.
  [[nodiscard, gnu::cold]] std::string text() const {
    if (unnamed_ == 0) return names_;
    const std::string others =
        unnamed_ == 1 ? "a task" : std::to_string(unnamed_) + " tasks";
    return names_ + (names_.empty() ? "" : " and ") + others + " without a name";
  }

 private:
  std::string names_;
  std::size_t unnamed_ = 0;
};

}  // namespace rondo::detail

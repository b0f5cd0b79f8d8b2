// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The tasks that nobody but the loop awaits: the root, and what was spawned. Those of a service
// (net/connections.hpp) have an owner of their own, and are only shown here.

#include <rondo/core/observer.hpp>
#include <rondo/core/scope.hpp>
#include <rondo/core/spawned.hpp>
#include <rondo/detail/intrusive_list.hpp>

namespace rondo::detail {

/// Of tasks that are nobody's children, besides the loop.
struct owner_of_tasks : list_hook {
  spawner::tasks tasks;
};

class loop_tasks : spawner {
 public:
  loop_tasks() noexcept : spawner(hears::errors) {}

  /// Owns a task from now on, and starts it on the next turn: it is canceled and awaited before the
  /// loop ends.
  void own(spawned_base& task) noexcept { task.launch(*this, owned_); }
  using spawner::start_no_more;

  [[nodiscard]] bool empty() const noexcept { return owned_.empty(); }
  void cancel_all() noexcept {
    owned_.for_each([](spawned_base& task) { task.cancel(); });
  }
  template <typename F>
  void for_each(F f) {
    owned_.for_each(f);
  }

  /// The line that `run` waits for; null: there is none.
  void root_is(scope* line) noexcept { root_ = line; }
  [[nodiscard]] scope* root() const noexcept { return root_; }

  void show(observer& to) {
    if (root_ != nullptr) to.child(*root_, "root");
    const auto show_task = [&to](spawned_base& task) {
      to.child(task.line, task.name().empty() ? "spawned" : task.name());
    };
    owned_.for_each(show_task);
    others_.for_each([&](owner_of_tasks& o) { o.tasks.for_each(show_task); });
  }
  /// Shows what somebody else owns, until it is unlinked.
  void show_also(owner_of_tasks& o) noexcept { others_.push_back(o); }

  /// A handle may outlive the loop, and its error could not be reported any more.
  void report_unclaimed() noexcept {
    while (!unclaimed_.empty()) unclaimed_.front().report_unclaimed();
  }

 private:
  void ended(spawned_base& task) noexcept override { unclaimed_.push_back(task); }

  scope* root_ = nullptr;
  spawner::tasks owned_;
  spawner::tasks unclaimed_;  // they have failed, and nobody has asked yet
  intrusive_list<owner_of_tasks> others_;
};

}  // namespace rondo::detail

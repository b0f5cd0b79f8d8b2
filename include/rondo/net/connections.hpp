// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The tasks of a service (net/serve.hpp), one for each connection. They are not children of whoever
// accepts: it is canceled first, and decides what becomes of them.

#include <cstddef>
#include <exception>
#include <utility>

#include <rondo/core/changes.hpp>
#include <rondo/core/spawned.hpp>
#include <rondo/loop/event_loop.hpp>

namespace rondo::detail {

class connections : spawner, owner_of_tasks {
 public:
  explicit connections(event_loop& loop) noexcept : spawner(hears::each_end), loop_(loop) {
    loop.tasks().show_also(*this);
  }
  ~connections() { unlink(); }
  connections(const connections&) = delete;
  connections& operator=(const connections&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Starts one on the next turn. Its error is reported. Throws: std::bad_alloc.
  void add(task<> t) {
    auto& s = *new spawned<void>(std::move(t), "serve");
    s.line.open(loop_);
    s.take_context(current_context());
    ++size_;
    s.launch(*this, owner_of_tasks::tasks);
    s.release();  // there is no handle
  }
  /// Reports an error that belongs to no task.
  void report(std::exception_ptr error) noexcept {
    loop_.report({unhandled_error::kind::spawned, "serve", std::move(error), {}});
  }
  void cancel() noexcept {
    owner_of_tasks::tasks.for_each([](spawned_base& s) { s.cancel(); });
  }

  /// Waits until one has ended.
  [[nodiscard]] next_change_description change() noexcept { return changes_.next(); }

 private:
  void ended(spawned_base&) noexcept override {
    --size_;
    changes_.notify_all();
  }

  event_loop& loop_;
  changes changes_;
  std::size_t size_ = 0;
};

}  // namespace rondo::detail

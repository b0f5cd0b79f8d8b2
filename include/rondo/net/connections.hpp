// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The tasks of a service (net/serve.hpp), one for each connection. They are not children of whoever
// accepts: it is canceled first, and decides what becomes of them.

#include <cstddef>
#include <exception>
#include <utility>

#include <rondo/core/spawned.hpp>
#include <rondo/loop/event_loop.hpp>

namespace rondo::detail {

class connections;

class connections_change;

class [[nodiscard("it does nothing until it is awaited")]] connections_change_description
    : public only_in_rondo {
 public:
  using state_type = connections_change;

 private:
  friend connections;
  friend connections_change;
  explicit connections_change_description(connections& of) noexcept : of_(&of) {}
  connections* of_;
};

class connections : spawner {
 public:
  explicit connections(event_loop& loop) noexcept : spawner(hears::each_end), loop_(loop) {}
  connections(const connections&) = delete;
  connections& operator=(const connections&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Starts one on the next turn. Its error is reported. Throws: std::bad_alloc.
  void add(task<> t) {
    auto& s = *new spawned<void>(std::move(t), "serve");
    s.line.open(loop_);
    s.take_context(current_context());
    ++size_;
    s.launch(*this, tasks_);
    s.release();  // there is no handle
  }
  /// Reports an error that belongs to no task.
  void report(std::exception_ptr error) noexcept {
    loop_.report({unhandled_error::kind::spawned, "serve", std::move(error), {}});
  }
  void cancel() noexcept {
    tasks_.for_each([](spawned_base& s) { s.cancel(); });
  }

  /// Waits until one has ended.
  [[nodiscard]] connections_change_description change() noexcept {
    return connections_change_description(*this);
  }

 private:
  friend connections_change;

  void ended(spawned_base&) noexcept override {
    --size_;
    waiting_.wake_all();
  }

  event_loop& loop_;
  spawner::tasks tasks_;
  wait_list waiting_;
  std::size_t size_ = 0;
};

class connections_change : public place_in_list {
 public:
  explicit connections_change(connections_change_description&& d) noexcept : of_(*d.of_) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    if (refused(line, told)) [[unlikely]] return true;
    return wait_in(of_.waiting_);
  }

 private:
  connections& of_;
};

}  // namespace rondo::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// context_var: a value that a task and all that it awaits, starts or spawns can see, without
// passing it on. asyncio's contextvars.
//
//     rondo::context_var<std::string> request_id{"none"};
//
//     co_await with_context(request_id, "a1", handle(request));    // compose/with_context.hpp
//     const std::string& id = co_await request_id;       // in a task
//     log(request_id.get());                             // in a plain function that one calls
//
// The values of a line of work are a list of nodes that never change, newest first; whoever puts
// something in front shares the rest. A spawned task holds on to the list that it was spawned with.

#include <coroutine>
#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/core/promise.hpp>
#include <rondo/core/scope.hpp>

namespace rondo {

namespace detail {

/// Counted by those who keep it for longer than the line that it was made in; on one thread.
struct context_node {
  const void* key = nullptr;
  context_node* next = nullptr;
  unsigned refs = 1;
  void (*destroy)(context_node&) noexcept = nullptr;
};

template <typename T>
struct context_value : context_node {
  template <typename U>
  context_value(const void* variable, U&& v) : value(std::forward<U>(v)) {
    key = variable;
    destroy = [](context_node& self) noexcept { delete &static_cast<context_value&>(self); };
  }
  T value;
};

/// Holds on to a list.
class context_holder {
 public:
  context_holder() noexcept = default;
  /// Takes over a node's first reference.
  explicit context_holder(context_node* made) noexcept : node_(made) {}
  context_holder(context_holder&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  context_holder& operator=(context_holder&& other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~context_holder() {
    while (node_ != nullptr && --node_->refs == 0) {
      context_node* const rest = node_->next;
      node_->destroy(*node_);
      node_ = rest;
    }
  }
  [[nodiscard]] static context_holder share(context_node* node) noexcept {
    if (node != nullptr) ++node->refs;
    return context_holder(node);
  }
  [[nodiscard]] context_node* get() const noexcept { return node_; }
  [[nodiscard]] context_node* release() noexcept { return std::exchange(node_, nullptr); }

 private:
  context_node* node_ = nullptr;
};

/// Of a thread that runs a call for a task (to_thread).
RONDO_VISIBLE inline constinit thread_local context_node* thread_context = nullptr;

/// The context of the code that runs on this thread now.
[[nodiscard]] inline context_node* current_context() noexcept {
  if (running_loop == nullptr) return thread_context;
  const scope* const line = running_loop->running();
  return line != nullptr ? line->context() : nullptr;
}

}  // namespace detail

/// Keep it alive, at its address, while somebody may ask for it: make it static or global.
/// Thread: any, get() as well.
template <typename T>
class context_var : public detail::only_in_rondo {
 public:
  class state_type;

  explicit context_var(T otherwise = T()) : otherwise_(std::move(otherwise)) {}
  context_var(const context_var&) = delete;
  context_var& operator=(const context_var&) = delete;

  /// The value of the task that runs now, or the default. Valid as long as the with_context that
  /// set it.
  [[nodiscard]] const T& get() const noexcept { return find(detail::current_context()); }

 private:
  const T& find(const detail::context_node* node) const noexcept {
    for (; node != nullptr; node = node->next) {
      if (node->key == this) return static_cast<const detail::context_value<T>*>(node)->value;
    }
    return otherwise_;
  }

  T otherwise_;
};

/// `co_await v` gives a reference to the task's value, at once.
template <typename T>
class context_var<T>::state_type {
 public:
  explicit state_type(const context_var& variable) noexcept : variable_(variable) {}
  [[nodiscard]] bool start(detail::scope& line, detail::continuation) noexcept {
    value_ = &variable_.find(line.context());
    return false;
  }
  [[nodiscard]] detail::outcome how() const noexcept { return detail::outcome::value; }
  const T& take() const noexcept { return *value_; }

 private:
  const context_var& variable_;
  const T* value_ = nullptr;
};

}  // namespace rondo

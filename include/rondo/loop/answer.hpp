// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <future>
#include <memory>
#include <utility>

#include <rondo/core/error.hpp>

namespace rondo::detail {

/// A promise that is kept: destroyed without an answer, it answers operation_canceled.
template <typename T>
class answer {
 public:
  answer() = default;
  answer(answer&&) noexcept = default;
  answer& operator=(answer&&) = delete;
  ~answer() {
    if (promise_ && !answered_) {
      promise_->set_exception(std::make_exception_ptr(operation_canceled()));
    }
  }
  std::future<T> get_future() { return promise_->get_future(); }
  template <typename... V>
  void set_value(V&&... value) {
    promise_->set_value(std::forward<V>(value)...);
    answered_ = true;
  }
  void set_exception(std::exception_ptr error) {
    promise_->set_exception(std::move(error));
    answered_ = true;
  }

 private:
  std::unique_ptr<std::promise<T>> promise_ = std::make_unique<std::promise<T>>();
  bool answered_ = false;
};

}  // namespace rondo::detail

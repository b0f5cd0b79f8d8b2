// SPDX-License-Identifier: BSL-1.0
#pragma once

// What loops are given to run.

#include <rondo/compose/cancellation.hpp>
#include <rondo/core/task.hpp>
#include <stdexcept>

namespace rondo::test {

template <typename T>
task<T> giving(T value) {
  co_await yield();
  co_return value;
}
inline task<> throwing() {
  co_await yield();
  throw std::runtime_error("it failed");
}

}  // namespace rondo::test

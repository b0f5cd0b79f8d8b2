// SPDX-License-Identifier: BSL-1.0

// rondo's mutex, semaphore and event, as their users write them.

#include "question.hpp"

#include <rondo/rondo.hpp>

namespace {

struct mutex : rondo::mutex {
  static auto let_others_run() noexcept { return rondo::yield(); }
};

}  // namespace

int main() {
  const auto both = [](rondo::task<> a, rondo::task<> b) {
    return rondo::when_all(std::move(a), std::move(b));
  };
  return rondo::run(
      question::ask<rondo::task, mutex, rondo::semaphore, rondo::event>("rondo", both));
}

// SPDX-License-Identifier: BSL-1.0

// rondo::channel, as its users write it.

#include "question.hpp"

#include <rondo/rondo.hpp>

int main() {
  const auto both = [](rondo::task<> a, rondo::task<> b) {
    return rondo::when_all(std::move(a), std::move(b));
  };
  return rondo::run(question::ask<rondo::task, rondo::channel<int>>("rondo", both));
}

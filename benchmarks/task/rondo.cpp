// SPDX-License-Identifier: BSL-1.0

// rondo::task, as its users write it.

#include "question.hpp"

#include <rondo/rondo.hpp>

int main() {
  const auto spawn = [](rondo::task<int> child) { return rondo::spawn(std::move(child)); };
  const auto yield = [] { return rondo::yield(); };
  return rondo::run(question::ask<rondo::task>("rondo", spawn, yield));
}

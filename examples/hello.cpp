// SPDX-License-Identifier: BSL-1.0
//
// The smallest program: a task, another one that it awaits, and running it.
//
//     ./hello
//     hello, world
//
// smoke:
// prints: hello, world

#include <chrono>
#include <cstdio>
#include <rondo/rondo.hpp>
#include <string>

using namespace std::chrono_literals;

rondo::task<std::string> greeting(std::string name) {
  co_await rondo::sleep_for(100ms);
  co_return "hello, " + name;
}

rondo::task<> hello() {
  const std::string text = co_await greeting("world");
  std::puts(text.c_str());
}

int main() { return rondo::run_main(hello()); }

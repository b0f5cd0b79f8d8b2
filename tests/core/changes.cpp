// SPDX-License-Identifier: BSL-1.0

#include <rondo/core/changes.hpp>

#include <string>

#include "support/loop_test.hpp"

using namespace rondo::test;
using rondo::task;

namespace {

task<> log_next(rondo::detail::changes& changed, std::string& log, char name) {
  co_await changed.next();
  log += name;
}

}  // namespace

LOOP_TEST("notify_all wakes those who wait, in their order, and none who comes later") {
  rondo::detail::changes changed;
  std::string log;
  auto a = rondo::spawn(log_next(changed, log, 'a'));
  auto b = rondo::spawn(log_next(changed, log, 'b'));
  co_await yields(2);
  changed.notify_all();
  auto c = rondo::spawn(log_next(changed, log, 'c'));
  co_await yields(2);
  CHECK(log == "ab");
  CHECK_FALSE(c.done());
  changed.notify_all();
  co_await std::move(c);
  CHECK(log == "abc");
}

LOOP_TEST("one that is canceled waits no longer, and one in a canceled task not at all") {
  rondo::detail::changes changed;
  std::string log;
  auto a = rondo::spawn(log_next(changed, log, 'a'));
  auto b = rondo::spawn(log_next(changed, log, 'b'));
  auto early = rondo::spawn(log_next(changed, log, 'e'));
  early.cancel();
  co_await yields(2);
  a.cancel();
  changed.notify_all();
  const auto of_a = co_await code_of(std::move(a));
  const auto of_early = co_await code_of(std::move(early));
  co_await std::move(b);
  CHECK(of_a == rondo::errc::canceled);
  CHECK(of_early == rondo::errc::canceled);
  CHECK(log == "b");
}

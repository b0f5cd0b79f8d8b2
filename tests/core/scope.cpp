// SPDX-License-Identifier: BSL-1.0

#include <rondo/core/scope.hpp>

#include <vector>

#include <rondo/compose/when_all.hpp>

#include "support/helpers.hpp"

using rondo::operation_canceled;
using rondo::task;
using rondo::unhandled_error;
using rondo::detail::leaf;
using rondo::detail::leaf_kind;
using rondo::detail::scope;
using namespace rondo::test;

namespace {

/// For leaves of a test; asked: what a cancellation calls.
template <void (*asked)(leaf&) noexcept>
constexpr leaf_kind kind_of{"a test's", asked};

struct counting_leaf : leaf {
  counting_leaf() noexcept : leaf{&kind_of<&counting_leaf::asked>} {}
  static void asked(leaf& self) noexcept { ++static_cast<counting_leaf&>(self).canceled; }
  int canceled = 0;
};

/// A scope with children, which notes in what order they are asked.
struct tree : leaf {
  explicit tree(manual_loop& loop, int depth, std::vector<int>& o)
      : leaf{&kind_of<&tree::asked>},
        line(loop),
        level(depth),
        order(o) {
    line.enter(*this);
  }
  static void asked(leaf& self) noexcept {
    auto& t = static_cast<tree&>(self);
    t.order.push_back(t.level);
    for (auto& child : t.children) child.line.cancel();
  }
  scope line;
  int level;
  std::vector<int>& order;
  std::deque<tree> children;
};

/// Ends somebody else's operation, and cancels them.
struct rude : leaf {
  rude(scope& a, scope& b) noexcept : leaf{&kind_of<&rude::asked>}, first(a), second(b) {}
  static void asked(leaf& self) noexcept {
    auto& r = static_cast<rude&>(self);
    r.first.cancel();
    r.first.leave();  // its operation ended for another reason
    r.second.cancel();
  }
  scope& first;
  scope& second;
};

}  // namespace

TEST_CASE("canceling a scope asks its leaf to end, once") {
  manual_loop loop;
  scope line(loop);
  counting_leaf l;
  line.enter(l);
  CHECK(!line.canceled());
  line.cancel();
  line.cancel();
  CHECK(line.canceled());
  CHECK(l.canceled == 1);
  line.leave();
}

TEST_CASE("canceling a scope that computes only raises the flag") {
  manual_loop loop;
  scope line(loop);
  counting_leaf l;
  line.enter(l);
  line.leave();
  line.cancel();
  CHECK(line.canceled());
  CHECK(l.canceled == 0);
}

TEST_CASE("a child scope starts canceled if its parent is, and otherwise does not") {
  manual_loop loop;
  scope parent(loop);
  scope early;
  early.open(parent);
  parent.cancel();
  scope late;
  late.open(parent);
  CHECK(!early.canceled());
  CHECK(late.canceled());
  CHECK(&late.loop() == &parent.loop());
}

TEST_CASE(
    "scopes that are canceled from inside a cancel have been asked when the outermost returns") {
  manual_loop loop;
  std::vector<int> order;
  tree root(loop, 0, order);
  for (int i = 0; i < 2; ++i) {
    auto& child = root.children.emplace_back(loop, 1, order);
    child.children.emplace_back(loop, 2, order);
  }
  root.line.cancel();
  CHECK(order == std::vector<int>{0, 1, 1, 2, 2});
  tree again(loop, 7, order);  // and the next cancellation starts afresh
  again.line.cancel();
  CHECK(order.back() == 7);
}

TEST_CASE("a leaf that has left before its turn came is not asked") {
  manual_loop loop;
  scope a(loop), b(loop), parent(loop);
  counting_leaf la, lb;
  a.enter(la);
  b.enter(lb);
  rude r(a, b);
  parent.enter(r);
  parent.cancel();
  CHECK(la.canceled == 0);
  CHECK(lb.canceled == 1);
}

TEST_CASE("a cancellation stays: every later operation in the scope is canceled too") {
  manual_loop loop;
  gate g;
  g.open();  // nobody would have to wait
  int canceled = 0;
  const auto work = [](gate& at, int& n) -> task<> {
    for (int i = 0; i < 3; ++i) {
      try {
        co_await at.wait();
      } catch (const operation_canceled&) {
        ++n;
      }
    }
  };
  manual_loop::root root(loop, work(g, canceled));
  root.line.cancel();
  root.start();
  CHECK(canceled == 0);  // refused, and told so through the queue
  loop.turn();
  CHECK(canceled == 1);
  loop.turn();
  CHECK(canceled == 2);
  loop.run_until_idle();
  CHECK(canceled == 3);
  REQUIRE(root.done());
  root.take();
}

TEST_CASE("a task that swallows a thousand cancellations is reported, once") {
  manual_loop loop;
  gate g;
  const auto stubborn = [](gate& at, int times) -> task<> {
    for (int i = 0; i < times; ++i) {
      try {
        co_await at.wait();
      } catch (...) {
      }
    }
  };
  manual_loop::root patient(loop, stubborn(g, 999));
  patient.line.cancel();
  patient.start();
  loop.run_until_idle();
  CHECK(patient.done());
  CHECK(loop.reports.empty());
  manual_loop::root root(loop, stubborn(g, 5000));
  root.line.cancel();
  root.start();
  loop.run_until_idle();
  CHECK(root.done());
  REQUIRE(loop.reports.size() == 1);
  CHECK(loop.reports[0].first == unhandled_error::kind::ignores_cancellation);
}

TEST_CASE("success beats a cancellation that comes before the waiter was told") {
  manual_loop loop;
  gate g;
  const auto work = [](gate& at) -> task<int> {
    co_await at.wait();
    co_return 1;
  };
  manual_loop::root root(loop, work(g));
  root.start();
  g.open();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  const int n = root.take();
  CHECK(n == 1);
}

TEST_CASE("a canceled line runs its destructors and handlers before it ends") {
  manual_loop loop;
  gate g;
  counts c;
  bool handled = false;
  const auto work = [](gate& at, counts& n, bool& h) -> task<> {
    const tracked t(n);
    try {
      co_await at.wait();
    } catch (const operation_canceled& e) {
      h = std::string_view(e.what()) == "operation canceled" && n.alive == 1;
      throw;
    }
  };
  manual_loop::root root(loop, work(g, c, handled));
  root.start();
  CHECK(c.alive == 1);
  root.line.cancel();
  CHECK(c.alive == 1);  // never from inside cancel
  loop.run_until_idle();
  CHECK(handled);
  CHECK(c.alive == 0);
  CHECK_THROWS_AS(root.take(), operation_canceled);
}

// SPDX-License-Identifier: BSL-1.0
#pragma once

// Tasks that tests of combinators use as children, and how such a test looks at what came of it.

#include <cstddef>
#include <ranges>
#include <string>
#include <type_traits>

#include "support/helpers.hpp"

namespace rondo::test {

/// A single-pass range: no size, and each element is made when it is looked at. Throws where it is
/// told.
template <typename F>
struct pulled : std::ranges::view_base {
  int count;
  F make;
  int throws_at_increment = -1;
  pulled(int n, F f, int t = -1) : count(n), make(f), throws_at_increment(t) {}
  struct sentinel {};
  struct iterator {
    using difference_type = std::ptrdiff_t;
    using value_type = std::invoke_result_t<F&, int>;
    pulled* of = nullptr;
    int at = 0;
    auto operator*() const { return of->make(at); }
    iterator& operator++() {
      if (++at == of->throws_at_increment) throw oops(9);
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(sentinel) const { return at == of->count; }
  };
  iterator begin() { return {this, 0}; }
  sentinel end() const { return {}; }
};

inline task<int> number(int n) { co_return n; }
inline task<> nothing() { co_return; }

/// Notes its name when it starts, and goes on when the gate opens.
inline task<int> step(std::string& log, char name, gate& g) {
  log += name;
  co_await g.wait();
  log += static_cast<char>(name - 'a' + 'A');
  co_return name;
}

inline task<> fails(int n) {
  throw oops(n);
  co_return;
}
inline task<> fails_after(gate& g, int n) {
  co_await g.wait();
  throw oops(n);
}
/// Answers its cancellation with an error of its own.
inline task<> fails_when_canceled(gate& g, int n) {
  try {
    co_await g.wait();
  } catch (const operation_canceled&) {
    throw oops(n);
  }
}
/// Takes a cancellation for a reason to give what it has.
inline task<int> succeeds_when_canceled(gate& g, int n) {
  try {
    co_await g.wait();
  } catch (const operation_canceled&) {
  }
  co_return n;
}

/// The number of the oops that ended a root; -1: it was canceled; 0: neither.
template <typename Root>
int error_of(Root& root) {
  try {
    static_cast<void>(root.take());
  } catch (const oops& e) {
    return e.number;
  } catch (const operation_canceled&) {
    return -1;
  }
  return 0;
}

}  // namespace rondo::test

// SPDX-License-Identifier: BSL-1.0

#include <rondo/detail/ring_buffer.hpp>

#include <deque>
#include <limits>
#include <new>
#include <random>

#include "support/helpers.hpp"

using namespace rondo::test;
using rondo::detail::ring_buffer;

TEST_CASE("a ring buffer does what a deque does, round and round") {
  std::minstd_rand random(1);
  for (const std::size_t capacity : {1U, 2U, 3U, 8U, 100U}) {
    ring_buffer<unsigned> ring(capacity);
    std::deque<unsigned> model;
    for (unsigned i = 0; i < 2000; ++i) {
      if (random() % 2 == 0 && model.size() < capacity) {
        ring.push(unsigned{i});
        model.push_back(i);
      } else if (!model.empty()) {
        const unsigned first = ring.pop();
        CHECK(first == model.front());
        model.pop_front();
        if (random() % 4 == 0) {
          ring.put_back(unsigned{first});
          model.push_front(first);
        }
      }
      CHECK(ring.size() == model.size());
    }
  }
}

TEST_CASE("what comes back makes a ring buffer grow, also one that was made for nothing") {
  ring_buffer<unsigned> ring(0);
  for (unsigned i = 0; i < 20; ++i) ring.put_back(unsigned{i});
  for (unsigned i = 20; i-- > 0;) CHECK(ring.pop() == i);
  CHECK(ring.size() == 0);
}

TEST_CASE("a ring buffer destroys what is in it, and nothing else") {
  counts n;
  {
    ring_buffer<tracked> ring(3);
    for (int i = 0; i < 3; ++i) ring.push(tracked(n, i));
    CHECK(ring.pop().value == 0);
    CHECK(n.alive == 2);
    ring.put_back(tracked(n, 7));
    ring.put_back(tracked(n, 8));  // grows
    CHECK(n.alive == 4);
    CHECK(ring.pop().value == 8);
    CHECK(n.copies == 0);
  }
  CHECK(n.alive == 0);
}

TEST_CASE("a ring buffer that memory is too small for is an error") {
  CHECK_THROWS_AS(ring_buffer<int>(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
}

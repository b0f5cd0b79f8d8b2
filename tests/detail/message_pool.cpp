// SPDX-License-Identifier: BSL-1.0

#include <rondo/detail/message_pool.hpp>

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "support/heap.hpp"
#include "support/helpers.hpp"

using namespace rondo::detail;

namespace {

struct message : made_in_pages<message> {
  explicit message(std::uint64_t n) : number(n) {}
  message* next = nullptr;
  std::uint64_t number;
  std::uint64_t complement = ~number;
};

constexpr std::size_t most_kept = page_stock::most_kept / message_page::alignment;

[[nodiscard]] bool pages_are_counted() { return RONDO_FRAME_POOL && rondo_test::heap_is_counted(); }

}  // namespace

TEST_CASE("messages that are alive do not overlap, in whatever order they are freed") {
  std::vector<message*> alive(1000, nullptr);
  std::uint64_t random = 1;
  bool right = true;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    message*& m = alive[(random >> 33) % alive.size()];
    if (m != nullptr) {
      right = right && m->complement == ~m->number;
      delete std::exchange(m, nullptr);
    } else {
      m = new message(i);
    }
  }
  for (message* m : alive) delete m;
  CHECK(right);
}

TEST_CASE("a message may have any size and alignment") {
  struct alignas(128) wide : made_in_pages<wide> {};
  struct large : made_in_pages<large> {
    char filled[2 * message_page::size] = {};
  };
  bool right = true;
  for (int i = 0; i < 100; ++i) {
    auto* const m = new message(1);
    auto* const w = new wide;
    auto* const l = new large;
    right = right && reinterpret_cast<std::uintptr_t>(w) % alignof(wide) == 0 &&
            l->filled[sizeof l->filled - 1] == 0 && m->complement == ~std::uint64_t{1};
    delete m;
    delete w;
    delete l;
  }
  CHECK(right);
}

TEST_CASE("a page is used again when its last message was freed, and not before") {
  if (!pages_are_counted()) SKIP("needs pages and a counted heap");
  delete new message(0);
  const auto before = rondo_test::allocations();
  auto* const kept = new message(1);
  for (std::uint64_t i = 0; i < 100'000; ++i) delete new message(i);
  const auto for_the_others = rondo_test::allocations() - before;
  CHECK(for_the_others <= 1);
  CHECK(kept->complement == ~std::uint64_t{1});
  delete kept;
}

TEST_CASE("of the pages of a burst, the stock keeps a few MiB") {
  if (!pages_are_counted()) SKIP("needs pages and a counted heap");
  const auto before = rondo_test::live_blocks();
  message* all = nullptr;
  for (std::uint64_t i = 0; i < 1'000'000; ++i) {
    auto* const m = new message(i);
    m->next = std::exchange(all, m);
  }
  const auto during = rondo_test::live_blocks();
  while (all != nullptr) delete std::exchange(all, all->next);
  const auto after = rondo_test::live_blocks();
  CHECK(during > before + 2 * most_kept);
  CHECK(after <= before + most_kept + 1);  // and this thread has one
}

TEST_CASE("a thread that ends leaves its page to the others, also what it makes after that") {
  if (!pages_are_counted()) SKIP("needs pages and a counted heap");
  struct last_words {
    void speak() {}
    ~last_words() {
      for (std::uint64_t i = 0; i < 3; ++i) delete new message(i);
    }
  };
  const auto one_thread = [] {
    std::thread([] {
      static thread_local last_words first_made_last_gone;
      first_made_last_gone.speak();
      delete new message(1);
    }).join();
  };
  one_thread();
  const auto before = rondo_test::live_blocks();
  for (std::size_t i = 0; i <= most_kept; ++i) one_thread();  // the stock hides no loss
  const auto after = rondo_test::live_blocks();
  CHECK(after == before);
}

TEST_CASE("what four threads make, a fifth one frees") {
  constexpr std::uint64_t each = 100'000;
  std::atomic<message*> sent{nullptr};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&sent] {
      for (std::uint64_t i = 0; i < each; ++i) {
        auto* const m = new message(i);
        m->next = sent.load();
        while (!sent.compare_exchange_weak(m->next, m)) {
        }
      }
    });
  }
  std::uint64_t received = 0;
  bool right = true;
  while (received < 4 * each) {
    for (message* m = sent.exchange(nullptr); m != nullptr; ++received) {
      right = right && m->complement == ~m->number;
      delete std::exchange(m, m->next);
    }
  }
  for (auto& t : threads) t.join();
  CHECK(right);
}

// SPDX-License-Identifier: BSL-1.0

// Numbers: a lock-free list of nodes that are there before, so that nothing is allocated, and an
// eventfd that is written only if the loop sleeps. A ping-pong: the eventfd alone. It is polled
// once for all, and never read. The limit.

#include <poll.h>
#include <sys/eventfd.h>

#include <memory>

#include "wake.hpp"

namespace {

class side {
 public:
  side() : wake_(::eventfd(0, EFD_CLOEXEC)) {
    io_uring_prep_poll_multishot(ring_.entry(), wake_, POLLIN);
  }
  ~side() { ::close(wake_); }

  void wake(side& other) {
    const std::uint64_t one = 1;
    bench::check(::write(other.wake_, &one, sizeof one) == sizeof one, "a wake-up");
  }
  void sleep() {
    ring_.turn([](const io_uring_cqe& cqe) {
      bench::check(cqe.res == POLLIN && (cqe.flags & IORING_CQE_F_MORE), "an eventfd is written");
    });
  }
  void settle() {}

 private:
  hand::raw_ring ring_;
  int wake_;
};

struct node {
  node* next;
  int value;
};

struct inbox {
  side loop;
  std::atomic<node*> newest{nullptr};
  std::atomic<bool> asleep{false};

  void send(node& n) {
    n.next = newest.load(std::memory_order_relaxed);
    while (!newest.compare_exchange_weak(n.next, &n)) {
    }
    if (asleep.load() && asleep.exchange(false)) loop.wake(loop);
  }
  /// What has arrived, the newest first; sleeps until there is something.
  node* receive() {
    for (;;) {
      if (node* const all = newest.exchange(nullptr)) return all;
      asleep.store(true);
      // If the sender has seen it, the wake-up is on its way and is to be waited for.
      if (newest.load() == nullptr || !asleep.exchange(false)) loop.sleep();
    }
  }
};

void items(const question::place& place) {
  inbox box;
  const auto nodes = std::make_unique<node[]>(question::items);
  const std::string name = question::name("items", place);
  bench::row row("post", name.c_str(), "raw", question::items);
  while (row.again()) {
    std::thread sender([&] {
      bench::pin_this_thread(place.there);
      for (int i = 0; i < question::items; ++i) {
        nodes[static_cast<std::size_t>(i)].value = i;
        box.send(nodes[static_cast<std::size_t>(i)]);
      }
    });
    long sum = 0;
    for (int received = 0; received < question::items;) {
      for (node* n = box.receive(); n; n = n->next) {
        sum += n->value;
        ++received;
      }
    }
    bench::check(sum == question::sum_to(question::items), "each number, once");
    sender.join();
  }
}

}  // namespace

int main() {
  question::at_each_place(items);
  hand::ping_pong<side>("raw");
}

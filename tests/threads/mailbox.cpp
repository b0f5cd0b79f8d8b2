// SPDX-License-Identifier: BSL-1.0

#include <rondo/threads/mailbox.hpp>

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/heap.hpp"
#include "support/loop_test.hpp"
#include "support/other_loop.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::channel_closed;
using rondo::mailbox;
using rondo::task;

namespace {

template <typename T>
task<> send_one(mailbox<T>& to, T value) {
  co_await to.send(std::move(value));
}
template <typename T>
task<std::optional<T>> receive_one(mailbox<T>& from) {
  co_return co_await from.receive();
}
/// A thread that pushes one value, and whether it blocks.
class pusher {
 public:
  pusher(mailbox<int>& box, int value)
      : thread_([this, &box, value] {
          id_ = ::gettid();
          try {
            box.push(value);
            sent_ = true;
          } catch (const channel_closed& e) {
            refused_ = e.what();
          }
          ended_ = true;
        }) {}
  [[nodiscard]] bool blocks() const {
    if (id_ == 0 || ended_) return false;
    std::ifstream stat("/proc/self/task/" + std::to_string(id_) + "/stat");
    std::string number;
    std::string name;
    std::string state;
    stat >> number >> name >> state;
    return state == "S";
  }
  [[nodiscard]] bool sent() const { return sent_; }
  std::string refused() {
    thread_.join();
    return refused_;
  }

 private:
  std::atomic<pid_t> id_{0};
  std::atomic<bool> sent_{false};
  std::atomic<bool> ended_{false};
  std::string refused_;
  std::jthread thread_;
};

rondo::event_loop& this_loop() { return rondo::event_loop::current(); }

}  // namespace

LOOP_TEST("what threads and tasks send is received in the order in which it was sent") {
  mailbox<int> box(this_loop(), 10);
  std::jthread sender([&] {
    for (int i = 0; i < 100; ++i) box.push(i);
    box.close();
  });
  std::vector<int> all;
  while (const auto n = co_await box.next()) all.push_back(*n);
  std::vector<int> expected;
  for (int i = 0; i < 100; ++i) expected.push_back(i);
  CHECK(all == expected);
  const auto after = co_await box.receive();
  CHECK_FALSE(after.has_value());
}

LOOP_TEST("a task of the mailbox's own loop may send to it") {
  mailbox<std::unique_ptr<int>> box(this_loop(), 1);
  auto both = co_await rondo::when_all(receive_one(box), send_one(box, std::make_unique<int>(3)));
  CHECK(**std::get<0>(both) == 3);
}

LOOP_TEST("tasks of other loops send, and wait for room on their own loop") {
  const other_loop other;
  mailbox<int> box(this_loop(), 1);
  const auto send = [](mailbox<int>& to) -> task<std::thread::id> {
    for (int i = 0; i < 50; ++i) co_await to.send(i);
    to.close();
    co_return std::this_thread::get_id();
  };
  const auto receive = [](mailbox<int>& from) -> task<int> {
    int expected = 0;
    while (const auto n = co_await from.next()) {
      CHECK(*n == expected);
      ++expected;
    }
    co_return expected;
  };
  const auto both = co_await rondo::when_all(rondo::on(other.loop(), send(box)), receive(box));
  CHECK(std::get<0>(both) == other.thread());
  CHECK(std::get<1>(both) == 50);
}

// Room

LOOP_TEST("a full mailbox takes no more, and leaves the value alone") {
  mailbox<std::string> box(this_loop(), 2);
  CHECK(box.capacity() == 2);
  std::string kept = "a long string that is not stored in the object";
  CHECK(box.try_send("one"));
  CHECK(box.try_send(kept));
  CHECK_FALSE(box.try_send(std::move(kept)));
  CHECK(kept == "a long string that is not stored in the object");
  CHECK(box.size() == 2);
  const auto first = co_await box.receive();
  CHECK(*first == "one");
  CHECK(box.try_send(std::move(kept)));
}

LOOP_TEST("those who wait for room get it in the order in which they came, tasks and threads") {
  mailbox<int> box(this_loop(), 1);
  CHECK(box.try_send(0));
  auto first = rondo::spawn(send_one(box, 1));
  co_await rondo::yield();
  const pusher second(box, 2);
  co_await until([&] { return second.blocks(); });
  auto third = rondo::spawn(send_one(box, 3));
  co_await rondo::yield();
  CHECK_FALSE(second.sent());
  std::vector<int> all;
  for (int i = 0; i < 4; ++i) all.push_back((co_await box.receive()).value());
  CHECK(all == std::vector<int>{0, 1, 2, 3});
  co_await first;
  co_await third;
}

LOOP_TEST("a send that is canceled while it waits was not sent, and its room goes to the next") {
  mailbox<int> box(this_loop(), 1);
  CHECK(box.try_send(0));
  auto canceled = rondo::spawn(code_of(send_one(box, 1)));
  auto next = rondo::spawn(send_one(box, 2));
  co_await rondo::yield();
  canceled.cancel();
  const std::error_code code = co_await canceled;
  CHECK(code == rondo::errc::canceled);
  const auto zero = co_await box.receive();
  const auto two = co_await box.receive();
  co_await next;
  CHECK(*zero == 0);
  CHECK(*two == 2);
  CHECK(box.size() == 0);
}

LOOP_TEST("a send that is canceled when room is on its way to it passes that on") {
  mailbox<int> box(this_loop(), 1);
  const other_loop other;
  CHECK(box.try_send(0));
  std::atomic<bool> waits{false};
  // Its loop is kept busy while room is made, so the room arrives after the cancellation.
  const auto send = [](mailbox<int>& to, std::atomic<bool>& w) -> task<std::error_code> {
    auto sending = rondo::spawn(code_of(send_one(to, 1)));
    co_await rondo::yield();
    w = true;
    while (w) std::this_thread::yield();
    sending.cancel();
    co_return co_await sending;
  };
  auto sending = rondo::spawn([](const other_loop& o, task<std::error_code> t)
                                  -> task<std::error_code> {
    co_return co_await rondo::on(o.loop(), std::move(t));
  }, std::cref(other), send(box, waits));
  co_await until([&] { return waits.load(); });
  auto next = rondo::spawn(send_one(box, 2));
  co_await rondo::yield();
  const auto zero = co_await box.receive();
  waits = false;
  const std::error_code code = co_await sending;
  const auto two = co_await box.receive();
  CHECK(code == rondo::errc::canceled);
  CHECK(*zero == 0);
  CHECK(*two == 2);
  co_await next;
}

// Cancellation and races of those who receive

LOOP_TEST("a receive that is canceled takes nothing") {
  mailbox<int> box(this_loop(), 1);
  auto canceled = rondo::spawn(code_of(receive_one(box)));
  co_await rondo::yield();
  canceled.cancel();
  CHECK(box.try_send(1));
  const std::error_code code = co_await canceled;
  const auto one = co_await box.receive();
  CHECK(code == rondo::errc::canceled);
  CHECK(*one == 1);
}

LOOP_TEST("a value that comes back into a full mailbox displaces none") {
  mailbox<int> m(this_loop(), 4);
  for (int i = 0; i < 4; ++i) co_await m.send(i);
  auto fifth = rondo::spawn(send_one(m, 4));
  co_await rondo::yield();
  // The receive takes a value, which makes room for the fifth, and gives it back.
  const auto fail = []() -> task<> {
    throw std::runtime_error("broken");
    co_return;
  };
  const rondo::result<> both = co_await rondo::as_result(
      [](mailbox<int>& from, task<> failing) -> task<> {
        co_await rondo::when_all(from.receive(), std::move(failing));
      }(m, fail()));
  CHECK_FALSE(both.has_value());
  co_await std::move(fifth);
  for (int i = 0; i < 5; ++i) {
    const std::optional<int> got = co_await m.receive();
    CHECK(got == i);
  }
}

LOOP_TEST("of two mailboxes in a race one is taken from") {
  mailbox<int> a(this_loop(), 100);
  mailbox<int> b(this_loop(), 100);
  std::jthread sender([&] {
    for (int i = 0; i < 100; ++i) {
      a.push(i);
      b.push(i);
    }
  });
  int sum = 0;
  for (int i = 0; i < 200; ++i) {
    auto first = co_await rondo::when_any(a.receive(), b.receive());
    sum += std::visit([](const auto& n) { return n.value(); }, first);
  }
  CHECK(sum == 2 * 4950);
  CHECK(a.size() + b.size() == 0);
}

LOOP_TEST("two who race for one mailbox take one value") {
  mailbox<int> box(this_loop(), 2);
  const auto race = [](mailbox<int>& from) -> task<int> {
    auto first = co_await rondo::when_any(from.receive(), from.receive());
    co_return std::visit([](const auto& n) { return n.value(); }, first);
  };
  auto racing = rondo::spawn(race(box));
  co_await rondo::yield();
  CHECK(box.try_send(1));
  CHECK(box.try_send(2));
  const int one = co_await racing;
  const auto two = co_await box.receive();
  CHECK(one == 1);
  CHECK(*two == 2);
}

LOOP_TEST("several tasks receive in the order in which they came") {
  mailbox<int> box(this_loop(), 4);
  auto first = rondo::spawn(receive_one(box));
  auto second = rondo::spawn(receive_one(box));
  co_await rondo::yield();
  for (int i = 1; i <= 3; ++i) CHECK(box.try_send(i));
  const auto third = co_await box.receive();
  const auto one = co_await first;
  const auto two = co_await second;
  CHECK(*one == 1);
  CHECK(*two == 2);
  CHECK(*third == 3);
}

// The end

LOOP_TEST("close ends those who wait on either side, and what was accepted is received first") {
  mailbox<int> full(this_loop(), 1);
  mailbox<int> empty(this_loop(), 1);
  CHECK(full.try_send(1));
  auto sending = rondo::spawn(code_of(send_one(full, 2)));
  auto receiving = rondo::spawn(receive_one(empty));
  pusher blocked(full, 3);
  co_await until([&] { return blocked.blocks(); });
  full.close();
  empty.close();
  const std::error_code code = co_await sending;
  const auto end = co_await receiving;
  const auto accepted = co_await full.receive();
  const auto no_more = co_await full.receive();
  CHECK(code == rondo::errc::closed);
  CHECK_FALSE(blocked.refused().empty());
  CHECK_FALSE(end.has_value());
  CHECK(*accepted == 1);
  CHECK_FALSE(no_more.has_value());
  CHECK(full.closed());
  CHECK_FALSE(full.try_send(4));
  const std::error_code late = co_await code_of(send_one(full, 5));
  CHECK(late == rondo::errc::closed);
}

LOOP_TEST("a mailbox may go while a call to its loop is on the way") {
  for (int i = 0; i < 200; ++i) {
    auto box = std::make_unique<mailbox<int>>(this_loop(), 1);
    auto receiving = rondo::spawn(code_of(receive_one(*box)));
    co_await rondo::yield();
    std::jthread([&] { box->push(1); }).join();
    receiving.cancel();
    const std::error_code code = co_await receiving;
    const bool right = !code || code == rondo::errc::canceled;
    CHECK(right);
    box.reset();
  }
}

// Misuse

LOOP_TEST("a mailbox is emptied by its own loop, and push does not block a loop") {
  const other_loop other;
  mailbox<int> box(this_loop(), 1);
  const std::string elsewhere = co_await words_of(rondo::on(other.loop(), receive_one(box)));
  CHECK(elsewhere == "rondo: a mailbox is emptied by tasks of the loop that it is for");
  std::string pushed;
  try {
    box.push(1);
  } catch (const std::logic_error& e) {
    pushed = e.what();
  }
  CHECK(pushed == "rondo: mailbox::push would block a loop; use co_await send(value)");
  CHECK_THROWS_AS(mailbox<int>(this_loop(), 0), std::invalid_argument);
}

// Many

LOOP_TEST("a million values from four threads arrive, each once, those of one thread in order") {
  mailbox<std::uint32_t> box(this_loop(), 1000);
  constexpr std::uint32_t each = 250'000;
  std::vector<std::jthread> senders;
  for (std::uint32_t t = 0; t < 4; ++t) {
    senders.emplace_back([&box, t] {
      for (std::uint32_t i = 0; i < each; ++i) box.push(t << 24 | i);
    });
  }
  std::array<std::uint32_t, 4> next{};
  bool in_order = true;
  for (std::uint32_t n = 0; n < 4 * each; ++n) {
    const auto value = co_await box.receive();
    in_order = in_order && (*value & 0xffffff) == next[*value >> 24]++;
  }
  CHECK(in_order);
  CHECK(box.size() == 0);
}

LOOP_TEST("in a storm of cancellations what was sent is received, and nothing else") {
  const other_loop one;
  const other_loop two;
  mailbox<int> box(this_loop(), 3);
  const auto storm = [](mailbox<int>& to, int salt) -> task<long> {
    long sent = 0;
    for (int i = 1; i <= 2000; ++i) {
      if ((i * salt) % 3 == 0) {
        const bool gone = co_await rondo::try_for(std::chrono::microseconds(i % 50), to.send(i));
        if (gone) sent += i;
      } else {
        co_await to.send(i);
        sent += i;
      }
    }
    co_return sent;
  };
  const auto gather = [](mailbox<int>& from) -> task<long> {
    long sum = 0;
    for (int i = 0;; ++i) {
      const auto n = co_await rondo::try_for(std::chrono::microseconds(i % 7), from.receive());
      if (!n) continue;
      if (!*n) co_return sum;
      sum += **n;
    }
  };
  auto gathering = rondo::spawn(gather(box));
  const auto sent = co_await rondo::when_all(rondo::on(one.loop(), storm(box, 7)),
                                             rondo::on(two.loop(), storm(box, 11)));
  box.close();
  const long received = co_await gathering;
  CHECK(received == std::get<0>(sent) + std::get<1>(sent));
}

static task<std::size_t> allocations_of_messages() {
  mailbox<int> box(this_loop(), 8);
  const auto rounds = [](mailbox<int>& b, int count) -> task<> {
    for (int i = 0; i < count; ++i) {
      co_await b.send(i);
      co_await b.receive();
      co_await rondo::when_all(b.receive(), b.send(i));
    }
  };
  co_await rounds(box, 10);
  auto many = rounds(box, 100);
  const auto before = rondo_test::allocations();
  co_await std::move(many);
  co_return rondo_test::allocations() - before;
}
ON_BOTH_RINGS("sending and receiving allocate nothing", {
  if (!rondo_test::heap_is_counted() || RONDO_FRAME_POOL == 0) SKIP("needs a counted heap");
  CHECK(rondo::run(allocations_of_messages()) == 0);
})

LOOP_TEST("who sends to a closed mailbox again and again does not keep the others from running") {
  mailbox<int> box(rondo::event_loop::current(), 1);
  box.close();
  bool others_ran = false;
  auto other = rondo::spawn([](bool& ran) -> task<> {
    co_await rondo::yield();
    ran = true;
  }(others_ran));
  int refused = 0;
  while (!others_ran) {
    try {
      co_await box.send(1);
    } catch (const rondo::channel_closed&) {
      ++refused;
    }
  }
  co_await std::move(other);
  CHECK(refused > 0);
}

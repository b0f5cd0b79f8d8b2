// SPDX-License-Identifier: BSL-1.0

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <rondo/core/wait_list.hpp>

#include "support/descriptors.hpp"
#include "support/late_operation.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::oneshot;
using rondo::sleep_for;
using rondo::task;
using std::chrono::steady_clock;

namespace {

/// Calls something that waits again if it was interrupted: a ring that was destroyed a moment ago
/// does that to its thread.
template <typename F>
int uninterrupted(F wait) {
  int result = 0;
  while ((result = wait()) < 0 && errno == EINTR) {
  }
  return result;
}

bool readable_within(int fd, int milliseconds) {
  pollfd asked{fd, POLLIN, 0};
  return uninterrupted([&] { return ::poll(&asked, 1, milliseconds); }) == 1;
}

/// A loop of somebody else: it knows nothing but the descriptor.
class host {
 public:
  explicit host(rondo::event_loop& loop) : loop_(loop), fd_(loop.native_handle()) {}

  /// Waits and calls run_once, until something is true. Fails when nothing comes for long.
  template <typename F>
  bool drive_until(F done) {
    while (!done()) {
      if (!readable_within(fd_, 10'000)) return false;
      ++wake_ups;
      more = loop_.run_once();
    }
    return true;
  }
  /// Whether there is nothing to do for a while.
  [[nodiscard]] bool is_quiet() const { return !readable_within(fd_, 20); }
  /// The same where a thread may have woken the loop in the moment in which it looked outside: the
  /// kernel then tells late what the loop has seen meanwhile.
  [[nodiscard]] bool comes_to_rest() {
    for (int late = 0; late < 3; ++late) {
      if (is_quiet()) return true;
      settle();
    }
    return is_quiet();
  }
  /// Does what there is to do now. An alarm for now may take a moment to ring.
  void settle() {
    while (readable_within(fd_, 3)) {
      ++wake_ups;
      more = loop_.run_once();
    }
  }

  int wake_ups = 0;
  bool more = true;

 private:
  rondo::event_loop& loop_;
  int fd_;
};

task<> reading(int fd, int times, int& got) {
  for (int i = 0; i < times; ++i) {
    char byte = 0;
    got += static_cast<int>(co_await rondo::io::read(fd, rondo::mutable_buffer(&byte, 1)));
  }
}

/// A gate, as locks and channels are made: a list of those who wait.
class gate_of_tasks {
 public:
  class state : public rondo::detail::place_in_list {
   public:
    explicit state(gate_of_tasks& g) noexcept : gate_(g) {}
    bool start(rondo::detail::scope& line, rondo::detail::continuation told) noexcept {
      return line.canceled() ? refuse(line, told) : wait_in(gate_.waiting_, line, told, kind);
    }

   private:
    static constexpr rondo::detail::leaf_kind kind{"gate", &end_canceled};

    gate_of_tasks& gate_;
  };
  class passing : public rondo::detail::only_in_rondo {
   public:
    using state_type = state;
    explicit passing(gate_of_tasks& g) noexcept : gate_(&g) {}
    operator gate_of_tasks&() const noexcept { return *gate_; }

   private:
    gate_of_tasks* gate_;
  };
  passing pass() noexcept { return passing(*this); }
  void open() noexcept { waiting_.wake_all(); }

 private:
  rondo::detail::wait_list waiting_;
};

}  // namespace

TEST_CASE("a loop with nothing to do is quiet from the first") {
  rondo::event_loop loop;
  const int fd = loop.native_handle();
  CHECK(fd >= 0);
  CHECK(loop.native_handle() == fd);
  host h(loop);
  CHECK(h.is_quiet());
  CHECK_FALSE(loop.run_once());
  CHECK(h.is_quiet());
  CHECK(h.wake_ups == 0);
}

TEST_CASE("a completion wakes whoever waits for the descriptor, once") {
  rondo::event_loop loop;
  host h(loop);
  const sockets pair;  // a pipe is read by a thread of the kernel before Linux 6.4: twice awake
  int got = 0;
  auto reader = loop.spawn(reading, pair.a.native_handle(), 10, std::ref(got));
  h.settle();
  CHECK(h.is_quiet());
  h.wake_ups = 0;
  for (int i = 1; i <= 10; ++i) {
    REQUIRE(::write(pair.b.native_handle(), "x", 1) == 1);
    CHECK(h.drive_until([&] { return got == i; }));
    CHECK(h.is_quiet());
  }
  CHECK(reader.done());
  CHECK(h.wake_ups == 10);
  CHECK_FALSE(h.more);
}

TEST_CASE("a completion that is caused by a write to an eventfd is not missed, each time") {
  rondo::event_loop loop;
  host h(loop);
  const rondo::descriptor event(::eventfd(0, EFD_CLOEXEC));
  constexpr int times = 20;
  int got = 0;
  auto reader = loop.spawn([&]() -> task<> {
    for (int i = 0; i < times; ++i) {
      std::uint64_t count = 0;
      co_await rondo::io::read(event.native_handle(),
                               rondo::mutable_buffer(&count, sizeof count));
      got += static_cast<int>(count);
    }
  });
  h.settle();
  for (int i = 1; i <= times; ++i) {
    const std::uint64_t one = 1;
    REQUIRE(::write(event.native_handle(), &one, sizeof one) == sizeof one);
    CHECK(h.drive_until([&] { return got == i; }));
  }
  CHECK(reader.done());
  CHECK(h.wake_ups <= 2 * times + 2);
}

TEST_CASE("a completion that comes from another thread is not missed") {
  rondo::event_loop loop;
  host h(loop);
  const pipe_ends there;
  const pipe_ends back;
  constexpr int times = 2000;
  const auto answering = [](int from, int to) -> task<> {
    for (int i = 0; i < times; ++i) {
      char byte = 0;
      co_await rondo::io::read(from, rondo::mutable_buffer(&byte, 1));
      co_await rondo::io::write(to, std::string_view(&byte, 1));
    }
  };
  auto server = loop.spawn(answering, there.out(), back.in());
  std::atomic<bool> right{true};
  std::thread client([&] {
    for (int i = 0; i < times; ++i) {
      char byte = 'x';
      if (::write(there.in(), &byte, 1) != 1 || ::read(back.out(), &byte, 1) != 1) right = false;
    }
  });
  CHECK(h.drive_until([&] { return server.done(); }));
  client.join();
  CHECK(right);
  CHECK(h.wake_ups <= 3 * times + 10);  // the read, the write, and one to spare
}

TEST_CASE("a timer wakes whoever waits for the descriptor, when it is due") {
  rondo::event_loop loop;
  host h(loop);
  const auto begin = steady_clock::now();
  auto sleeper = loop.spawn([]() -> task<> {
    co_await sleep_for(30ms);
    co_await sleep_for(30ms);
  });
  h.settle();
  h.wake_ups = 0;
  CHECK(h.drive_until([&] { return sleeper.done(); }));
  CHECK(steady_clock::now() - begin >= 60ms);
  CHECK(h.wake_ups == 2);
  CHECK(h.is_quiet());
}

TEST_CASE("the earliest of many timers counts, also when it comes last or is canceled") {
  rondo::event_loop loop;
  host h(loop);
  auto late = loop.spawn(for_ever());
  h.settle();
  auto early = loop.spawn([]() -> task<> { co_await sleep_for(20ms); });
  auto never = loop.spawn([]() -> task<> { co_await sleep_for(10ms); });
  h.settle();
  never.cancel();
  h.settle();
  CHECK(never.done());
  h.wake_ups = 0;
  const auto begin = steady_clock::now();
  CHECK(h.drive_until([&] { return early.done(); }));
  CHECK(h.wake_ups <= 2);  // the alarm of the canceled one may ring
  CHECK(steady_clock::now() - begin < 5s);
  CHECK(h.is_quiet());
  late.cancel();
  CHECK(h.drive_until([&] { return late.done(); }));
}

TEST_CASE("a limit that is moved between turns wakes whoever waits for the descriptor in time") {
  rondo::event_loop loop;
  host h(loop);
  rondo::timeout_scope* moved = nullptr;
  auto limited = loop.spawn([&]() -> task<> {
    const auto body = [&](rondo::timeout_scope& limit) -> task<> {
      moved = &limit;
      co_await for_ever();
    };
    const std::error_code code = co_await code_of(rondo::with_timeout(24h, body));
    CHECK(code == std::errc::timed_out);
  });
  h.settle();
  REQUIRE(moved != nullptr);
  moved->reschedule(steady_clock::now() + 1ms);
  CHECK(h.drive_until([&] { return limited.done(); }));
}

TEST_CASE("what is posted wakes whoever waits for the descriptor") {
  rondo::event_loop loop;
  host h(loop);
  int ran = 0;
  SECTION("by this thread") {
    for (int i = 1; i <= 10; ++i) {
      loop.post([&] { ++ran; });
      CHECK(h.drive_until([&] { return ran == i; }));
      CHECK(h.is_quiet());
    }
    CHECK(h.wake_ups <= 20);
  }
  SECTION("by other threads, all the time") {
    constexpr int each = 20'000;
    const auto post = [&] {
      for (int i = 0; i < each; ++i) {
        loop.post([&] { ++ran; });
        if (i % 100 == 0) std::this_thread::sleep_for(10us);
      }
    };
    std::thread a(post);
    std::thread b(post);
    CHECK(h.drive_until([&] { return ran == 2 * each; }));
    a.join();
    b.join();
    CHECK(h.comes_to_rest());
  }
  SECTION("one at a time, so that each has to wake a sleeper") {
    std::atomic<int> done{0};
    std::thread other([&] {
      for (int i = 1; i <= 5000; ++i) {
        loop.post([&] { done = ++ran; });
        while (done != i) std::this_thread::yield();
      }
    });
    CHECK(h.drive_until([&] { return ran == 5000; }));
    other.join();
  }
}

TEST_CASE("what is spawned between turns wakes whoever waits for the descriptor") {
  rondo::event_loop loop;
  host h(loop);
  for (int i = 0; i < 10; ++i) {
    bool ran = false;
    auto handle = loop.spawn([](bool& flag) -> task<> {
      flag = true;
      co_return;
    }, std::ref(ran));
    CHECK(h.drive_until([&] { return ran; }));
    CHECK(handle.done());
    CHECK(h.is_quiet());
  }
  CHECK(h.wake_ups == 10);
}

TEST_CASE("what is canceled between turns ends") {
  rondo::event_loop loop;
  host h(loop);
  const pipe_ends pipe;
  int got = 0;
  auto sleeper = loop.spawn(for_ever());
  auto reader = loop.spawn(reading, pipe.out(), 1, std::ref(got));
  auto waiter = loop.spawn([&]() -> task<> { co_await reader.wait(); });
  h.settle();
  CHECK(h.is_quiet());
  sleeper.cancel();
  CHECK(h.drive_until([&] { return sleeper.done(); }));
  CHECK(h.is_quiet());
  CHECK(h.more);
  reader.cancel();
  CHECK(h.drive_until([&] { return waiter.done(); }));
  CHECK(reader.done());
  CHECK(got == 0);
  h.settle();
  CHECK_FALSE(h.more);
  CHECK(h.is_quiet());
}

namespace {

struct poll_of_ours : rondo::detail::in_flight {
  poll_of_ours() noexcept : in_flight(kind) {}
  bool ended = false;

 private:
  static void completed(in_flight& self, int, std::uint32_t) noexcept {
    self.unlink();
    static_cast<poll_of_ours&>(self).ended = true;
  }
  static constexpr rondo::detail::flight_kind kind{{}, &completed};
};

}  // namespace

TEST_CASE("an operation that is nobody's task is canceled between turns") {
  rondo::event_loop loop;
  host h(loop);
  const pipe_ends pipe;
  poll_of_ours p;
  io_uring_sqe* const entry = loop.reserve();
  REQUIRE(entry != nullptr);
  io_uring_prep_poll_add(entry, pipe.out(), POLLIN);
  loop.launch(*entry, p);
  loop.run_once();
  CHECK(h.is_quiet());
  loop.cancel(p);
  CHECK(h.drive_until([&] { return p.ended; }));
}

TEST_CASE("whoever waits in a list is woken between turns, and the host is, too") {
  rondo::event_loop loop;
  host h(loop);
  gate_of_tasks g;
  const auto passes = [](gate_of_tasks& closed) -> task<> { co_await closed.pass(); };
  auto one = loop.spawn(passes, std::ref(g));
  auto other = loop.spawn(passes, std::ref(g));
  h.settle();
  CHECK(h.is_quiet());
  g.open();
  CHECK(h.drive_until([&] { return one.done() && other.done(); }));
  CHECK(h.is_quiet());
  g.open();  // nobody waits
  CHECK(h.is_quiet());
}

TEST_CASE("a oneshot that is set between turns wakes whoever waits for the descriptor") {
  rondo::event_loop loop;
  host h(loop);
  const oneshot<int> first;
  const oneshot<int> second;
  int sum = 0;
  auto waiter = loop.spawn([&]() -> task<> {
    sum += co_await first.wait();
    sum += co_await second.wait();
  });
  h.settle();
  first.set_value(1);
  CHECK(h.drive_until([&] { return sum == 1; }));
  CHECK(h.is_quiet());
  std::thread other([&] { second.set_value(2); });
  CHECK(h.drive_until([&] { return waiter.done(); }));
  other.join();
  CHECK(sum == 3);
}

TEST_CASE("a thread's result wakes whoever waits for the descriptor") {
  rondo::event_loop loop;
  host h(loop);
  int got = 0;
  auto asking = loop.spawn([&]() -> task<> {
    for (int i = 0; i < 50; ++i) got += co_await rondo::to_thread([] { return 1; });
  });
  CHECK(h.drive_until([&] { return asking.done(); }));
  CHECK(got == 50);
  CHECK(h.wake_ups <= 4 * 50 + 10);
  CHECK(h.comes_to_rest());
}

TEST_CASE("a task that always has something to do shares the loop with whoever drives it") {
  rondo::event_loop loop;
  host h(loop);
  const pipe_ends pipe;
  bool stop = false;
  int got = 0;
  auto busy = loop.spawn([&]() -> task<> {
    while (!stop) co_await rondo::yield();
  });
  auto reader = loop.spawn(reading, pipe.out(), 1, std::ref(got));
  int turns = 0;
  CHECK(h.drive_until([&] { return ++turns > 100; }));
  REQUIRE(::write(pipe.in(), "x", 1) == 1);
  CHECK(h.drive_until([&] { return reader.done(); }));
  stop = true;
  CHECK(h.drive_until([&] { return busy.done(); }));
  h.settle();
  CHECK(h.is_quiet());
}

TEST_CASE("more operations than the queue holds, driven from outside") {
  rondo::loop_options options;
  options.entries = 4;
  rondo::event_loop loop(options);
  host h(loop);
  std::vector<std::unique_ptr<pipe_ends>> pipes;
  std::vector<rondo::join_handle<>> readers;
  int got = 0;
  for (int i = 0; i < 100; ++i) {
    pipes.push_back(std::make_unique<pipe_ends>());
    readers.push_back(loop.spawn(reading, pipes.back()->out(), 1, std::ref(got)));
  }
  h.settle();
  CHECK(h.is_quiet());
  for (int i = 0; i < 50; ++i) {
    REQUIRE(::write(pipes[static_cast<std::size_t>(i)]->in(), "x", 1) == 1);
  }
  CHECK(h.drive_until([&] { return got == 50; }));
  for (auto& r : readers) r.cancel();
  CHECK(h.drive_until([&] { return !h.more; }));
  CHECK(got == 50);
  CHECK(h.is_quiet());
}

TEST_CASE("a random mixture, driven from outside, misses nothing") {
  rondo::event_loop loop;
  host h(loop);
  std::atomic<int> ended{0};
  const auto body = [](std::atomic<int>& count, unsigned random) -> task<> {
    for (int i = 0; i < 20; ++i) {
      random = random * 1664525 + 1013904223;
      const unsigned what = (random >> 16) % 5;
      if (what == 0) co_await sleep_for(std::chrono::microseconds(random % 2000));
      if (what == 1) co_await rondo::to_thread([] {});
      if (what == 2) co_await rondo::io::nop();
      if (what == 3) co_await yields(3);
      if (what == 4) {
        const pipe_ends pipe;
        char byte = 0;
        static_cast<void>(co_await rondo::try_for(
            1ms, rondo::io::read(pipe.out(), rondo::mutable_buffer(&byte, 1))));
      }
    }
    ++count;
  };
  for (unsigned i = 0; i < 50; ++i) static_cast<void>(loop.spawn(body, std::ref(ended), i));
  CHECK(h.drive_until([&] { return ended == 50; }));
  h.settle();
  CHECK_FALSE(h.more);
  CHECK(h.comes_to_rest());
}

TEST_CASE("the descriptor works with select and epoll, and inside another loop") {
  rondo::event_loop loop;
  const int fd = loop.native_handle();
  const sockets pair;
  int got = 0;
  auto reader = loop.spawn(reading, pair.a.native_handle(), 1, std::ref(got));
  while (readable_within(fd, 3)) loop.run_once();
  REQUIRE(::write(pair.b.native_handle(), "x", 1) == 1);
  SECTION("select") {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    timeval limit{10, 0};
    CHECK(uninterrupted([&] { return ::select(fd + 1, &set, nullptr, nullptr, &limit); }) == 1);
  }
  SECTION("epoll, level- and edge-triggered") {
    for (const unsigned trigger : {0U, static_cast<unsigned>(EPOLLET)}) {
      const rondo::descriptor outer(::epoll_create1(EPOLL_CLOEXEC));
      epoll_event event{};
      event.events = EPOLLIN | trigger;
      REQUIRE(::epoll_ctl(outer.native_handle(), EPOLL_CTL_ADD, fd, &event) == 0);
      const int n = uninterrupted(
          [&] { return ::epoll_wait(outer.native_handle(), &event, 1, 10'000); });
      CHECK(n == 1);
    }
  }
  SECTION("another loop, on another thread") {
    short events = 0;
    std::thread([&] { events = rondo::run(rondo::poll(fd, POLLIN)); }).join();
    CHECK((events & POLLIN) != 0);
  }
  loop.run_once();
  CHECK(got == 1);
  CHECK(reader.done());
}

TEST_CASE("an edge-triggered host is woken for everything that comes after its turn") {
  rondo::event_loop loop;
  const int fd = loop.native_handle();
  const rondo::descriptor outer(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  REQUIRE(::epoll_ctl(outer.native_handle(), EPOLL_CTL_ADD, fd, &event) == 0);
  constexpr int times = 500;
  const pipe_ends pipe;
  int got = 0;
  int posts = 0;
  auto reader = loop.spawn(reading, pipe.out(), times, std::ref(got));
  auto sleeper = loop.spawn([]() -> task<> {
    for (int i = 0; i < times; ++i) co_await sleep_for(100us);
  });
  std::atomic<bool> right{true};
  std::thread other([&] {
    for (int i = 0; i < times; ++i) {
      if (::write(pipe.in(), "x", 1) != 1) right = false;
      loop.post([&] { ++posts; });
      std::this_thread::sleep_for(50us);
    }
  });
  bool hung = false;
  while (!hung && !(got == times && posts == times && sleeper.done())) {
    const int n =
        uninterrupted([&] { return ::epoll_wait(outer.native_handle(), &event, 1, 10'000); });
    hung = n != 1;
    loop.run_once();
  }
  other.join();
  CHECK(right);
  CHECK_FALSE(hung);
  CHECK(reader.done());
}

TEST_CASE("a loop may be driven from outside, run, and driven again") {
  rondo::event_loop loop;
  host h(loop);
  const pipe_ends pipe;
  int got = 0;
  auto first = loop.spawn(reading, pipe.out(), 1, std::ref(got));
  h.settle();
  const auto nap = [] { std::this_thread::sleep_for(5ms); };
  loop.run(rondo::to_thread(nap));  // sleeps by itself again; cancels what is left
  CHECK(first.done());
  CHECK(h.comes_to_rest());
  const auto root = [](rondo::event_loop& l) -> task<int> {
    const int inside = l.native_handle();
    co_await rondo::yield();
    co_return inside;
  };
  CHECK(loop.run(root(loop)) == loop.native_handle());
  auto second = loop.spawn(reading, pipe.out(), 1, std::ref(got));
  CHECK(h.comes_to_rest());
  REQUIRE(::write(pipe.in(), "x", 1) == 1);
  CHECK(h.drive_until([&] { return second.done(); }));
  CHECK(got == 1);
}

TEST_CASE("a descriptor that is first asked for by a task works when the loop has come to rest") {
  rondo::event_loop loop;
  const auto asks = [](rondo::event_loop& l) -> task<int> { co_return l.native_handle(); };
  const int fd = loop.run(asks(loop));
  host h(loop);
  CHECK(loop.native_handle() == fd);
  CHECK(h.is_quiet());
  auto sleeper = loop.spawn([]() -> task<> { co_await sleep_for(1ms); });
  CHECK(h.drive_until([&] { return sleeper.done(); }));
}

TEST_CASE("native_handle binds the loop to its thread") {
  rondo::event_loop loop;
  int there = -1;
  std::thread([&] { there = loop.native_handle(); }).join();
  CHECK(there >= 0);
  CHECK_THROWS_AS(loop.native_handle(), std::logic_error);
  CHECK_THROWS_AS(loop.run_once(), std::logic_error);
}

TEST_CASE("the descriptor is the loop's, and is closed with it") {
  const auto before = rondo_test::open_descriptors();
  for (int i = 0; i < 100; ++i) {
    rondo::event_loop loop;
    host h(loop);
    static_cast<void>(loop.spawn(for_ever()));
    h.settle();
  }
  CHECK(rondo_test::open_descriptors() == before);
}

TEST_CASE("a thread that a cancellation has met too early is told again while somebody else waits") {
  const late_operation known;
  rondo::event_loop loop;
  host h(loop);
  auto late = loop.spawn([]() -> task<> { co_await rondo::io::operation(late_operation::op()); });
  while (!known.began()) h.settle();
  late.cancel();
  CHECK(h.drive_until([&] { return late.done(); }));
}

TEST_CASE("without a free descriptor native_handle says so, and the loop goes on without") {
  const int status = in_child([] {
    rondo::event_loop loop;
    loop.run(rondo::yield());
    rlimit usual{};
    ::getrlimit(RLIMIT_NOFILE, &usual);
    const rlimit none{0, usual.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
    try {
      static_cast<void>(loop.native_handle());
      return 1;
    } catch (const std::system_error& e) {
      ::setrlimit(RLIMIT_NOFILE, &usual);  // checking tools need descriptors, too
      if (e.code() != std::errc::too_many_files_open) return 2;
      if (std::string(e.what()).find("ulimit -n") == std::string::npos) return 3;
    }
    loop.run(sleep_for(1ms));
    return loop.native_handle() >= 0 ? 7 : 4;
  });
  CHECK(exited_with(status, 7));
}

TEST_CASE("with virtual time the descriptor is readable when time may jump") {
  rondo::loop_options options = rondo::loop_options::virtual_time();
  options.virtual_grace = 30ms;
  rondo::event_loop loop(options);
  host h(loop);
  const auto begin = loop.now();
  SECTION("at once, if there are only timers") {
    auto sleeper = loop.spawn([]() -> task<> {
      for (int i = 0; i < 3; ++i) co_await sleep_for(1h);
    });
    CHECK(h.drive_until([&] { return sleeper.done(); }));
    CHECK(loop.now() == begin + 3h);
    CHECK(h.wake_ups <= 5);
  }
  SECTION("after the grace, if something is in flight that may wait for ever") {
    const pipe_ends pipe;
    int got = 0;
    const auto started = steady_clock::now();
    auto limited = loop.spawn([&]() -> task<> {
      const bool read = co_await rondo::try_for(1h, reading(pipe.out(), 1, got));
      CHECK_FALSE(read);
    });
    CHECK(h.drive_until([&] { return limited.done(); }));
    CHECK(steady_clock::now() - started >= 30ms);
    CHECK(loop.now() == begin + 1h);
    CHECK(h.wake_ups <= 6);
  }
  SECTION("not before it has ended, if a thread is at work") {
    auto both = loop.spawn([&]() -> task<> {
      const auto nap = [] { std::this_thread::sleep_for(60ms); };
      const auto first = co_await rondo::when_any(sleep_for(1ns), rondo::to_thread(nap));
      CHECK(first.index() == 1);
    });
    CHECK(h.drive_until([&] { return both.done(); }));
    CHECK(loop.now() == begin);
    CHECK(h.wake_ups <= 5);
  }
  CHECK(h.comes_to_rest());
}

ON_BOTH_RINGS("a number that is closed and given out again behind the loop's back wakes the host", {
  rondo::event_loop loop;
  host h(loop);
  int number = -1;
  int writer = -1;
  const auto renew = [&] {
    int ends[2];
    if (number >= 0) ::close(number);
    REQUIRE(::pipe(ends) == 0);
    if (number >= 0 && ends[0] != number) {
      REQUIRE(::dup2(ends[0], number) == number);
      ::close(ends[0]);
      ends[0] = number;
    }
    number = ends[0];
    if (writer >= 0) ::close(writer);
    writer = ends[1];
  };
  for (int life = 0; life < 3; ++life) {
    renew();
    std::array<char, 1> byte{};
    auto reading = loop.spawn([](int fd, std::array<char, 1>& to) -> task<std::size_t> {
      co_return co_await rondo::io::read(fd, to);
    }, number, std::ref(byte));
    h.settle();
    CHECK_FALSE(reading.done());
    REQUIRE(::write(writer, "x", 1) == 1);
    REQUIRE(h.drive_until([&] { return reading.done(); }));
    CHECK(byte[0] == 'x');
  }
  ::close(number);
  ::close(writer);
})

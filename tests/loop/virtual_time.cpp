// SPDX-License-Identifier: BSL-1.0

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <rondo/loop/loop_clock.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::interval;
using rondo::loop_options;
using rondo::oneshot;
using rondo::sleep_for;
using rondo::sleep_until;
using rondo::task;
using rondo::time_point;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

namespace {

loop_options with_grace(nanoseconds grace) {
  loop_options options = loop_options::virtual_time();
  options.virtual_grace = grace;
  return options;
}

/// How long something really takes.
template <typename F>
nanoseconds real_time_of(F f) {
  const auto begin = steady_clock::now();
  f();
  return steady_clock::now() - begin;
}

/// The longest of a few tries: a ring that was destroyed a moment ago interrupts its thread's sleep.
template <typename F>
nanoseconds longest_real_time_of(F f) {
  return std::max({real_time_of(f), real_time_of(f), real_time_of(f)});
}

using moments = std::vector<nanoseconds>;

task<> noting(moments& log, time_point begin, nanoseconds duration) {
  co_await sleep_for(duration);
  log.push_back(now() - begin);
}

/// Neither a timer nor anything in flight will ever wake it.
task<> until_the_end_of_time() { co_await sleep_until(time_point::max()); }

task<std::size_t> reading_a_byte(int fd) {
  char byte = 0;
  co_return co_await rondo::io::read(fd, rondo::mutable_buffer(&byte, 1));
}

/// For another thread: what a loop reads comes after a moment of real time.
void write_late(const pipe_ends& pipe) {
  std::this_thread::sleep_for(20ms);
  if (::write(pipe.in(), "x", 1) != 1) std::terminate();
}

/// Goes on after a moment of real time, on another thread. Is joined by its destructor.
struct elsewhere {
  explicit elsewhere(std::chrono::milliseconds t) noexcept : takes(t) {}
  elsewhere(elsewhere&&) noexcept = default;
  ~elsewhere() {
    if (thread.joinable()) thread.join();
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    std::thread([h, t = takes] {
      std::this_thread::sleep_for(t);
      h.resume();
    }).swap(thread);
  }
  void await_resume() const noexcept {}
  std::chrono::milliseconds takes;
  std::thread thread;
};

std::string words_of_deadlock(const std::function<void()>& f) {
  try {
    f();
  } catch (const rondo::deadlock_error& e) {
    return e.what();
  }
  return "no deadlock";
}

const std::string deadlock =
    "rondo: deadlock: nothing is in flight and no timer is armed; waiting for ever: the root";

/// Whether the loop knows that nothing is going on any more.
template <typename A>
void check_that_nothing_is_left_of(A what) {
  const auto root = [](A first) -> task<> {
    co_await std::move(first);
    co_await until_the_end_of_time();
  };
  rondo::event_loop loop(with_grace(0ns));
  const std::string words = words_of_deadlock([&] { loop.run(root(std::move(what))); });
  CHECK(words == deadlock);
}

}  // namespace

// What time it is

VIRTUAL_TEST("a sleep takes exactly as long as asked") {
  const time_point begin = now();
  time_point expected = begin;
  for (const nanoseconds d : {nanoseconds(1), nanoseconds(1h), nanoseconds(7us)}) {
    co_await sleep_for(d);
    expected += d;
    CHECK(now() == expected);
  }
  co_await sleep_until(begin + 24h * 1000);
  CHECK(now() - begin == 24h * 1000);
}

VIRTUAL_TEST("sleepers wake in order of their deadlines, each at its own") {
  moments log;
  const time_point begin = now();
  std::vector<task<>> sleepers;
  for (const auto d : {5ns, 1ns, 4ns, 2ns, 3ns, 2ns}) sleepers.push_back(noting(log, begin, d));
  co_await rondo::when_all(std::move(sleepers));
  CHECK(log == moments{1ns, 2ns, 2ns, 3ns, 4ns, 5ns});
}

TEST_CASE("an hour of sleeps takes no time, and no system call") {
  const auto root = []() -> task<> {
    auto& loop = rondo::event_loop::current();
    co_await sleep_for(1s);
    const auto calls = loop.stats().system_calls;
    for (int i = 1; i < 3600; ++i) co_await sleep_for(1s);
    CHECK(loop.stats().system_calls == calls);
  };
  rondo::event_loop loop(with_grace(1h));
  const time_point begin = loop.now();
  const nanoseconds took = real_time_of([&] { loop.run(root()); });
  CHECK(loop.now() - begin == 1h);
  CHECK(took < 30s);
}

VIRTUAL_TEST("computing takes no time") {
  const time_point begin = now();
  const auto end = steady_clock::now() + 3ms;
  while (steady_clock::now() < end) {
  }
  co_await rondo::yield();
  CHECK(now() == begin);
  co_await sleep_for(1ms);
  CHECK(now() == begin + 1ms);
}

TEST_CASE("virtual time begins at the steady clock's, when the loop is made") {
  const auto before = steady_clock::now();
  rondo::event_loop loop(loop_options::virtual_time());
  const auto after = steady_clock::now();
  const time_point begin = loop.now();
  CHECK(begin >= before);
  CHECK(begin <= after);
  std::this_thread::sleep_for(2ms);
  loop.run(rondo::yield());
  CHECK(loop.now() == begin);
}

TEST_CASE("time goes on from run to run, and is another loop's own") {
  rondo::event_loop loop(loop_options::virtual_time());
  rondo::event_loop other(loop_options::virtual_time());
  const time_point begin = loop.now();
  const time_point there = other.now();
  for (int i = 1; i <= 3; ++i) {
    loop.run(sleep_for(1h));
    CHECK(loop.now() - begin == i * 1h);
  }
  CHECK(other.now() == there);
}

TEST_CASE("a loop with the steady clock is not told that time is virtual") {
  CHECK(loop_options().clock == rondo::clock::steady);
  CHECK(loop_options::virtual_time().clock == rondo::clock::virtual_time);
  CHECK(loop_options::virtual_time().virtual_grace == 5ms);
  const nanoseconds took = real_time_of([] { rondo::run(sleep_for(5ms)); });
  CHECK(took >= 5ms);
}

VIRTUAL_TEST("whoever yields keeps time from passing") {
  const time_point begin = now();
  bool woke = false;
  auto sleeper = rondo::spawn([](bool& flag) -> task<> {
    co_await sleep_for(1ns);
    flag = true;
  }, std::ref(woke));
  co_await yields(1000);
  CHECK(!woke);
  CHECK(now() == begin);
  co_await sleeper;
  CHECK(now() == begin + 1ns);
}

// Intervals and limits

VIRTUAL_TEST("an interval ticks at exact moments") {
  const time_point begin = now();
  interval ticks(1min);
  for (int i = 1; i <= 100; ++i) {
    const auto tick = co_await ticks.next();
    CHECK(*tick == begin + i * 1min);
    CHECK(now() == *tick);
  }
  interval at_once = interval::starting_now(1h);
  const auto first = co_await at_once.next();
  CHECK(*first == begin + 100min);
  CHECK(now() == begin + 100min);
}

VIRTUAL_TEST("missed ticks come as they are told to, exactly") {
  const time_point begin = now();
  moments log;
  const auto note = [&](std::optional<time_point> tick) {
    log.push_back(*tick - begin);
    log.push_back(now() - begin);
  };
  interval burst(10s);
  interval delay(10s, rondo::missed_ticks::delay);
  interval skip(10s, rondo::missed_ticks::skip);
  co_await sleep_for(35s);
  for (int i = 0; i < 4; ++i) note(co_await burst.next());
  CHECK(log == moments{10s, 35s, 20s, 35s, 30s, 35s, 40s, 40s});
  log.clear();
  for (int i = 0; i < 2; ++i) note(co_await delay.next());
  CHECK(log == moments{10s, 40s, 50s, 50s});
  log.clear();
  for (int i = 0; i < 2; ++i) note(co_await skip.next());
  CHECK(log == moments{10s, 50s, 60s, 60s});
}

TEST_CASE("an interval that is made before the loop runs goes by the steady clock") {
  rondo::event_loop loop(loop_options::virtual_time());
  const auto before = steady_clock::now();
  interval ticks(1h);
  const auto after = steady_clock::now();
  const auto root = [](interval& i) -> task<time_point> { co_return *co_await i.next(); };
  const time_point tick = loop.run(root(ticks));
  CHECK(tick >= before + 1h);
  CHECK(tick <= after + 1h);
  CHECK(loop.now() == tick);
}

VIRTUAL_TEST("a limit ends what it limits at its moment, and not before") {
  const time_point begin = now();
  const auto in_time = co_await rondo::try_for(1h, sleep_for(1h - 1ns));
  CHECK(in_time);
  CHECK(now() == begin + 1h - 1ns);
  const auto late = co_await rondo::try_for(1h, sleep_for(1h + 1ns));
  CHECK_FALSE(late);
  CHECK(now() == begin + 2h - 1ns);

  const auto limited = [](nanoseconds limit, nanoseconds takes) -> task<std::error_code> {
    return code_of(rondo::with_timeout(limit, sleep_for(takes)));
  };
  const std::error_code expired = co_await limited(1s, 1min);
  CHECK(expired == std::errc::timed_out);
  CHECK(now() == begin + 2h - 1ns + 1s);
  const std::error_code deadline =
      co_await code_of(rondo::with_deadline(begin + 3h, until_the_end_of_time()));
  CHECK(deadline == std::errc::timed_out);
  CHECK(now() == begin + 3h);
}

VIRTUAL_TEST("of two limits the shorter one counts, and a limit that is moved counts where it is") {
  const time_point begin = now();
  const auto inner = co_await rondo::try_for(2s, rondo::try_for(1s, until_the_end_of_time()));
  CHECK(inner.has_value());
  CHECK(now() == begin + 1s);
  const auto outer = co_await rondo::try_for(1s, rondo::try_for(2s, until_the_end_of_time()));
  CHECK_FALSE(outer.has_value());
  CHECK(now() == begin + 2s);

  const auto moving = [](rondo::timeout_scope& limit) -> task<> {
    CHECK(limit.deadline() == now() + 1min);
    co_await sleep_for(59s);
    limit.reschedule(now() + 1h);
    co_await sleep_for(2h);
  };
  const std::error_code code = co_await code_of(rondo::with_timeout(1min, moving));
  CHECK(code == std::errc::timed_out);
  CHECK(now() == begin + 2s + 59s + 1h);
}

VIRTUAL_TEST("what is canceled ends at the moment of its cancellation") {
  const time_point begin = now();
  moments log;
  const auto guarded = [](moments& l, time_point b) -> task<> {
    try {
      co_await sleep_for(24h);
    } catch (const rondo::operation_canceled&) {
      l.push_back(now() - b);
      throw;
    }
  };
  co_await rondo::when_any(sleep_for(3s), guarded(log, begin), guarded(log, begin));
  CHECK(log == moments{3s, 3s});
  CHECK(now() == begin + 3s);
  auto handle = rondo::spawn(guarded(log, begin));
  co_await sleep_for(1s);
  handle.cancel();
  co_await handle.wait();
  CHECK(log.back() == 4s);
  CHECK(now() == begin + 4s);
}

// What keeps time from passing

TEST_CASE("time does not pass while a thread works for a task") {
  const auto root = []() -> task<> {
    const time_point begin = now();
    const auto work = [] {
      std::this_thread::sleep_for(30ms);
      return 7;
    };
    const auto first = co_await rondo::when_any(sleep_for(1ns), rondo::to_thread(work));
    CHECK(first.index() == 1);
    CHECK(now() == begin);
    co_await rondo::when_all(rondo::to_thread(work), sleep_for(1h));
    CHECK(now() == begin + 1h);
  };
  rondo::run(root(), with_grace(0ns));
}

TEST_CASE("a limit that is moved into the past counts at once, also while time stands still") {
  struct state {
    rondo::timeout_scope* limit = nullptr;
    std::atomic<bool> thread_begun{false};
    std::atomic<bool> thread_ended{false};
    bool canceled_before = false;
  };
  const auto notices = [](state& s) -> task<> {
    try {
      co_await sleep_for(1h);
    } catch (const rondo::operation_canceled&) {
      s.canceled_before = !s.thread_ended;
      throw;
    }
  };
  const auto works = [](state& s) -> task<> {
    co_await rondo::to_thread([&s] {
      s.thread_begun = true;
      std::this_thread::sleep_for(100ms);
      s.thread_ended = true;
    });
  };
  const auto root = [notices, works](state& s) -> task<> {
    const auto body = [&s, notices, works](rondo::timeout_scope& limit) -> task<> {
      s.limit = &limit;
      co_await rondo::when_all(notices(s), works(s));
    };
    auto limited = rondo::spawn(code_of(rondo::with_timeout(1h, body)));
    while (!s.thread_begun) co_await rondo::yield();
    s.limit->reschedule(now() - 1h);
    const std::error_code code = co_await limited;
    CHECK(code == std::errc::timed_out);
  };
  state s;
  rondo::run(root(s), loop_options::virtual_time());
  CHECK(s.canceled_before);
  CHECK(s.thread_ended);
}

TEST_CASE("time does not pass while an awaitable of another library is awaited") {
  const auto root = []() -> task<> {
    const time_point begin = now();
    const auto first = co_await rondo::when_any(sleep_for(1ns), elsewhere(30ms));
    CHECK(first.index() == 1);
    CHECK(now() == begin);
    // The state of what has ended is still there.
    co_await rondo::when_all(elsewhere(10ms), sleep_for(1h));
    CHECK(now() == begin + 1h);
  };
  rondo::run(root(), with_grace(0ns));
}

TEST_CASE("time does not pass while the kernel works on a file") {
  const auto root = []() -> task<> {
    const temporary_folder folder;
    const std::string name = folder / "file";
    const std::string text(4 << 20, 'x');
    const time_point begin = now();
    co_await rondo::write_file(name, text);
    for (int i = 0; i < 20; ++i) {
      rondo::file f = co_await rondo::file::open(
          name, rondo::open_mode::read | rondo::open_mode::write);
      const int fd = f.native_handle();
      co_await f.write_at("y", static_cast<std::uint64_t>(i));
      const auto synced = co_await rondo::when_any(sleep_for(1ns), rondo::io::fsync(fd));
      CHECK(synced.index() == 1);
      ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);  // so that reading takes a while
      std::string got(text.size(), ' ');
      const auto read = co_await rondo::when_any(sleep_for(1ns), rondo::io::read(fd, got, 0));
      CHECK(read.index() == 1);
      const auto opened = co_await rondo::when_any(
          sleep_for(1ns), rondo::io::openat(AT_FDCWD, name, O_RDONLY));
      CHECK(opened.index() == 1);
      const auto known = co_await rondo::when_any(sleep_for(1ns),
                                                  rondo::io::statx(AT_FDCWD, name));
      CHECK(known.index() == 1);
    }
    CHECK(now() == begin);
  };
  rondo::run(root(), with_grace(0ns));
}

// What time passes over, after a while

TEST_CASE("time passes over what may wait for ever, after the grace") {
  const auto waiting = [](int kind) -> task<> {
    const pipe_ends pipe;
    const pipe_ends full;
    full.fill();
    const sockets pair;
    const rondo::tcp_listener listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
    const oneshot<> never;
    std::array<char, 16> space{};
    const time_point begin = now();
    bool done = true;
    if (kind == 0) done = (co_await rondo::try_for(1h, reading_a_byte(pipe.out()))).has_value();
    if (kind == 1) {
      done = (co_await rondo::try_for(1h, rondo::io::recv(pair.a.native_handle(), space)))
                 .has_value();
    }
    if (kind == 2) {
      done = (co_await rondo::try_for(1h, rondo::io::accept(listener.native_handle()))).has_value();
    }
    if (kind == 3) done = (co_await rondo::try_for(1h, rondo::readable(pipe.out()))).has_value();
    if (kind == 4) {
      done = (co_await rondo::try_for(1h, rondo::io::write(full.in(), space))).has_value();
    }
    if (kind == 5) done = co_await rondo::try_for(1h, never.wait());
    CHECK_FALSE(done);
    CHECK(now() == begin + 1h);
  };
  for (int kind = 0; kind <= 5; ++kind) {
    CAPTURE(kind);
    const nanoseconds slow = real_time_of([&] { rondo::run(waiting(kind), with_grace(20ms)); });
    CHECK(slow >= 20ms);
    CHECK(slow < 30s);
    rondo::run(waiting(kind), with_grace(0ns));
  }
}

TEST_CASE("what arrives during the grace comes first") {
  const auto reads = [](int fd) -> task<> {
    const time_point begin = now();
    const auto n = co_await rondo::try_for(1ns, reading_a_byte(fd));
    CHECK(n.has_value());
    CHECK(now() == begin);
  };
  const auto waits = [](oneshot<int> o) -> task<> {
    const time_point begin = now();
    const auto n = co_await rondo::try_for(1ns, o.wait());
    CHECK(n == 5);
    CHECK(now() == begin);
  };
  const pipe_ends pipe;
  const oneshot<int> answer;
  std::thread other([&] {
    write_late(pipe);
    std::this_thread::sleep_for(20ms);
    answer.set_value(5);
  });
  rondo::event_loop loop(with_grace(1min));
  loop.run(reads(pipe.out()));
  loop.run(waits(answer));
  other.join();
  CHECK(loop.run(rondo::try_for(1ns, sleep_for(1h))) == false);  // no grace: nothing is in flight
}

TEST_CASE("a grace without end keeps time from passing over a socket at all") {
  const auto root = [](int fd) -> task<> {
    const auto n = co_await rondo::try_for(1ns, reading_a_byte(fd));
    CHECK(n.has_value());
  };
  const pipe_ends pipe;
  std::thread other([&] { write_late(pipe); });
  rondo::run(root(pipe.out()), with_grace(nanoseconds::max()));
  other.join();
}

TEST_CASE("the grace begins anew when something has happened") {
  rondo::detail::loop_clock clock(rondo::clock::virtual_time, 1h);
  const time_point end = clock.end_of_grace();
  std::this_thread::sleep_for(1ms);
  CHECK(clock.end_of_grace() == end);
  clock.stir();
  CHECK(clock.end_of_grace() >= end + 1ms);
  const time_point later = clock.end_of_grace();
  std::this_thread::sleep_for(1ms);
  clock.jump(clock.now() + 1s);
  CHECK(clock.end_of_grace() >= later + 1ms);
  const time_point then = clock.now();
  clock.jump(then - 1s);  // never back
  CHECK(clock.now() == then);
  rondo::detail::loop_clock patient(rondo::clock::virtual_time, nanoseconds::max());
  CHECK(patient.end_of_grace() == time_point::max());
}

TEST_CASE("sockets that talk to each other are never late") {
  const auto echo = [](rondo::tcp_stream stream) -> task<> {
    std::array<char, 64> space{};
    for (;;) {
      const std::size_t n = co_await stream.read(space);
      if (n == 0) co_return;
      co_await sleep_for(1s);  // it thinks
      co_await stream.write(std::string_view(space.data(), n));
    }
  };
  const auto root = [echo]() -> task<> {
    auto ends = co_await tcp_pair();
    auto server = rondo::spawn(echo, std::move(ends.b));
    const time_point begin = now();
    for (int i = 1; i <= 20; ++i) {
      co_await ends.a.write("ping");
      std::string got(4, ' ');
      co_await rondo::with_timeout(1s + 1ns, ends.a.read_exactly(got));
      CHECK(now() == begin + i * 1s);
    }
    ends.a.shutdown_write();
    co_await server;
  };
  rondo::run(root(), loop_options::virtual_time());
}

TEST_CASE("an operation that is canceled ends before time goes on") {
  const auto root = []() -> task<> {
    const time_point begin = now();
    moments log;
    const auto limited = [](moments& l, time_point b) -> task<> {
      const pipe_ends pipe;
      static_cast<void>(co_await rondo::try_for(1s, reading_a_byte(pipe.out())));
      l.push_back(now() - b);
    };
    co_await rondo::when_all(noting(log, begin, 1s + 1ns), limited(log, begin),
                             limited(log, begin));
    CHECK(log == moments{1s, 1s, 1s + 1ns});
  };
  rondo::run(root(), with_grace(0ns));
}

TEST_CASE("how the kernel's operations are told apart") {
  const temporary_folder folder;
  const rondo::descriptor file(
      ::open((folder / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const pipe_ends pipe;
  const sockets pair;
  const auto ends = [](unsigned char opcode, int fd, unsigned char flags = 0) {
    io_uring_sqe entry{};
    entry.opcode = opcode;
    entry.fd = fd;
    entry.flags = flags;
    return rondo::detail::ends_by_itself(entry);
  };
  for (const auto either : {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READV, IORING_OP_WRITEV,
                            IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED}) {
    CAPTURE(either);
    const auto opcode = static_cast<unsigned char>(either);
    CHECK(ends(opcode, file.native_handle()));
    CHECK_FALSE(ends(opcode, pipe.out()));
    CHECK_FALSE(ends(opcode, pair.a.native_handle()));
    CHECK_FALSE(ends(opcode, -1));
    CHECK_FALSE(ends(opcode, file.native_handle(), IOSQE_FIXED_FILE));  // not a descriptor
  }
  for (const auto waits : {IORING_OP_POLL_ADD, IORING_OP_ACCEPT, IORING_OP_CONNECT, IORING_OP_SEND,
                           IORING_OP_RECV, IORING_OP_SENDMSG, IORING_OP_RECVMSG, IORING_OP_SPLICE,
                           IORING_OP_SEND_ZC, IORING_OP_URING_CMD}) {
    CAPTURE(waits);
    CHECK_FALSE(ends(static_cast<unsigned char>(waits), file.native_handle()));
  }
  for (const auto ending : {IORING_OP_NOP, IORING_OP_OPENAT, IORING_OP_CLOSE, IORING_OP_STATX,
                            IORING_OP_FSYNC, IORING_OP_FALLOCATE, IORING_OP_RENAMEAT,
                            IORING_OP_UNLINKAT, IORING_OP_SOCKET, IORING_OP_TIMEOUT}) {
    CAPTURE(ending);
    CHECK(ends(static_cast<unsigned char>(ending), pipe.out()));
  }
}

// Deadlocks

namespace {
/// A task that waits for the end of another.
task<> waiting_for_the_end_of(rondo::join_handle<>& other) { co_await other.wait(); }

struct ring_of_two {
  rondo::join_handle<> a;
  rondo::join_handle<> b;
};
task<> two_that_wait_for_each_other() {
  ring_of_two ring;
  ring.a = rondo::spawn({.name = "chicken"}, [&ring] { return waiting_for_the_end_of(ring.b); });
  ring.b = rondo::spawn({.name = "egg"}, [&ring] { return waiting_for_the_end_of(ring.a); });
  co_await ring.a.wait();
}
}  // namespace

TEST_CASE("a deadlock is reported with the names of those who wait") {
  rondo::event_loop loop(loop_options::virtual_time());
  for (int i = 0; i < 3; ++i) {
    const std::string words = words_of_deadlock([&] { loop.run(two_that_wait_for_each_other()); });
    CHECK(words == deadlock + ", chicken, egg");
  }
  CHECK_FALSE(loop.run_once());  // nothing is left of it
  CHECK_NOTHROW(loop.run(sleep_for(1h)));
  CHECK_THROWS_AS(rondo::run(until_the_end_of_time(), loop_options::virtual_time()),
                  std::logic_error);
}

TEST_CASE("a deadlock names the children of groups, and counts those without a name") {
  const auto root = [](int named, int unnamed) -> task<> {
    const auto body = [](rondo::task_group& group, int count) -> task<> {
      for (int i = 0; i < count; ++i) {
        group.spawn({.name = "worker " + std::to_string(i)}, until_the_end_of_time);
      }
      group.spawn({.name = "done"}, [] { return yields(1); });
      co_await group.join();
    };
    std::vector<rondo::join_handle<>> handles;
    for (int i = 0; i < unnamed; ++i) handles.push_back(rondo::spawn(until_the_end_of_time()));
    auto also = rondo::spawn({.name = "also"}, [body]() -> task<> {
      co_await rondo::with_task_group(body, 1);
    });
    co_await rondo::when_all(rondo::with_task_group(body, named), handles[0].wait());
  };
  const auto words = [root](int named, int unnamed) {
    return words_of_deadlock(
        [&] { rondo::run(root(named, unnamed), loop_options::virtual_time()); });
  };
  CHECK(words(2, 2) ==
        deadlock + ", worker 0, worker 1, also, worker 0 and 2 tasks without a name");
  CHECK(words(0, 1) == deadlock + ", also, worker 0 and a task without a name");
}

TEST_CASE("what deadlocks is canceled and has ended when run throws") {
  int ended = 0;
  struct counter {
    int& count;
    ~counter() { ++count; }
  };
  const auto waits = [](int& count) -> task<> {
    const counter at_end{count};
    co_await until_the_end_of_time();
  };
  const auto root = [waits](int& count) -> task<> {
    const counter at_end{count};
    static_cast<void>(rondo::spawn(waits, std::ref(count)));
    co_await rondo::when_all(waits(count), waits(count));
  };
  CHECK(words_of_deadlock([&] { rondo::run(root(ended), loop_options::virtual_time()); }) ==
        deadlock + " and a task without a name");
  CHECK(ended == 4);
}

TEST_CASE("a deadlock counts, whatever the canceled root makes of it") {
  const auto returns = []() -> task<int> {
    try {
      co_await until_the_end_of_time();
    } catch (const rondo::operation_canceled&) {
    }
    co_return 7;
  };
  const auto throws = []() -> task<> {
    try {
      co_await until_the_end_of_time();
    } catch (const rondo::operation_canceled&) {
    }
    throw std::runtime_error("another error");
  };
  const auto cleans_up = []() -> task<> {
    co_await rondo::finally(until_the_end_of_time(), [] { return sleep_for(1h); });
  };
  rondo::event_loop loop(loop_options::virtual_time());
  const time_point begin = loop.now();
  CHECK_THROWS_AS(loop.run(returns()), rondo::deadlock_error);
  CHECK_THROWS_AS(loop.run(throws()), rondo::deadlock_error);
  CHECK(loop.now() == begin);
  CHECK_THROWS_AS(loop.run(cleans_up()), rondo::deadlock_error);
  CHECK(loop.now() == begin + 1h);
}

TEST_CASE("run_main prints a deadlock as the error that it is") {
  const auto printed = stderr_of([] {
    return rondo::run_main(two_that_wait_for_each_other(), loop_options::virtual_time());
  });
  CHECK(exited_with(printed.status, 1));
  CHECK(printed.text == "error: " + deadlock + ", chicken, egg\n");
}

TEST_CASE("nothing that still can end is taken for a deadlock") {
  rondo::event_loop loop(with_grace(0ns));
  SECTION("a timer") { loop.run(sleep_for(24h * 3650)); }
  SECTION("a thread") {
    loop.run(rondo::to_thread([] { std::this_thread::sleep_for(20ms); }));
  }
  SECTION("an awaitable of another library") {
    const auto root = []() -> task<> { co_await elsewhere(20ms); };
    loop.run(root());
  }
  SECTION("a oneshot") {
    const oneshot<int> answer;
    std::thread other([&] {
      std::this_thread::sleep_for(20ms);
      answer.set_value(4);
    });
    CHECK(loop.run(answer.wait()) == 4);
    other.join();
  }
  SECTION("a pipe") {
    const pipe_ends pipe;
    std::thread other([&] { write_late(pipe); });
    CHECK(loop.run(reading_a_byte(pipe.out())) == 1);
    other.join();
  }
  SECTION("a post that is on its way") {
    const auto root = [](rondo::event_loop& l) -> task<> {
      auto handle = rondo::spawn(until_the_end_of_time());
      co_await yields(2);
      l.post([&] { handle.cancel(); });
      co_await handle.wait();
    };
    loop.run(root(loop));
  }
  SECTION("a stop that was requested") {
    const auto root = [](rondo::event_loop& l) -> task<> {
      l.stop();
      co_await until_the_end_of_time();
    };
    CHECK_THROWS_AS(loop.run(root(loop)), rondo::operation_canceled);
  }
  SECTION("what waits when the root has ended") {
    const auto root = []() -> task<int> {
      static_cast<void>(rondo::spawn(until_the_end_of_time()));
      co_await sleep_for(1s);
      co_return 3;
    };
    CHECK(loop.run(root()) == 3);
  }
}

TEST_CASE("with the steady clock nobody looks for deadlocks") {
  rondo::event_loop loop;
  std::thread other([&] {
    std::this_thread::sleep_for(20ms);
    loop.stop();
  });
  CHECK_THROWS_AS(loop.run(until_the_end_of_time()), rondo::operation_canceled);
  other.join();
}

TEST_CASE("nothing is left of what has ended") {
  SECTION("a thread") { check_that_nothing_is_left_of(rondo::to_thread([] {})); }
  SECTION("a thread that failed") {
    check_that_nothing_is_left_of(
        code_of(rondo::to_thread([] { throw std::system_error(std::error_code()); })));
  }
  SECTION("a thread that was canceled before it began") {
    const auto crowd = []() -> task<> {
      const auto nap = [] { std::this_thread::sleep_for(1ms); };
      std::vector<rondo::join_handle<>> handles;
      for (int i = 0; i < 50; ++i) {
        handles.push_back(rondo::spawn([nap]() -> task<> { co_await rondo::to_thread(nap); }));
      }
      co_await rondo::yield();
      for (auto& h : handles) h.cancel();
      for (auto& h : handles) co_await h.wait();
    };
    check_that_nothing_is_left_of(crowd());
  }
  SECTION("an awaitable of another library") {
    const auto awaits = []() -> task<> { co_await elsewhere(1ms); };
    check_that_nothing_is_left_of(awaits());
  }
  SECTION("a oneshot") {
    const auto waits = []() -> task<> {
      oneshot<int> o;
      auto handle = rondo::spawn([o]() -> task<> { static_cast<void>(co_await o.wait()); });
      co_await rondo::yield();
      o.set_value(1);
      co_await handle;
    };
    check_that_nothing_is_left_of(waits());
  }
  SECTION("a oneshot that was given up") {
    const auto gives_up = []() -> task<> {
      const oneshot<int> o;
      static_cast<void>(co_await rondo::try_for(1s, o.wait()));
    };
    check_that_nothing_is_left_of(gives_up());
  }
  SECTION("a read that was given up") {
    const auto gives_up = []() -> task<> {
      const pipe_ends pipe;
      static_cast<void>(co_await rondo::try_for(1s, reading_a_byte(pipe.out())));
    };
    check_that_nothing_is_left_of(gives_up());
  }
  SECTION("a file") {
    const auto reads = []() -> task<> {
      static_cast<void>(co_await rondo::read_file("/etc/passwd"));
    };
    check_that_nothing_is_left_of(reads());
  }
}

TEST_CASE("a deadlock that no cancellation can end is reported, once") {
  // A group that is shielded; only the report ends it.
  rondo::task_group* stuck = nullptr;
  std::vector<std::string> reports;
  loop_options options = loop_options::virtual_time();
  options.on_unhandled = [&](const rondo::unhandled_error& e) {
    CHECK(e.what == rondo::unhandled_error::kind::left_over);
    reports.push_back(e.message);
    stuck->cancel();
  };
  const auto body = [&](rondo::task_group& group) -> task<> {
    stuck = &group;
    co_await until_the_end_of_time();
  };
  const auto shielded = [&body]() -> task<> {
    co_await rondo::shield(rondo::with_task_group(body));
  };
  const std::string report =
      "a deadlock: nothing is in flight and no timer is armed, and what was canceled waits behind "
      "a shield for what will never come: ";
  rondo::event_loop loop(options);
  SECTION("of the root") {
    CHECK(words_of_deadlock([&] { loop.run(shielded()); }) == deadlock);
    CHECK(reports == std::vector<std::string>{report + "the root"});
  }
  SECTION("of a task that is left when the root has ended") {
    const auto root = [&shielded]() -> task<int> {
      static_cast<void>(rondo::spawn({.name = "stubborn"}, shielded));
      co_await rondo::yield();
      co_return 3;
    };
    CHECK(loop.run(root()) == 3);
    CHECK(reports == std::vector<std::string>{report + "stubborn"});
  }
}

// The end of run

VIRTUAL_TEST("a cleanup that sleeps takes its time, and no more than that") {
  rondo::event_loop* loop = &rondo::event_loop::current();
  const time_point begin = now();
  const auto root = []() -> task<> {
    co_await rondo::finally(until_the_end_of_time(), [] { return sleep_for(1h); });
  };
  auto handle = rondo::spawn(root());
  co_await sleep_for(1s);
  handle.cancel();
  co_await handle.wait();
  CHECK(loop->now() == begin + 1h + 1s);
}

TEST_CASE("what is left at the end is canceled now, and may take its time") {
  const auto slow = []() -> task<> {
    co_await rondo::finally(sleep_for(24h), [] { return sleep_for(1h); });
  };
  const auto root = [slow]() -> task<> {
    for (int i = 0; i < 10; ++i) static_cast<void>(rondo::spawn(slow()));
    co_await sleep_for(1s);
  };
  rondo::event_loop loop(with_grace(1h));
  const time_point begin = loop.now();
  loop.run(root());
  CHECK(loop.now() - begin == 1h + 1s);
}

// run_once

TEST_CASE("run_once jumps when nothing can run, and ends when nothing is left") {
  rondo::event_loop loop(with_grace(1h));
  const time_point begin = loop.now();
  moments log;
  for (const nanoseconds d : {nanoseconds(2h), nanoseconds(1h), nanoseconds(3h)}) {
    static_cast<void>(loop.spawn(noting(log, begin, d)));
  }
  int turns = 0;
  while (loop.run_once()) ++turns;
  CHECK(log == moments{1h, 2h, 3h});
  CHECK(loop.now() - begin == 3h);
  CHECK(turns <= 10);

  auto again = loop.spawn(noting(log, begin, 1h));
  while (loop.run_once(nanoseconds::max())) {
  }
  CHECK(again.done());
  CHECK(log.back() == 4h);
}

TEST_CASE("run_once takes no longer than it is told, and that is real time") {
  rondo::event_loop loop(with_grace(1h));
  const pipe_ends pipe;
  const time_point begin = loop.now();
  auto reading = loop.spawn([&]() -> task<> {
    static_cast<void>(co_await rondo::try_for(1s, reading_a_byte(pipe.out())));
  });
  for (int i = 0; i < 10; ++i) CHECK(loop.run_once());
  CHECK(longest_real_time_of([&] { loop.run_once(20ms); }) >= 20ms);
  CHECK(loop.now() == begin);
  REQUIRE(::write(pipe.in(), "x", 1) == 1);
  while (loop.run_once(1min)) {
  }
  CHECK(reading.done());
  CHECK(loop.now() == begin);
}

TEST_CASE("the grace goes on from one run_once to the next") {
  rondo::event_loop loop(with_grace(20ms));
  const pipe_ends pipe;
  const time_point begin = loop.now();
  auto reading = loop.spawn([&]() -> task<> {
    const auto n = co_await rondo::try_for(1h, reading_a_byte(pipe.out()));
    CHECK_FALSE(n.has_value());
  });
  const nanoseconds took = real_time_of([&] {
    while (loop.run_once()) {
    }
  });
  CHECK(took >= 20ms);
  CHECK(reading.done());
  CHECK(loop.now() == begin + 1h);
}

TEST_CASE("what arrives for one of several who are awaited together begins the grace anew") {
  rondo::event_loop loop(with_grace(30ms));
  const pipe_ends a;
  const pipe_ends b;
  const time_point begin = loop.now();
  bool in_time = false;
  auto reading = loop.spawn([&]() -> task<> {
    std::array<char, 2> space{};
    auto both = rondo::when_all(rondo::io::read(a.out(), rondo::mutable_buffer(&space[0], 1)),
                                rondo::io::read(b.out(), rondo::mutable_buffer(&space[1], 1)));
    in_time = (co_await rondo::try_for(1ns, std::move(both))).has_value();
  });
  for (int i = 0; i < 3; ++i) loop.run_once();
  std::this_thread::sleep_for(40ms);
  REQUIRE(::write(a.in(), "x", 1) == 1);
  loop.run_once();  // nobody can go on yet
  REQUIRE(::write(b.in(), "x", 1) == 1);
  while (loop.run_once()) {
  }
  CHECK(in_time);
  CHECK(loop.now() == begin);
}

TEST_CASE("run_once does not look for deadlocks, and does not wait either") {
  rondo::event_loop loop(with_grace(0ns));
  auto handle = loop.spawn(until_the_end_of_time());
  for (int i = 0; i < 10; ++i) CHECK(loop.run_once());
  CHECK(longest_real_time_of([&] { loop.run_once(10ms); }) >= 10ms);
  std::thread other([&] { loop.post([&] { handle.cancel(); }); });
  while (loop.run_once(nanoseconds::max())) {
  }
  other.join();
  CHECK(handle.done());
}

VIRTUAL_TEST("a thread call that is refused in a canceled task does not hold the time") {
  auto handle = rondo::spawn([]() -> task<> {
    const auto refused = co_await rondo::as_result(rondo::to_thread([] {}));
    CHECK(refused.error() == rondo::errc::canceled);
    co_await rondo::shield(rondo::sleep_for(1h));
  });
  handle.cancel();
  const auto begin = now();
  co_await handle.wait();
  CHECK(now() - begin == 1h);
}

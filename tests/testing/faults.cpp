// SPDX-License-Identifier: BSL-1.0

#include <rondo/testing.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;
using rondo::testing::faults;

namespace {

std::string text_of(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

/// How many of `times` runs with seeds of their own gave true.
int how_often(int times, const std::function<bool(std::uint64_t)>& f) {
  int count = 0;
  for (int seed = 1; seed <= times; ++seed) count += f(static_cast<std::uint64_t>(seed)) ? 1 : 0;
  return count;
}

task<std::size_t> read_once(std::string_view text) {
  pipe_ends p;
  co_await io::write(p.in(), std::string(text));
  std::string room(text.size(), '\0');
  const std::size_t n = co_await io::read(p.out(), room);
  co_return n;
}

task<> send_all(tcp_stream& to, const std::string& text) {
  co_await to.write(text);
  to.shutdown_write();
}
task<std::string> receive_all(tcp_stream& from) {
  std::string all;
  std::array<char, 4096> room{};
  for (;;) {
    const std::size_t n = co_await from.read(room);
    if (n == 0) break;
    all.append(room.data(), n);
  }
  co_return all;
}
task<std::string> through_a_socket(std::string text) {
  sockets pair;
  tcp_stream a = tcp_stream::adopt(pair.a.release());
  tcp_stream b = tcp_stream::adopt(pair.b.release());
  auto [sent, received] = co_await when_all(send_all(a, text), receive_all(b));
  co_return received;
}

task<std::vector<int>> order_of_five() {
  std::vector<int> order;
  std::vector<task<>> tasks;
  const auto note = [](std::vector<int>& o, int i) -> task<> {
    co_await yield();
    o.push_back(i);
  };
  for (int i = 0; i < 5; ++i) tasks.push_back(note(order, i));
  co_await when_all(std::move(tasks));
  co_return order;
}

}  // namespace

ON_BOTH_RINGS("faults: a short transfer moves less than it could, and loses nothing", {
  const int shorter = how_often(20, [](std::uint64_t seed) {
    faults f(seed);
    f.short_transfers(100);
    const std::size_t n = run(read_once("0123456789"), f.options());
    REQUIRE(n >= 1);
    REQUIRE(n <= 10);
    return n < 10;
  });
  CHECK(shorter > 10);
  const std::string text = text_of(200'000);
  faults f(1);
  f.short_transfers(80);
  const bool same = run(through_a_socket(text), f.options()) == text;
  CHECK(same);
})

ON_BOTH_RINGS("faults: what goes by registered memory is cut and fails as well", {
  const auto move_ten = []() -> task<std::size_t> {
    const registered_buffers buffers(1, 10);
    const pipe_ends pipe;
    const std::size_t written = co_await io::write_fixed(pipe.in(), buffers[0]);
    const std::size_t read = co_await io::read_fixed(pipe.out(), buffers[0]);
    CHECK(read <= written);
    co_return read;
  };
  const int shorter = how_often(20, [&](std::uint64_t seed) {
    faults f(seed);
    f.short_transfers(100);
    return run(move_ten(), f.options()) < 10;
  });
  CHECK(shorter > 10);
  const int failed = how_often(20, [&](std::uint64_t seed) {
    faults f(seed);
    f.errors(100);
    try {
      run(move_ten(), f.options());
      return false;
    } catch (const std::system_error& e) {
      return e.code() == std::errc::io_error || e.code() == std::errc::no_space_on_device ||
             e.code().value() == EDQUOT;
    }
  });
  CHECK(failed == 20);
})

ON_BOTH_RINGS("faults: messages and the kernel's own files are never cut", {
  faults f(1);
  f.short_transfers(100);
  const auto ask = []() -> task<std::size_t> {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0) co_return 0;
    const descriptor a(ends[0]);
    const descriptor b(ends[1]);
    co_await io::send(a.native_handle(), std::string("0123456789"));
    std::array<char, 10> room{};
    const std::size_t n = co_await io::recv(b.native_handle(), room);
    co_return n;
  };
  for (int i = 0; i < 20; ++i) CHECK(run(ask(), f.options()) == 10);
})

ON_BOTH_RINGS("faults: what fails is not done", {
  const temporary_folder dir;
  const std::string path = dir / "file";
  const auto write_it = [](std::string to) -> task<> { co_await write_file(to, std::string("x")); };
  const int failed = how_often(20, [&](std::uint64_t seed) {
    faults f(seed);
    f.errors(100).error(EMFILE);
    try {
      run(write_it(path), f.options());
      return false;
    } catch (const std::system_error& e) {
      return e.code() == std::errc::too_many_files_open;
    }
  });
  CHECK(failed == 20);
  CHECK(!std::filesystem::exists(path));
})

ON_BOTH_RINGS("faults: a close that fails has closed", {
  const temporary_folder dir;
  const std::string path = dir / "file";
  const auto before = rondo_test::open_descriptors();
  const auto open_and_close = [](std::string at) -> task<std::error_code> {
    file f;
    for (;;) {  // opening fails as well
      auto opened = co_await as_result(file::open(at, open_mode::write | open_mode::create));
      if (!opened) continue;
      f = std::move(*opened);
      break;
    }
    const auto closed = co_await as_result(f.close());
    co_return closed ? std::error_code() : closed.error();
  };
  int errors = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    faults f(seed);
    f.errors(70).error(EIO);
    if (run(open_and_close(path), f.options()) == std::errc::io_error) ++errors;
  }
  CHECK(errors > 5);
  CHECK(rondo_test::open_descriptors() == before);
})

ON_BOTH_RINGS("faults: operations fail with what theirs might end with", {
  const auto connect_it = []() -> task<std::error_code> {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    const auto r = co_await as_result(tcp_stream::connect(listener.local_endpoint()));
    co_return r ? std::error_code() : r.error();
  };
  faults f(1);
  f.errors(100);
  const std::error_code code = run(connect_it(), f.options());
  const std::array expected{std::errc::connection_refused, std::errc::timed_out,
                            std::errc::host_unreachable, std::errc::network_unreachable};
  CHECK(std::any_of(expected.begin(), expected.end(), [&](std::errc e) { return code == e; }));
})

ON_BOTH_RINGS("faults: late completions come all the same, in another order", {
  const auto race = []() -> task<std::vector<std::size_t>> {
    std::vector<std::size_t> order;
    std::vector<decltype(io::nop())> nops;
    for (int i = 0; i < 8; ++i) nops.push_back(io::nop());
    co_await for_each_completed(std::move(nops), [&order](completed<void> c) {
      order.push_back(c.index);
    });
    co_return order;
  };
  const int reordered = how_often(20, [&](std::uint64_t seed) {
    faults f(seed);
    f.late_completions(50);
    auto order = run(race(), f.options());
    const bool changed = !std::is_sorted(order.begin(), order.end());
    std::sort(order.begin(), order.end());
    REQUIRE(order == std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7});
    return changed;
  });
  CHECK(reordered > 10);
})

ON_BOTH_RINGS("faults: what is canceled while its completion is late is delivered", {
  const auto read_and_cancel = []() -> task<int> {
    pipe_ends p;
    co_await io::write(p.in(), std::string("x"));
    std::array<char, 1> room{};
    const auto r = co_await try_for(0s, io::read(p.out(), room));
    if (r) co_return 1;
    // It was canceled before the kernel had it: the byte is still there.
    const std::size_t n = co_await io::read(p.out(), room);
    co_return n == 1 ? 1 : 0;
  };
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    faults f(seed);
    f.late_completions(90);
    CHECK(run(read_and_cancel(), f.options()) == 1);
  }
})

ON_BOTH_RINGS("faults: full queues, refused calls and overflowing completions change nothing", {
  const std::string text = text_of(100'000);
  const auto many = [](std::string t) -> task<bool> {
    std::vector<task<std::string>> all;
    for (int i = 0; i < 10; ++i) all.push_back(through_a_socket(t));
    std::vector<decltype(io::nop())> nops;
    for (int i = 0; i < 300; ++i) nops.push_back(io::nop());
    auto both = co_await when_all(when_all(std::move(all)), when_all(std::move(nops)));
    const auto& received = std::get<0>(both);
    co_return std::all_of(received.begin(), received.end(),
                          [&t](const std::string& r) { return r == t; });
  };
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    faults f(seed);
    f.full_queues(50).refused_calls(30).late_completions(20).small_completion_queue();
    loop_options few;
    few.entries = 8;
    CHECK(run(many(text), f.options(few)));
  }
})

ON_BOTH_RINGS("faults: a loop does not sleep over what came while it made room in its queue", {
  // The poll for messages from other threads fails, so it is armed again and again, and each time
  // the queue is full: of the read, which only the feeder ends.
  const auto feed = [](int fd) -> task<> {
    co_await as_result(io::nop());
    if (::write(fd, "x", 1) != 1) std::abort();
  };
  const auto read = [](int fd) -> task<> {
    std::array<char, 1> room{};
    co_await as_result(io::read(fd, room));
  };
  const auto both = [&](pipe_ends& p) -> task<> {
    for (int i = 0; i < 20; ++i) co_await when_all(feed(p.in()), read(p.out()));
  };
  loop_options one;
  one.entries = 1;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    pipe_ends p;
    faults f(seed);
    f.errors(30).refused_calls(50);
    run(both(p), f.options(one));
  }
  SUCCEED();
})

ON_BOTH_RINGS("faults: a race is decided also by what came while its losers were being started", {
  const auto race = [](int fd) -> task<> {
    std::array<char, 1> room{};
    for (int i = 0; i < 20; ++i) {
      co_await when_any(io::nop(), io::nop(), io::read(fd, room), io::read(fd, room));
    }
  };
  const pipe_ends silent;
  loop_options one;
  one.entries = 1;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    faults f(seed);
    f.refused_calls(60);
    run(race(silent.out()), f.options(one));
  }
  SUCCEED();
})

TEST_CASE("faults: the same seed gives the same order of ready tasks") {
  std::vector<std::vector<int>> orders;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const faults f(seed);
    const auto once = run(order_of_five(), f.options());
    const auto again = run(order_of_five(), f.options());
    CHECK(once == again);
    auto sorted = once;
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == std::vector<int>{0, 1, 2, 3, 4});
    orders.push_back(once);
  }
  std::sort(orders.begin(), orders.end());
  const auto different = std::unique(orders.begin(), orders.end()) - orders.begin();
  CHECK(different > 5);
}

TEST_CASE("faults: a task's frame goes before whoever waits for its group goes on, in any order") {
  struct counts_frames {
    explicit counts_frames(int& n) : living(&n) { ++n; }
    counts_frames(counts_frames&& other) noexcept : living(std::exchange(other.living, nullptr)) {}
    counts_frames& operator=(counts_frames&&) = delete;
    ~counts_frames() {
      if (living != nullptr) --*living;
    }
    int* living;
  };
  const auto ask = []() -> task<int> {
    int living = 0;
    const auto body = [](task_group& g, int& n) -> task<> {
      const auto child = [](counts_frames) -> task<> { co_await yield(); };
      for (int i = 0; i < 10; ++i) g.spawn(child(counts_frames(n)));
      co_return;
    };
    co_await with_task_group(body, std::ref(living));
    co_return living;
  };
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const faults f(seed);
    CHECK(run(ask(), f.options()) == 0);
  }
}

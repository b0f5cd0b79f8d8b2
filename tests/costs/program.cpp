// SPDX-License-Identifier: BSL-1.0
//
// program ROW COUNT: does COUNT units of what check.py counts the instructions and the system calls
// of. RONDO_BACKEND chooses the ring.

#include <rondo/rondo.hpp>

#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using rondo::task;

namespace {

[[gnu::noinline]] task<int> child(int n) { co_return n; }

[[gnu::noinline]] task<int> level(int n) {
  if (n == 0) co_return 0;
  co_return co_await level(n - 1) + 1;
}

void check(bool right) {
  if (!right) throw std::runtime_error("a wrong answer");
}

task<> await(int count) {
  for (int i = 0; i < count; ++i) check(co_await child(i) == i);
}

task<> deep(int count) {
  for (; count > 0; count -= 1000) check(co_await level(1000) == 1000);
}

task<> yield(int count) {
  for (int i = 0; i < count; ++i) co_await rondo::yield();
}

task<> spawn_join(int count) {
  for (int i = 0; i < count; ++i) check(co_await rondo::spawn(child(i)) == i);
}

task<> when_all_of_1000(int count) {
  for (; count > 0; count -= 1000) {
    std::vector<task<int>> children;
    children.reserve(1000);
    for (int i = 0; i < 1000; ++i) children.push_back(child(i));
    const auto values = co_await rondo::when_all(std::move(children));
    check(values.back() == 999);
  }
}

task<> mutex(int count) {
  rondo::mutex m;
  for (int i = 0; i < count; ++i) const auto guard = co_await m.lock();
}

task<> channel_of(std::size_t capacity, int count) {
  rondo::channel<int> c(capacity);
  auto sender = rondo::spawn([](rondo::channel<int>& to, int n) -> task<> {
    for (int i = 0; i < n; ++i) co_await to.send(i);
    to.close();
  }(c, count));
  int received = 0;
  while (auto value = co_await c.receive()) received += *value >= 0;
  co_await std::move(sender);
  check(received == count);
}
task<> channel_1(int count) { return channel_of(1, count); }
task<> channel_1024(int count) { return channel_of(1024, count); }

task<> operation(int count) {
  for (int i = 0; i < count; ++i) co_await rondo::io::nop();
}

/// 64 tasks at once.
template <typename F>
task<> beside_each_other(int count, F one) {
  std::vector<task<>> all;
  for (int i = 0; i < 64; ++i) {
    all.push_back([](F& f, int n) -> task<> {
      for (int k = 0; k < n; ++k) co_await f();
    }(one, count / 64));
  }
  co_await rondo::when_all(std::move(all));
}
task<> operations_64(int count) {
  co_await beside_each_other(count, [] { return rondo::io::nop(); });
}
task<> with_limit_64(int count) {
  co_await beside_each_other(count, [] { return rondo::with_timeout(1h, rondo::io::nop()); });
}

task<> echo(int count) {
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  auto server = rondo::spawn([](rondo::unix_stream peer) -> task<> {
    std::array<char, 64> space;
    while (const std::size_t n = co_await peer.read(space)) {
      co_await peer.write(std::string_view(space.data(), n));
    }
  }(rondo::unix_stream::adopt(ends[0])));
  {
    auto client = rondo::unix_stream::adopt(ends[1]);
    std::array<char, 64> space;
    for (int i = 0; i < count; ++i) {
      co_await client.write("hello");
      check(co_await client.read(space) == 5);
    }
    co_await client.close();
  }
  co_await std::move(server);
}

const std::map<std::string, task<> (*)(int)> rows{
    {"await", await},
    {"deep", deep},
    {"yield", yield},
    {"spawn_join", spawn_join},
    {"when_all_of_1000", when_all_of_1000},
    {"mutex", mutex},
    {"channel_1", channel_1},
    {"channel_1024", channel_1024},
    {"operation", operation},
    {"operations_64", operations_64},
    {"with_limit_64", with_limit_64},
    {"echo", echo},
};

}  // namespace

int main(int argc, char** argv) {
  const auto row = argc == 3 ? rows.find(argv[1]) : rows.end();
  if (row == rows.end()) {
    std::fputs("program ROW COUNT; rows:", stderr);
    for (const auto& [name, run] : rows) std::fprintf(stderr, " %s", name.c_str());
    std::fputs("\n", stderr);
    return 2;
  }
  rondo::run(row->second(std::atoi(argv[2])));
}

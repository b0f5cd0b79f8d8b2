// SPDX-License-Identifier: BSL-1.0
//
// What the README shows and no example holds: each part between two `// [name]` lines is one of its
// blocks, compiled and run here.

#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "support/loop_test.hpp"

using namespace std::chrono_literals;

namespace {

rondo::task<std::string> answer_after(std::chrono::milliseconds time, std::string text) {
  co_await rondo::sleep_for(time);
  co_return text;
}

// [lifetime]
rondo::task<> copy(rondo::tcp_stream& from, rondo::tcp_stream& to) {
  std::array<char, 4096> buffer;                // lives in the coroutine, and so through each await
  for (;;) {
    const std::size_t n = co_await from.read(buffer);
    if (n == 0) break;                          // 0 is the end, never an error
    co_await to.write(std::string_view(buffer.data(), n));
  }
}
// [lifetime]

// [lambda]
void greet_later(std::string name) {
  rondo::spawn([](std::string who) -> rondo::task<> {
    co_await rondo::sleep_for(1ms);
    std::printf("hello, %s\n", who.c_str());
  }, std::move(name));                          // spawn keeps the callable and its arguments
}
// [lambda]

// [condition]
rondo::task<bool> is_big(std::string path) {
  const std::string text = co_await rondo::read_file(path);
  const bool big = text.size() > 1000;          // await first, decide then
  co_return big;
}
// [condition]

// [cancel]
rondo::task<std::string> ask(std::vector<std::string>& log) {
  try {
    co_return co_await answer_after(1h, "late");
  } catch (const rondo::operation_canceled&) {  // not a std::exception
    log.push_back("canceled");
    throw;                                      // the next operation would throw it again
  }
}

rondo::task<std::string> ask_for_a_while(std::vector<std::string>& log) {
  try {
    co_return co_await rondo::with_timeout(10ms, ask(log));
  } catch (const rondo::timeout_error&) {
    co_return "nothing";
  }
}
// [cancel]

// [many]
rondo::task<std::size_t> total_size(std::vector<std::string> paths) {
  std::vector<rondo::task<std::string>> reads;
  for (const std::string& path : paths) reads.push_back(rondo::read_file(path));
  std::size_t total = 0;
  for (const std::string& text : co_await rondo::when_all(std::move(reads))) total += text.size();
  co_return total;
}
// [many]

rondo::task<> add_square(int n, int& total) {
  co_await rondo::yield();
  total += n * n;
}

// [group]
rondo::task<int> sum_of_squares(std::vector<int> numbers) {
  int sum = 0;                                  // outside: children may outlive the body
  co_await rondo::with_task_group([](rondo::task_group& group, int& total,
                                     std::vector<int>& all) -> rondo::task<> {
    for (const int n : all) group.spawn(add_square(n, total));
    co_return;
  }, std::ref(sum), std::ref(numbers));
  co_return sum;                                // here all children have ended
}
// [group]

// [thread]
rondo::task<int> count_elsewhere(rondo::event_loop& loop) {
  int count = 0;
  const auto heavy = [](int n) { return n * n; };
  count += co_await rondo::to_thread(heavy, 6);  // on a thread of the pool; the task goes on here
  loop.post([&count] { ++count; });              // post, submit and stop may come from any thread
  co_await rondo::yield();
  co_await rondo::sleep_for(1ms);
  co_return count;
}
// [thread]

}  // namespace

LOOP_TEST("the copy of the README copies until the end") {
  auto left = co_await rondo::test::tcp_pair();
  auto right = co_await rondo::test::tcp_pair();
  co_await left.a.write("some bytes");
  left.a.shutdown_write();
  co_await copy(left.b, right.a);
  std::string got(10, ' ');
  co_await right.b.read_exactly(got);
  CHECK(got == "some bytes");
}

LOOP_TEST("the greeting of the README outlives its caller") {
  greet_later("world");
  co_await rondo::sleep_for(5ms);
}

LOOP_TEST("the condition of the README reads a file and decides") {
  const rondo::test::temporary_folder folder;
  co_await rondo::write_file(folder / "small", "a");
  co_await rondo::write_file(folder / "big", std::string(2000, 'b'));
  const bool small = co_await is_big(folder / "small");
  const bool big = co_await is_big(folder / "big");
  CHECK(!small);
  CHECK(big);
}

LOOP_TEST("the cancellation of the README is seen, passed on and becomes a timeout") {
  std::vector<std::string> log;
  const std::string result = co_await ask_for_a_while(log);
  CHECK(result == "nothing");
  CHECK(log == std::vector<std::string>{"canceled"});
}

LOOP_TEST("the many reads of the README add up") {
  const rondo::test::temporary_folder folder;
  std::vector<std::string> paths;
  for (int i = 1; i <= 3; ++i) {
    paths.push_back(folder / std::to_string(i));
    co_await rondo::write_file(paths.back(), std::string(static_cast<std::size_t>(i), 'x'));
  }
  const std::size_t total = co_await total_size(paths);
  CHECK(total == 6);
}

LOOP_TEST("the group of the README adds up") {
  const std::vector<int> numbers{1, 2, 3};
  const int sum = co_await sum_of_squares(numbers);
  CHECK(sum == 14);
}

LOOP_TEST("the threads of the README come back to the loop") {
  const int count = co_await count_elsewhere(rondo::event_loop::current());
  CHECK(count == 37);
}

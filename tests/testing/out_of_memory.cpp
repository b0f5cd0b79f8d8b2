// SPDX-License-Identifier: BSL-1.0

// Sessions of everything that has no library of its own, while memory runs out.

#include <rondo/rondo.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/loop_test.hpp"
#include "support/out_of_memory.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;

namespace {

task<> echo(tcp_stream peer) {
  std::array<char, 256> room{};
  for (;;) {
    const std::size_t n = co_await peer.read(room);
    if (n == 0) break;
    co_await peer.write(std::string_view(room.data(), n));
  }
}

task<> serve(tcp_listener& listener, int peers) {
  const auto body = [](task_group& group, tcp_listener& l, int count) -> task<> {
    for (int i = 0; i < count; ++i) group.spawn(echo(co_await l.accept()), {.name = "echo"});
  };
  co_await with_task_group(body, std::ref(listener), peers);
}

task<std::string> ask(endpoint server, std::string text) {
  tcp_stream stream = co_await tcp_stream::connect(server);
  co_await stream.write(text);
  stream.shutdown_write();
  std::string answer(text.size(), '\0');
  co_await stream.read_exactly(answer);
  co_return answer;
}

task<> talk() {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const endpoint at = listener.local_endpoint();
  std::vector<task<std::string>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(ask(at, "hello " + std::to_string(i)));
  auto both = co_await when_all(serve(listener, 3), when_all(std::move(clients)));
  const std::vector<std::string>& answers = std::get<1>(both);
  expect(answers.size() == 3 && answers[2] == "hello 2", "the echo server answers");
}

task<> files(std::string path) {
  co_await write_file(path, std::string("some text"));
  const auto [a, b] = co_await when_all(read_file(path), read_file(path));
  expect(a == "some text" && a == b, "files are read");
}

task<> combinators() {
  std::vector<task<int>> numbers;
  const auto later = [](int n) -> task<int> {
    co_await sleep_for(n * 100us);
    co_return n;
  };
  for (int i = 0; i < 4; ++i) numbers.push_back(later(i));
  int sum = 0;
  co_await for_each_completed(std::move(numbers), [&sum](completed<int> c) { sum += c.result.value(); });
  expect(sum == 6, "each has ended");

  numbers.clear();
  for (int i = 0; i < 4; ++i) numbers.push_back(later(i));
  const auto all = co_await when_all(std::move(numbers), max_concurrency{2});
  expect(all == std::vector<int>{0, 1, 2, 3}, "lanes keep the order");

  const auto first = co_await when_any(later(1), sleep_for(1h));
  expect(first.index() == 0, "the sleep loses");
  const auto settled = co_await when_all_settled(later(1), later(2));
  expect(std::get<1>(settled).value() == 2, "both have ended");
  const auto given_up = co_await try_for(200us, sleep_for(1h));
  expect(!given_up, "the limit ends it");
  const int kept = co_await with_timeout(1h, later(1));
  expect(kept == 1, "within the limit");
  co_await finally(later(1), later(2));
  co_await shield(later(1));
}

task<> others() {
  context_var<int> v(1);
  const auto ask_for_it = [](context_var<int>& which) -> task<int> {
    auto h = spawn([](context_var<int>& w) -> task<int> {
      co_await yield();
      const int value = co_await w;
      co_return value;
    }, std::ref(which));
    const int value = co_await h;
    co_return value;
  };
  const int seen = co_await with_context(v, 2, ask_for_it(v));
  expect(seen == 2, "what is spawned sees the context");

  const auto square = [](int n) { return n * n; };
  const int nine = co_await to_thread(square, 3);
  expect(nine == 9, "a thread answers");

  oneshot<int> o;
  event_loop::current().post([&o] { o.set_value(4); });
  const int four = co_await o.wait();
  expect(four == 4, "a post is run");
}

}  // namespace

ON_BOTH_RINGS("out of memory: TCP, a group and a range of clients", { fail_each_allocation(talk); })

ON_BOTH_RINGS("out of memory: files", {
  const temporary_folder folder;
  const std::string path = folder / "file";
  fail_each_allocation([&path] { return files(path); });
})

ON_BOTH_RINGS("out of memory: combinators and limits", { fail_each_allocation(combinators); })

ON_BOTH_RINGS("out of memory: spawned tasks, context variables, threads, posts", {
  fail_each_allocation(others);
})

// SPDX-License-Identifier: BSL-1.0
//
// Has tasks of every kind, prints what format_tasks tells of them, and aborts: gdb is to tell the
// same. check.py runs it, and finds lines by the word in the comment at their end.

#include <chrono>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <thread>
#include <utility>
#include <vector>

#include <rondo/rondo.hpp>

using namespace std::chrono_literals;
using rondo::channel;
using rondo::event_loop;
using rondo::format_tasks;
using rondo::join_handle;
using rondo::spawn;
using rondo::task;

event_loop* at_rest = nullptr;  // that no thread runs

namespace app {

task<> sleep_long() { co_await rondo::sleep_for(1h); }  // sleep_long

task<> settle() {
  for (int i = 0; i < 20; ++i) co_await rondo::yield();
}

task<int> innermost(channel<int>& numbers) {
  char large[100'000];  // so what it awaits is pages behind its promise
  large[0] = '\0';
  const auto number = co_await numbers.receive();  // innermost
  co_return number.value_or(large[0]);
}
task<int> middle(channel<int>& numbers) {  // middle
  const int number = co_await innermost(numbers);
  co_return number + 1;
}
task<> outermost(channel<int>& numbers) {  // outermost
  const int number = co_await middle(numbers);
  std::printf("%d\n", number);
}

task<> both() {
  co_await rondo::when_all(sleep_long(), rondo::with_timeout(90s, rondo::sleep_for(2h)));  // both
}

std::vector<task<>> two() {
  std::vector<task<>> tasks;
  tasks.push_back(sleep_long());
  tasks.push_back(sleep_long());
  return tasks;
}

task<> any_of_two() { co_await rondo::when_any(two()); }
task<> first_of_two() { co_await rondo::first_success(two()); }
task<> all_of_two() { co_await rondo::when_all(two()); }
task<> one_by_one() { co_await rondo::when_all(two(), rondo::max_concurrency{1}); }
task<> settled() { co_await rondo::when_all_settled(two()); }
task<> each_of_two() {
  co_await rondo::for_each_completed(two(), [](const auto&) {});
}
task<> mixed() { co_await rondo::when_any(rondo::sleep_for(1h), sleep_long(), rondo::sleep_for(2h)); }
task<> shielded() { co_await rondo::shield(rondo::sleep_for(1h)); }
task<> in_context() {
  rondo::context_var<int> number{0};
  co_await rondo::with_context(number, 1, sleep_long());
}
task<> with_token() { co_await rondo::with_stop_token(std::stop_token(), sleep_long()); }

task<> group() {
  co_await rondo::with_task_group([](rondo::task_group& g) -> task<> {  // group
    g.spawn(sleep_long(), {.name = "first"});
    g.spawn([]() -> task<> { co_return; });
    g.spawn([]() -> task<> { co_await sleep_long(); });
    co_await g.join();
  });
}

/// An awaitable of another library.
struct elsewhere {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  void await_resume() const noexcept {}
};
task<> foreign() { co_await elsewhere(); }

rondo::async_generator<int> numbers_from(channel<int>& numbers) {
  while (const auto number = co_await numbers.receive()) co_yield *number;  // generator
}
task<> generated(channel<int>& numbers) {  // generated
  auto all = numbers_from(numbers);
  co_await all.next();
}

task<> locks(rondo::mutex& m) { const auto held = co_await m.lock(); }
task<> acquires(rondo::semaphore& s) { const auto held = co_await s.acquire(); }
task<> waits(rondo::event& e) { co_await e.wait(); }
task<> joins(join_handle<>& other) { co_await other; }
task<> yields() {
  for (;;) co_await rondo::yield();  // yields
}
task<> canceled() { co_await rondo::shield(sleep_long()); }

task<> reads(rondo::tcp_stream peer) {
  char byte = 0;
  co_await peer.read(rondo::mutable_buffer(&byte, 1));  // reads
}
task<> accepts(auto& peers) {
  co_await peers.next();  // accepts
}

task<> root() {
  channel<int> numbers(1);
  rondo::mutex m;
  const auto held = co_await m.lock();
  rondo::semaphore s(0);
  rondo::event e;
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  auto quiet = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  auto peers = quiet.accept_many();  // so this stream is before the frame of who waits for it
  auto peer = co_await rondo::tcp_stream::connect(listener.local_endpoint());

  std::vector<join_handle<>> all;
  all.push_back(spawn(outermost(numbers), {.name = "chain"}));
  all.push_back(spawn(reads(std::move(peer)), {.name = "reader"}));
  all.push_back(spawn(accepts(peers), {.name = "accepter"}));
  all.push_back(spawn(generated(numbers), {.name = "generator"}));
  all.push_back(spawn(both(), {.name = "both"}));
  all.push_back(spawn(group(), {.name = "group"}));
  for (auto* each : {any_of_two, first_of_two, all_of_two, one_by_one, settled, each_of_two, mixed,
                     shielded, in_context, with_token, foreign}) {
    all.push_back(spawn(each()));
  }
  all.push_back(spawn(locks(m)));
  all.push_back(spawn(acquires(s)));
  all.push_back(spawn(waits(e)));
  all.push_back(spawn(joins(all.front())));
  all.push_back(spawn([]() -> task<> { co_await sleep_long(); }));
  all.push_back(spawn(yields(), {.name = "ready"}));
  all.push_back(spawn(canceled(), {.name = "canceled"}));
  co_await settle();
  all.back().cancel();
  co_await settle();
  all.push_back(spawn(sleep_long(), {.name = "not begun"}));

#if defined(__cpp_lib_source_location)
  std::puts("places are known");
#endif
  std::printf("<<%s>>\n", format_tasks(event_loop::current()).c_str());
  std::fflush(stdout);
  std::abort();
}

/// On another thread, in real time.
task<> other_root(std::latch& is_there) {
  auto sleeper = spawn(sleep_long(), {.name = "sleeper"});
  co_await rondo::sleep_for(20ms);
  is_there.count_down();
  std::latch(1).wait();  // blocks the loop
}

}  // namespace app

int main() {
  event_loop resting;
  const auto later = resting.spawn(app::sleep_long(), {.name = "later"});
  at_rest = &resting;
  std::latch is_there(1);
  rondo::loop_options options;
  options.debug = true;
  const std::thread other([&] { rondo::run(app::other_root(is_there), options); });
  is_there.wait();
  rondo::run(app::root(), rondo::loop_options::virtual_time());
}

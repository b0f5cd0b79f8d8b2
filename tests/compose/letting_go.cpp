// SPDX-License-Identifier: BSL-1.0

// A task that has ended lets go of its arguments, though somebody holds its value still: the others
// may wait for what it held. Where it did not, these tests would wait for ever.

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/loop_test.hpp"

using namespace rondo::test;
using namespace std::chrono_literals;
using rondo::task;

namespace {

task<> produce(rondo::pipe_writer out) {
  co_await out.write("hello");
}  // the pipe ends here
task<int> consume(rondo::pipe_reader in) {
  std::string part(64, '\0');
  int all = 0;
  for (;;) {
    const std::size_t n = co_await in.read(part);
    if (n == 0) co_return all;
    all += static_cast<int>(n);
  }
}
task<int> writes(rondo::pipe_writer out) {
  co_await out.write("hello");
  co_return 1;
}
task<int> fails_with(rondo::pipe_writer out) {
  co_await out.write("hello");
  throw std::runtime_error("as it should");
}

task<int> keeps(rondo::semaphore::permit, int value) {
  co_await rondo::yield();
  co_return value;
}
/// Ends at once.
task<int> gives(rondo::semaphore::permit, int value) { co_return value; }

/// A value whose move may throw stays where it is.
struct may_throw {
  explicit may_throw(int n) noexcept : number(n) {}
  may_throw(may_throw&& other) : number(other.number) {}
  may_throw& operator=(may_throw&&) = default;
  int number;
};
task<may_throw> makes(int n) {
  co_await rondo::yield();
  co_return may_throw(n);
}

struct both_ends {
  rondo::pipe_reader reader;
  rondo::pipe_writer writer;
};
both_ends ends() {
  auto [reader, writer] = rondo::make_pipe();
  return {std::move(reader), std::move(writer)};
}

}  // namespace

LOOP_TEST("when_all: the reader of a pipe sees its end when the writer's task has ended") {
  auto pipe = ends();
  const auto [none, read] =
      co_await rondo::when_all(produce(std::move(pipe.writer)), consume(std::move(pipe.reader)));
  CHECK(read == 5);
}

LOOP_TEST("when_all of a range: the same") {
  auto pipe = ends();
  std::vector<task<int>> all;
  all.push_back(writes(std::move(pipe.writer)));
  all.push_back(consume(std::move(pipe.reader)));
  const auto values = co_await rondo::when_all(std::move(all));
  CHECK(values == std::vector<int>{1, 5});
}

LOOP_TEST("when_all_settled, as_result and with_timeout around the tasks: the same, and after an error") {
  auto a = ends();
  auto settled = co_await rondo::when_all_settled(fails_with(std::move(a.writer)),
                                                  consume(std::move(a.reader)));
  CHECK(std::get<1>(settled).value() == 5);
  CHECK_FALSE(std::get<0>(settled).has_value());
  auto b = ends();
  auto results = co_await rondo::when_all(rondo::as_result(fails_with(std::move(b.writer))),
                                          rondo::with_timeout(1h, consume(std::move(b.reader))));
  CHECK(std::get<1>(results) == 5);
  CHECK_THROWS_AS(std::get<0>(results).value(), std::runtime_error);
  auto c = ends();
  auto in_time = co_await rondo::when_all(rondo::try_for(1h, produce(std::move(c.writer))),
                                          consume(std::move(c.reader)));
  CHECK(std::get<0>(in_time));
  CHECK(std::get<1>(in_time) == 5);
}

LOOP_TEST("shield and with_context around a task: the same") {
  auto a = ends();
  auto shielded = co_await rondo::when_all(rondo::shield(produce(std::move(a.writer))),
                                           consume(std::move(a.reader)));
  CHECK(std::get<1>(shielded) == 5);
  static rondo::context_var<int> variable;
  auto b = ends();
  auto with = co_await rondo::when_all(
      rondo::with_context(variable, 1, produce(std::move(b.writer))), consume(std::move(b.reader)));
  CHECK(std::get<1>(with) == 5);
}

LOOP_TEST("with_task_group: a body that has ended lets go of what it held, and so does a child") {
  auto pipe = ends();
  int read = 0;
  co_await rondo::with_task_group(
      [](rondo::task_group& group, rondo::pipe_reader in, rondo::pipe_writer out,
         int& to) -> task<> {
        group.spawn([](rondo::pipe_reader r, int& n) -> task<> {
          n = co_await consume(std::move(r));
        }(std::move(in), to));
        co_await out.write("hello");
      },
      std::move(pipe.reader), std::move(pipe.writer), std::ref(read));
  CHECK(read == 5);
  rondo::semaphore s(1);
  co_await rondo::with_task_group([](rondo::task_group& group, rondo::semaphore& one) -> task<> {
    auto child = group.spawn(keeps(co_await one.acquire(), 7));
    const int value = co_await child;
    CHECK(value == 7);
    const auto again = co_await one.acquire();
    CHECK(child.value() == 7);
  }, std::ref(s));
}

LOOP_TEST("spawn: what was awaited has let go, whether it ended at once or later") {
  rondo::semaphore s(1);
  for (const auto how : {&keeps, &gives}) {
    auto handle = rondo::spawn(how(co_await s.acquire(), 3));
    co_await handle.wait();
    { const auto again = co_await s.acquire(); }
    const int value = co_await handle;
    CHECK(value == 3);
  }
}

LOOP_TEST("spawn: so has a callable, with what was given to it") {
  auto in_capture = std::make_shared<int>(1);
  auto as_argument = std::make_shared<int>(2);
  const std::weak_ptr<int> captured = in_capture;
  const std::weak_ptr<int> given = as_argument;
  auto handle = rondo::spawn(
      [kept = std::move(in_capture)](const std::shared_ptr<int>& other) -> task<int> {
        co_await rondo::yield();
        co_return *kept + *other;
      },
      std::move(as_argument));
  co_await handle.wait();
  CHECK(captured.expired());
  CHECK(given.expired());
  const int sum = co_await handle;
  CHECK(sum == 3);
}

LOOP_TEST("spawn: what is never started lets go of it with its handle") {
  auto kept = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = kept;
  try {
    co_await rondo::with_task_group([](rondo::task_group& group, std::shared_ptr<int> held) -> task<> {
      group.spawn([]() -> task<> { throw std::runtime_error("the first"); });
      group.spawn([](std::shared_ptr<int>) -> task<> { co_return; }, std::move(held));
      co_await group.join();
    }, std::move(kept));
    CHECK(false);
  } catch (const std::runtime_error&) {
  }
  CHECK(seen.expired());
}

// A stream, whose child has begun, and takes a while to end when it is canceled.

task<> ends_slowly(bool& ended) {
  try {
    co_await rondo::sleep_for(1h);
  } catch (const rondo::operation_canceled&) {
  }
  co_await rondo::shield(rondo::sleep_for(2ms));
  ended = true;
}
task<rondo::completion_stream<std::vector<task<>>>> begun(bool& ended) {
  std::vector<task<>> children;
  children.push_back(ends_slowly(ended));
  auto stream = rondo::as_completed(std::move(children));
  static_cast<void>(co_await rondo::try_for(1ms, stream.next()));
  co_return stream;
}
template <typename Stream>
task<> holds(Stream) {
  co_await rondo::yield();
}

LOOP_TEST("an as_completed stream among the arguments ends before its task counts as ended") {
  bool ended = false;
  auto handle = rondo::spawn(holds(co_await begun(ended)));
  co_await handle.wait();
  CHECK(ended);
  for (int how = 0; how < 3; ++how) {
    ended = false;
    auto stream = co_await begun(ended);
    switch (how) {
      case 0: co_await rondo::when_all(holds(std::move(stream))); break;
      case 1: co_await rondo::shield(rondo::when_all(holds(std::move(stream)))); break;
      case 2: co_await rondo::with_timeout(1h, rondo::when_any(holds(std::move(stream)))); break;
    }
    INFO(how);
    CHECK(ended);
  }
}

ON_BOTH_RINGS("and so does one among the arguments of what a loop runs", {
  rondo::event_loop loop;
  bool ended = false;
  auto stream = loop.run(begun(ended));
  loop.run(rondo::when_all(holds(std::move(stream))));
  CHECK(ended);
})

LOOP_TEST("a value whose move may throw, and one that is a reference, are there all the same") {
  auto values = co_await rondo::when_all(makes(1), makes(2));
  CHECK(std::get<0>(values).number + std::get<1>(values).number == 3);
  auto handle = rondo::spawn(makes(4));
  const auto later = co_await handle;
  CHECK(later.number == 4);
  int place = 5;
  const auto refer = [](int& to) -> task<int&> {
    co_await rondo::yield();
    co_return to;
  };
  auto references = co_await rondo::when_all(refer(place), refer(place));
  CHECK(&std::get<0>(references).get() == &place);
  auto spawned = rondo::spawn(refer(place));
  int& same = co_await spawned;
  CHECK(&same == &place);
}

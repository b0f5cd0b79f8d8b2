// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/multishot.hpp>

#include <sys/eventfd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <rondo/testing.hpp>
#include <utility>
#include <vector>

#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;
using detail::arrival;

namespace {

/// What a source has seen.
struct history {
  int asked = 0;
  int arrived = 0;
  int discarded = 0;
  int living = 0;
};

/// One value for each time that an eventfd was written to: a poll that stays.
class rings_source {
 public:
  using value_type = int;
  static constexpr const char* name = "rings";

  rings_source(int bell, history& seen, int most = 1000) : fd(bell), seen_(&seen), most_(most) {
    ++seen_->living;
  }
  rings_source(rings_source&& other) noexcept
      : fd(other.fd), begin_error(other.begin_error), seen_(other.seen_), most_(other.most_) {
    ++seen_->living;
  }
  rings_source& operator=(rings_source&&) = delete;
  ~rings_source() { --seen_->living; }

  [[nodiscard]] int begin(detail::engine&) const noexcept { return begin_error; }
  void prepare(io_uring_sqe& e, int on) noexcept {
    ++seen_->asked;
    io_uring_prep_poll_multishot(&e, on, POLLIN);
  }
  [[nodiscard]] arrival arrived(int result, std::uint32_t) noexcept {
    if (result < 0) return arrival::error;
    std::uint64_t count = 0;
    if (::read(fd, &count, sizeof count) < 0) return arrival::nothing;
    ++waiting_;
    ++seen_->arrived;
    return arrival::kept;
  }
  [[nodiscard]] bool empty() const noexcept { return waiting_ == 0; }
  [[nodiscard]] bool full() const noexcept { return waiting_ >= most_; }
  [[nodiscard]] int take() noexcept {
    --waiting_;
    return ++taken_;
  }
  void discard() noexcept { seen_->discarded += std::exchange(waiting_, 0); }
  [[nodiscard]] static bool park(detail::engine&, detail::in_flight&) noexcept { return false; }
  static void unpark(detail::in_flight&) noexcept {}
  static void passed() noexcept {}

  int fd;
  int begin_error = 0;

 private:
  history* seen_;
  int most_;
  int waiting_ = 0;
  int taken_ = 0;
};
using rings = io::multishot<rings_source>;

struct bell {
  descriptor fd{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  [[nodiscard]] int native_handle() const { return fd.native_handle(); }
  void ring() const {
    const std::uint64_t one = 1;
    REQUIRE(::write(native_handle(), &one, sizeof one) == sizeof one);
  }
  [[nodiscard]] rings many(history& seen, int most = 1000) const {
    return rings(native_handle(), rings_source(native_handle(), seen, most));
  }
};

task<> ring_later(const bell& b) {
  co_await round_trip();
  b.ring();
}

task<std::optional<int>> stream_next_of(rings& stream) { co_return co_await stream.next(); }

task<std::optional<int>> nothing() { co_return std::nullopt; }

task<> arrivals(const history& seen, int count) {
  co_await until([&seen, count] { return seen.arrived == count; });
}

/// Has something been done about what was asked for? Both rings look outside at least this often.
task<> settle() {
  for (int i = 0; i < 10; ++i) co_await round_trip();
}

}  // namespace

LOOP_TEST("a stream asks once and gives what comes, one after the other") {
  const bell b;
  history seen;
  rings stream = b.many(seen);
  for (int i = 1; i <= 5; ++i) {
    auto both = co_await when_all(stream.next(), ring_later(b));
    CHECK(std::get<0>(both) == std::optional<int>(i));
  }
  CHECK(seen.asked == 1);
}

LOOP_TEST("what comes while nobody waits is there for the next one") {
  const bell b;
  history seen;
  rings stream = b.many(seen);
  co_await when_all(stream.next(), ring_later(b));
  b.ring();
  co_await arrivals(seen, 2);
  b.ring();
  co_await arrivals(seen, 3);
  const auto second = co_await stream.next();
  const auto third = co_await stream.next();
  CHECK(second == std::optional<int>(2));
  CHECK(third == std::optional<int>(3));
}

LOOP_TEST("a next that was canceled leaves the stream to the following one before it has ended") {
  const bell b;
  history seen;
  rings stream = b.many(seen);
  {
    std::vector<task<std::optional<int>>> two;
    two.push_back(stream_next_of(stream));
    two.push_back(nothing());
    auto results = as_completed(std::move(two));
    const auto first = co_await results.next();
    CHECK(first->index == 1);
  }  // dropped: the other one is canceled, and told of it a turn later
  const auto both = co_await when_all(stream.next(), ring_later(b));
  CHECK(std::get<0>(both) == std::optional<int>(1));
  CHECK(seen.asked == 1);
}

LOOP_TEST("nothing is asked before the first next, nor in a canceled scope") {
  const bell b;
  history seen;
  {
    rings stream = b.many(seen);
    static_cast<void>(stream.next());
    co_await settle();
    auto canceled = spawn(code_of(stream.next()));
    canceled.cancel();
    const std::error_code code = co_await canceled;
    CHECK(code == errc::canceled);
  }
  CHECK(seen.asked == 0);
  CHECK(seen.living == 0);
}

LOOP_TEST("a next that is canceled loses nothing, and the stream goes on") {
  const bell b;
  history seen;
  rings stream = b.many(seen);
  for (int i = 1; i <= 3; ++i) {
    const auto none = co_await try_for(1ms, stream.next());
    CHECK_FALSE(none.has_value());
  }
  b.ring();
  const auto one = co_await stream.next();
  CHECK(one == std::optional<int>(1));
  CHECK(seen.asked == 1);
}

LOOP_TEST("a next that is canceled just as something comes loses nothing") {
  const bell b;
  history seen;
  rings stream = b.many(seen);
  int got = 0;
  for (int i = 0; i < 50; ++i) {
    auto waiting = spawn(stream_next_of(stream));
    co_await round_trip();
    b.ring();
    if (i % 2 == 0) co_await yield();
    if (i % 3 == 0) co_await round_trip();
    waiting.cancel();
    const auto r = co_await as_result(waiting);
    if (r && r->has_value()) ++got;
    co_await arrivals(seen, i + 1);
  }
  while (got < 50) {
    const auto rest = co_await with_timeout(1s, stream.next());
    if (rest) ++got;
  }
  const auto more = co_await try_for(1ms, stream.next());
  CHECK_FALSE(more.has_value());
}

LOOP_TEST("a race between two streams takes from one of them only") {
  const bell a;
  const bell b;
  history seen;
  rings first = a.many(seen);
  rings second = b.many(seen);
  co_await try_for(1ms, when_all(first.next(), second.next()));
  for (int i = 0; i < 10; ++i) {
    const auto ring_both = [&]() -> task<> {
      co_await round_trip();
      a.ring();
      b.ring();
    };
    auto ringing = spawn(ring_both());
    const auto won = co_await when_any(first.next(), second.next());
    co_await ringing;
    // The other one's is still there.
    if (won.index() == 0) {
      const auto other = co_await with_timeout(1s, second.next());
      CHECK(other == std::optional<int>(i + 1));
    } else {
      const auto other = co_await with_timeout(1s, first.next());
      CHECK(other == std::optional<int>(i + 1));
    }
  }
}

LOOP_TEST("a consumer that falls behind ends the operation, which is asked again when it is needed") {
  const bell b;
  history seen;
  rings stream = b.many(seen, 3);
  co_await when_all(stream.next(), ring_later(b));
  for (int i = 0; i < 3; ++i) {
    b.ring();
    co_await arrivals(seen, i + 2);
  }
  co_await settle();
  b.ring();  // nobody looks: this one stays in the eventfd
  co_await settle();
  for (int i = 2; i <= 4; ++i) {
    const auto value = co_await stream.next();
    CHECK(value == std::optional<int>(i));
    CHECK(seen.asked == 1);
  }
  const auto value = co_await stream.next();
  CHECK(value == std::optional<int>(5));
  CHECK(seen.asked == 2);
}

// Ends

LOOP_TEST("close ends what is in flight, drops what nobody has taken, and the stream is at its end") {
  const bell b;
  history seen;
  rings stream = b.many(seen);
  co_await when_all(stream.next(), ring_later(b));
  b.ring();
  co_await arrivals(seen, 2);
  co_await stream.close();
  CHECK(seen.discarded == 1);
  b.ring();
  co_await settle();
  const auto none = co_await stream.next();
  CHECK_FALSE(none.has_value());
  co_await stream.close();
  CHECK(seen.asked == 1);
}

LOOP_TEST("nothing is in flight any more when close ends") {
  const bell b;
  history seen;
  {
    rings stream = b.many(seen);
    co_await try_for(0s, stream.next());
    co_await stream.close();
  }
  CHECK(seen.living == 0);  // at once
}

LOOP_TEST("close works before anything was asked, and in a canceled task") {
  const bell b;
  history seen;
  rings idle = b.many(seen);
  co_await idle.close();
  rings stream = b.many(seen);
  co_await try_for(0s, stream.next());
  const auto close_it = [](rings& s) -> task<> { co_await s.close(); };
  auto closing = spawn(close_it(stream));
  closing.cancel();
  const std::error_code code = co_await code_of(std::move(closing));
  CHECK(code == std::error_code());
  const auto none = co_await stream.next();
  CHECK_FALSE(none.has_value());
}

LOOP_TEST("close ends a next that another task awaits") {
  const bell b;
  history seen;
  rings stream = b.many(seen);
  auto waiting = spawn(stream_next_of(stream));
  co_await settle();
  co_await stream.close();
  const auto none = co_await waiting;
  CHECK_FALSE(none.has_value());
}

LOOP_TEST("several may wait for one close") {
  const bell b;
  history seen;
  rings stream = b.many(seen);
  co_await try_for(0s, stream.next());
  co_await when_all(stream.close(), stream.close());
  co_await stream.close();
}

LOOP_TEST("whoever closes the descriptor ends the stream, in flight or not") {
  history seen;
  {
    bell b;
    rings stream = b.many(seen);
    auto waiting = spawn(code_of(stream_next_of(stream)));
    co_await settle();
    co_await io::close(std::move(b.fd));
    const std::error_code code = co_await waiting;
    CHECK(code == errc::closed);
    const std::error_code again = co_await code_of(stream.next());
    CHECK(again == errc::closed);
  }
  {
    // Nothing is in flight; the number belongs to somebody else by then.
    bell b;
    seen.arrived = 0;
    rings stream = b.many(seen, 1);
    co_await when_all(stream.next(), ring_later(b));
    co_await settle();
    b.ring();
    const auto second = co_await stream.next();
    CHECK(second == std::optional<int>(2));
    co_await settle();
    const int number = b.native_handle();
    co_await io::close(std::move(b.fd));
    const bell other;
    CHECK(other.native_handle() == number);
    const int asked = seen.asked;
    const std::error_code code = co_await code_of(stream.next());
    CHECK(code == errc::closed);
    CHECK(seen.asked == asked);
  }
}

LOOP_TEST("an error is thrown once, with the operation's name, and the next call asks again") {
  history seen;
  rings stream(-1, rings_source(-1, seen));
  for (int i = 1; i <= 2; ++i) {
    const std::string words = co_await words_of(stream.next());
    CHECK(words == "rings: " + std::system_category().message(EBADF));
    CHECK(seen.asked == i);
  }
  const auto r = co_await as_result(stream.next());
  CHECK(r.error() == std::errc::bad_file_descriptor);
  CHECK(seen.asked == 3);
  rings_source refuses(-1, seen);
  refuses.begin_error = -EPERM;
  rings refused(-1, std::move(refuses));
  const std::error_code code = co_await code_of(refused.next());
  CHECK(code == std::errc::operation_not_permitted);
  CHECK(seen.asked == 3);
}

// Dropped

ON_BOTH_RINGS("a stream that is dropped in any state leaves nothing behind, and run waits for the kernel", {
  const auto descriptors = rondo_test::open_descriptors();
  history seen;
  const auto drop = [](const bell& b, history& l, int state) -> task<> {
    rings stream = b.many(l, state >= 6 ? 1 : 1000);
    if (state == 0) co_return;  // never asked
    co_await when_all(stream.next(), ring_later(b));
    if (state == 1) co_return;  // armed
    if (state == 2) {           // something has come
      b.ring();
      co_await settle();
    }
    if (state == 3) b.ring();  // is coming
    if (state == 4) {          // a canceled next
      co_await try_for(0s, stream.next());
    }
    if (state == 5) co_await stream.close();
    if (state >= 6) {  // is being ended, or has been, because it is full
      b.ring();
      for (int i = 6; i < state; ++i) co_await io::nop();
    }
  };
  const bell b;
  for (int round = 0; round < 2; ++round) {
    for (int state = 0; state <= 10; ++state) {
      INFO("state " << state);
      rondo::run(drop(b, seen, state));
      CHECK(seen.living == 0);  // run has waited
      std::uint64_t drained = 0;
      static_cast<void>(!::read(b.native_handle(), &drained, sizeof drained));
    }
  }
  const bell last;
  CHECK(rondo_test::open_descriptors() == descriptors + 2);
})

LOOP_TEST("a stream is moved, also while a next is awaited") {
  const bell b;
  history seen;
  rings first = b.many(seen);
  auto waiting = spawn(stream_next_of(first));
  co_await settle();
  rings second = std::move(first);
  b.ring();
  const auto value = co_await waiting;
  CHECK(value == std::optional<int>(1));
  b.ring();
  const auto next = co_await second.next();
  CHECK(next == std::optional<int>(2));
}

ON_BOTH_RINGS("a stream that outlives a run goes on in the next one", {
  const bell b;
  history seen;
  event_loop loop;
  rings stream = b.many(seen);
  const auto one = [](rings& s, const bell& from) -> task<int> {
    auto both = co_await when_all(s.next(), ring_later(from));
    co_return std::get<0>(both).value();
  };
  CHECK(loop.run(one(stream, b)) == 1);
  CHECK(loop.run(one(stream, b)) == 2);
  CHECK(seen.asked == 2);
})

ON_BOTH_RINGS("a stream that outlives its loop goes on in another one", {
  const bell b;
  history seen;
  rings stream = b.many(seen, 1);
  const auto one = [](rings& s, const bell& from) -> task<int> {
    auto both = co_await when_all(s.next(), ring_later(from));
    from.ring();  // fills it
    co_await settle();
    co_return std::get<0>(both).value();
  };
  CHECK(rondo::run(one(stream, b)) == 1);
  CHECK(rondo::run(one(stream, b)) == 2);
})

ON_BOTH_RINGS("a stream that is dropped between two turns is ended", {
  const bell b;
  history seen;
  event_loop loop;
  auto stream = std::make_unique<rings>(b.many(seen));
  auto waiting = loop.spawn(stream_next_of(*stream));
  while (seen.asked == 0) loop.run_once();
  b.ring();
  while (!waiting.done()) loop.run_once(10ms);
  stream = nullptr;
  CHECK(seen.living == 1);
  while (loop.run_once(10ms)) {
  }
  CHECK(seen.living == 0);
})

// Costs and faults

TEST_CASE("waiting for a stream allocates nothing") {
  if (!rondo_test::heap_is_counted()) SKIP("needs a counted heap");
  const bell b;
  history seen;
  const auto count = [](const bell& from, history& l) -> task<std::size_t> {
    rings stream = from.many(l);
    std::size_t before = 0;
    for (int i = 0; i < 200; ++i) {
      if (i == 100) before = rondo_test::allocations();
      from.ring();
      const auto value = co_await stream.next();
      if (!value) throw std::logic_error("the end");
    }
    co_return rondo_test::allocations() - before;
  };
  CHECK(rondo::run(count(b, seen)) == 0);
}

ON_BOTH_RINGS("streams survive full queues, refused calls and late completions", {
  const auto many = [](history& l) -> task<int> {
    const bell b;
    rings stream = b.many(l, 2);
    int got = 0;
    while (got < 20) {
      b.ring();
      const auto value = co_await try_for(1ms, stream.next());
      if (value && *value) ++got;
    }
    co_return got;
  };
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    history seen;
    testing::faults f(seed);
    f.full_queues(40).refused_calls(20).late_completions(30);
    loop_options few;
    few.entries = 4;
    CHECK(rondo::run(many(seen), f.options(few)) == 20);
    CHECK(seen.living == 0);
  }
})

LOOP_TEST("a stream of a descriptor that was closed before the first next works on no other") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  auto peers = listener.accept_many();
  const int number = listener.native_handle();
  co_await listener.close();
  tcp_listener other = tcp_listener::bind(endpoint::loopback(0));
  CHECK(other.native_handle() == number);
  const tcp_stream client = co_await tcp_stream::connect(other.local_endpoint());
  const auto peer = co_await as_result(peers.next());
  REQUIRE_FALSE(peer.has_value());
  CHECK(peer.error() == errc::closed);

  buffer_ring ring{8, 64};
  auto [a, b] = socket_pair();
  auto chunks = a.receive_many(ring);
  co_await a.close();
  auto [c, d] = socket_pair();
  co_await d.write("secret");
  const auto chunk = co_await as_result(chunks.next());
  REQUIRE_FALSE(chunk.has_value());
  CHECK(chunk.error() == errc::closed);
}

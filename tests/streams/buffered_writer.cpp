// SPDX-License-Identifier: BSL-1.0

#include <rondo/streams/buffered_writer.hpp>

#include <chrono>
#include <string>
#include <type_traits>

#include "streams/conformance.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::buffered_writer;
using rondo::task;

namespace {

/// Keeps what is written, in pieces of at most `most` bytes.
struct sink {
  std::string all;
  int writes = 0;
  std::size_t most = 1'000'000;
  bool fails = false;
  bool waits = false;
  bool closed = false;

  task<std::size_t> write_some(rondo::const_buffer from) & {
    ++writes;
    co_await rondo::yield();
    if (fails) throw std::system_error(std::make_error_code(std::errc::connection_reset), "sink");
    if (waits) co_await rondo::sleep_for(1h);
    const std::size_t n = std::min(most, from.size());
    all.append(static_cast<const char*>(from.data()), n);
    co_return n;
  }
  task<> write(rondo::const_buffer from) & {
    for (std::size_t done = 0; done < from.size();) done += co_await write_some(from.after(done));
  }
  task<> close() & {
    closed = true;
    co_return;
  }
};

/// Has no write_some.
struct plain_sink {
  std::string all;
  bool waits = false;
  task<> write(rondo::const_buffer from) & {
    all.append(static_cast<const char*>(from.data()), from.size());
    if (waits) co_await rondo::sleep_for(1h);
  }
};

}  // namespace

static_assert(std::is_same_v<decltype(buffered_writer(std::declval<sink&>())), buffered_writer<sink&>>);
static_assert(std::is_same_v<decltype(buffered_writer(std::declval<sink>(), 10)), buffered_writer<sink>>);
static_assert(rondo::async_writer<buffered_writer<sink>> && !rondo::async_reader<buffered_writer<sink>>);
static_assert(rondo::async_reader<buffered_writer<rondo::tcp_stream>>);

VIRTUAL_TEST("small writes are collected, and go when the buffer is full or flushed") {
  sink s;
  buffered_writer out(s, 10);
  co_await out.write("abc");
  co_await out.write(std::string("defg"));
  co_await out.write("");
  CHECK(s.all.empty());
  CHECK(out.pending() == 7);
  co_await out.write("hijk");
  CHECK(s.all == "abcdefg");
  CHECK(out.pending() == 4);
  co_await out.flush();
  CHECK(s.all == "abcdefghijk");
  CHECK(out.pending() == 0);
  co_await out.flush();
  CHECK(s.writes == 2);
}

VIRTUAL_TEST("what is larger than the buffer goes directly, after what came before it") {
  sink s;
  s.most = 7;
  buffered_writer out(s, 10);
  co_await out.write("abc");
  co_await out.write(std::string(20, 'x'));
  CHECK(s.all == "abc" + std::string(20, 'x'));
  co_await out.write(std::string(10, 'y'));
  CHECK(out.pending() == 10);
  co_await out.close();
  CHECK(s.all == "abc" + std::string(20, 'x') + std::string(10, 'y'));
  CHECK(s.closed);
}

VIRTUAL_TEST("a stream that only writes everything will do") {
  plain_sink s;
  buffered_writer out(s);
  co_await out.write("abc");
  co_await out.flush();
  CHECK(s.all == "abc");
}

VIRTUAL_TEST("a flush that is canceled or fails keeps the rest, and the next one goes on with it") {
  for (const bool cancel : {true, false}) {
    sink s;
    s.most = 3;
    buffered_writer out(s, 10);
    co_await out.write("0123456789");
    auto flushing = rondo::spawn(code_of(out.flush()));
    while (s.all.empty()) co_await rondo::yield();
    (cancel ? s.waits : s.fails) = true;
    const std::error_code stopped = co_await code_of(rondo::with_timeout(1s, flushing.wait()));
    if (cancel) {
      CHECK(stopped == std::errc::timed_out);
      flushing.cancel();
    }
    const std::error_code code = co_await flushing;
    CHECK(code == (cancel ? std::error_code(rondo::errc::canceled)
                          : std::make_error_code(std::errc::connection_reset)));
    s.waits = s.fails = false;
    CHECK(out.pending() == 10 - s.all.size());
    co_await out.flush();
    CHECK(s.all == "0123456789");
  }
}

VIRTUAL_TEST("what a canceled flush gave to a stream that does not say how far it came is not sent again") {
  plain_sink s;
  buffered_writer out(s);
  co_await out.write("abc");
  s.waits = true;
  const std::error_code code = co_await code_of(rondo::with_timeout(1s, out.flush()));
  CHECK(code == std::errc::timed_out);
  CHECK(out.pending() == 0);
  s.waits = false;
  co_await out.write("def");
  co_await out.flush();
  CHECK(s.all == "abcdef");
}

VIRTUAL_TEST("a flush reaches through a buffer to the one beneath") {
  sink s;
  buffered_writer below(s);
  buffered_writer<buffered_writer<sink&>&> out(below);
  co_await out.write("abc");
  co_await out.flush();
  CHECK(s.all == "abc");
}

VIRTUAL_TEST("a write that is canceled while it makes room has taken nothing") {
  sink s;
  buffered_writer out(s, 10);
  co_await out.write("01234567");
  s.waits = true;
  const std::error_code code = co_await code_of(rondo::with_timeout(1s, out.write("abc")));
  CHECK(code == std::errc::timed_out);
  s.waits = false;
  co_await out.flush();
  CHECK(s.all == "01234567");
}

VIRTUAL_TEST("close closes also when flushing fails or is canceled") {
  sink s;
  s.fails = true;
  buffered_writer out(s);
  co_await out.write("abc");
  const std::error_code code = co_await code_of(out.close());
  CHECK(code == std::errc::connection_reset);
  CHECK(s.closed);
  sink other;
  buffered_writer canceled(other);
  co_await canceled.write("abc");
  auto closing = rondo::spawn(code_of(canceled.close()));
  closing.cancel();
  const std::error_code ended = co_await closing;
  CHECK(ended == rondo::errc::canceled);
  CHECK(other.closed);
}

LOOP_TEST("a hundred thousand short writes over a connection arrive") {
  tcp_ends ends = co_await tcp_pair();
  const auto write_all = [](rondo::tcp_stream& to) -> task<> {
    buffered_writer out(to);
    for (int i = 0; i < 100'000; ++i) co_await out.write("12345678");
    co_await out.close();
  };
  const auto both = co_await rondo::when_all(read_to_end(ends.b), write_all(ends.a));
  const std::string& arrived = std::get<0>(both);
  CHECK(arrived.size() == 800'000);
  CHECK(arrived.find_first_not_of("12345678") == arrived.npos);
}

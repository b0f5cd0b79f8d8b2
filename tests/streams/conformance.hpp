// SPDX-License-Identifier: BSL-1.0
#pragma once

// What holds for every stream of bytes, written once.
//
//     struct tcp {
//       using reader = rondo::tcp_stream;
//       using writer = rondo::tcp_stream;
//       static rondo::task<rondo::test::stream_ends<tcp>> make();  // two ends that are connected
//     };
//     STREAM_TESTS(tcp, "tcp")
//
// makes a test of each sentence below on each ring, "tcp: a sentence (io_uring)".

#include <array>
#include <chrono>
#include <cstddef>
#include <rondo/testing.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

namespace rondo::test {

template <typename Kind>
struct stream_ends {
  typename Kind::reader reader;
  typename Kind::writer writer;
};

inline std::string pattern(std::size_t size, std::size_t seed = 1) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    text[i] = static_cast<char>((i * 31 + i / 251 + seed) % 256);
  }
  return text;
}

template <async_reader Reader>
task<std::string> read_to_end(Reader& from) {
  std::string all;
  std::array<char, 4096> buffer;
  for (;;) {
    const std::size_t n = co_await from.read(buffer);
    if (n == 0) co_return all;
    all.append(buffer.data(), n);
  }
}

/// The same for a stream that is closed in the middle, which some take for an error.
template <async_reader Reader>
task<std::string> read_until_cut_off(Reader& from) {
  std::string all;
  std::array<char, 4096> buffer;
  try {
    for (std::size_t n = 0; (n = co_await from.read(buffer)) != 0;) all.append(buffer.data(), n);
  } catch (const unexpected_eof&) {
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::connection_reset);
  }
  co_return all;
}

template <typename Kind>
struct stream_tests {
  using reader = typename Kind::reader;
  using writer = typename Kind::writer;
  static_assert(async_reader<reader> && async_stream<reader>);
  static_assert(async_writer<writer> && async_stream<writer>);

  static task<> send_and_close(writer& to, const std::string& text) {
    co_await to.write(text);
    co_await to.close();
  }

  static task<> carries() {
    auto ends = co_await Kind::make();
    const std::string sent = pattern(1 << 20);
    auto both = co_await when_all(read_to_end(ends.reader), send_and_close(ends.writer, sent));
    const bool same = std::get<0>(both) == sent;
    CHECK(same);
  }

  static task<> owns_what_is_given_away() {
    auto ends = co_await Kind::make();
    co_await ends.writer.write(std::string("short"));
    co_await ends.writer.write("and " + std::string(1000, 'l'));
    std::string space(1009, '\0');
    co_await ends.reader.read_exactly(space);
    CHECK(space == "shortand " + std::string(1000, 'l'));
  }

  static task<> gives_what_there_is() {
    auto ends = co_await Kind::make();
    std::array<char, 100> space;
    co_await ends.writer.write("abc");
    const std::size_t some = co_await ends.reader.read(space);
    CHECK(std::string_view(space.data(), some) == "abc");
    co_await ends.writer.close();
    const std::size_t end = co_await ends.reader.read(space);
    const std::size_t again = co_await ends.reader.read(space);
    CHECK(end == 0);
    CHECK(again == 0);
  }

  static task<> reads_exactly() {
    auto ends = co_await Kind::make();
    const auto drip = [](writer& to) -> task<> {
      for (const char& c : std::string_view("0123456789abcde")) {
        co_await to.write(const_buffer(&c, 1));
        co_await yield();
      }
      co_await to.close();
    };
    const auto read = [](reader& from) -> task<std::size_t> {
      std::string space(10, '\0');
      co_await from.read_exactly(mutable_buffer());
      co_await from.read_exactly(space);
      CHECK(space == "0123456789");
      try {
        co_await from.read_exactly(space);
      } catch (const unexpected_eof& e) {
        co_return e.received();
      }
      co_return 0;
    };
    const auto both = co_await when_all(read(ends.reader), drip(ends.writer));
    CHECK(std::get<0>(both) == 5);
  }

  static task<> loses_nothing_when_canceled() {
    auto ends = co_await Kind::make();
    std::string received;
    std::array<char, 7> space;
    const std::string sent = pattern(3000);
    const auto drip = [](writer& to, const std::string& text) -> task<> {
      for (std::size_t at = 0; at < text.size(); at += 3) {
        co_await to.write(const_buffer(text.data() + at, 3));
        for (std::size_t i = 0; i < at % 5; ++i) co_await round_trip();
      }
    };
    auto writing = spawn(drip(ends.writer, sent));
    for (int turns = 0; received.size() < sent.size(); turns = (turns + 1) % 4) {
      const auto read = [](reader& from, auto& into) -> task<std::size_t> {
        co_return co_await from.read(into);
      };
      auto reading = spawn(read(ends.reader, space));
      for (int i = 0; i < turns; ++i) co_await yield();
      reading.cancel();
      try {
        const std::size_t n = co_await reading;
        received.append(space.data(), n);
      } catch (const operation_canceled&) {
      }
      co_await round_trip();
    }
    co_await writing;
    const bool same = received == sent;
    CHECK(same);
  }

  static task<> takes_nothing_in_a_canceled_scope() {
    auto ends = co_await Kind::make();
    co_await ends.writer.write("abc");
    co_await round_trip();
    std::string space(3, '\0');
    const auto refused = [](auto what) -> task<std::error_code> {
      auto running = spawn(code_of(std::move(what)));
      running.cancel();
      co_return co_await running;
    };
    const std::error_code read = co_await refused(ends.reader.read(space));
    const std::error_code exactly = co_await refused(ends.reader.read_exactly(space));
    const std::error_code written = co_await refused(ends.writer.write("not this"));
    CHECK(read == errc::canceled);
    CHECK(exactly == errc::canceled);
    CHECK(written == errc::canceled);
    co_await ends.writer.close();
    const std::string all = co_await read_to_end(ends.reader);
    CHECK(all == "abc");
  }

  static task<> does_nothing_when_dropped() {
    auto ends = co_await Kind::make();
    std::string space(3, '\0');
    static_cast<void>(ends.writer.write("not this"));
    static_cast<void>(ends.reader.read(space));
    static_cast<void>(ends.reader.read_exactly(space));
    static_cast<void>(ends.reader.close());
    co_await round_trip();
    co_await ends.writer.write("abc");
    co_await ends.reader.read_exactly(space);
    CHECK(space == "abc");
  }

  static task<> is_closed_under_a_read() {
    auto ends = co_await Kind::make();
    std::array<char, 10> space;
    auto reading = spawn(code_of(ends.reader.read(space)));
    co_await round_trip();
    CHECK_FALSE(reading.done());
    co_await ends.reader.close();
    CHECK(reading.done());
    const std::error_code code = co_await reading;
    CHECK(code == errc::closed);
    co_await ends.reader.close();  // again: nothing is left to do
  }

  static task<> is_closed_under_a_write() {
    auto ends = co_await Kind::make();
    auto writing = spawn(code_of(ends.writer.write(std::string(16 << 20, 'x'))));
    co_await try_for(std::chrono::milliseconds(20), writing.wait());
    CHECK_FALSE(writing.done());
    co_await ends.writer.close();
    const std::error_code code = co_await writing;
    CHECK(code == errc::closed);
    const std::string arrived = co_await read_until_cut_off(ends.reader);
    CHECK(arrived == std::string(arrived.size(), 'x'));
  }

  static task<> flushes_each_byte_once() {
    auto ends = co_await Kind::make();
    const std::string sent = pattern(16 << 20);
    buffered_writer out(ends.writer, sent.size());
    co_await out.write(sent);
    std::string received;
    for (int i = 0; i < 5; ++i) {
      auto flushing = spawn(code_of(out.flush()));
      co_await try_for(std::chrono::milliseconds(10), flushing.wait());
      CHECK_FALSE(flushing.done());
      flushing.cancel();
      const std::error_code code = co_await flushing;
      CHECK(code == errc::canceled);
      // Where writing is slow, nothing may have gone that has not been read before.
      std::string some(10'000, '\0');
      const auto n = co_await try_for(std::chrono::milliseconds(10), ends.reader.read(some));
      received.append(some, 0, n.value_or(0));
    }
    const auto both = co_await when_all(read_to_end(ends.reader), out.close());
    received += std::get<0>(both);
    const bool same = received == sent;
    CHECK(same);
  }

  static task<> closes_in_a_canceled_scope() {
    auto ends = co_await Kind::make();
    const auto close_it = [](writer& w) -> task<> {
      const auto end = co_await as_result(sleep_for(std::chrono::hours(1)));
      CHECK(end.error() == errc::canceled);
      co_await w.close();
    };
    auto closing = spawn(close_it(ends.writer));
    co_await round_trip();
    closing.cancel();
    co_await closing;
    std::array<char, 10> space;
    const std::size_t end = co_await ends.reader.read(space);
    CHECK(end == 0);
  }

  static task<> is_closed_after_what_uses_it() {
    auto ends = co_await Kind::make();
    const auto talk = [](writer& to) -> task<> {
      co_await yield();
      co_await to.write("still open");
    };
    co_await finally(talk(ends.writer), ends.writer.close());
    const std::string all = co_await read_to_end(ends.reader);
    CHECK(all == "still open");
  }

  static task<> is_an_error_without_a_reader() {
    auto ends = co_await Kind::make();
    co_await ends.reader.close();
    std::error_code code;
    for (int i = 0; i < 100 && !code; ++i) {
      code = co_await code_of(ends.writer.write("x"));
      co_await round_trip();
    }
    const bool broken = code == std::errc::broken_pipe || code == std::errc::connection_reset;
    CHECK(broken);
  }

  static task<> leaves_nothing_open() {
    const auto before = rondo_test::open_descriptors();
    {
      auto ends = co_await Kind::make();
      co_await ends.writer.write("never read");
      std::array<char, 3> space;
      co_await ends.reader.read(space);
    }
    CHECK(rondo_test::open_descriptors() == before);
    {
      auto ends = co_await Kind::make();
      co_await ends.writer.close();
      co_await ends.reader.close();
    }
    CHECK(rondo_test::open_descriptors() == before);
  }

  static task<> allocates_nothing() {
    auto ends = co_await Kind::make();
    const auto rounds = [](stream_ends<Kind>& e, int count) -> task<> {
      std::array<char, 64> space{};
      for (int i = 0; i < count; ++i) {
        co_await e.writer.write(const_buffer(space));
        co_await e.reader.read_exactly(space);
      }
    };
    co_await rounds(ends, 10);
    auto many = rounds(ends, 1000);
    const auto before = rondo_test::allocations();
    co_await std::move(many);
    const auto during = rondo_test::allocations() - before;
    if constexpr (RONDO_FRAME_POOL != 0) CHECK(during == 0);
  }

  static task<> arrives_whole_whatever_goes_wrong() {
    auto ends = co_await Kind::make();
    const std::string sent = pattern(300'000, 3);
    auto both = co_await when_all(read_to_end(ends.reader), send_and_close(ends.writer, sent));
    const bool same = std::get<0>(both) == sent;
    CHECK(same);
  }
  static void with_faults() {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      INFO("seed " << seed);
      auto faults = testing::faults(seed).short_transfers(50).late_completions(20).full_queues(20);
      rondo::run(arrives_whole_whatever_goes_wrong(), faults.options());
    }
  }
};

}  // namespace rondo::test

#define STREAM_TEST(kind, sentence, body) \
  ON_BOTH_RINGS(sentence, rondo::run(rondo::test::stream_tests<kind>::body());)

#define STREAM_TESTS(kind, name)                                                                 \
  STREAM_TEST(kind, name ": a mebibyte arrives as it was sent, and then the end", carries)       \
  STREAM_TEST(kind, name ": what is given away to be written is kept until it has gone",         \
              owns_what_is_given_away)                                                           \
  STREAM_TEST(kind, name ": read gives what there is, and 0 at the end, again and again",        \
              gives_what_there_is)                                                               \
  STREAM_TEST(kind, name ": read_exactly waits for all of it, and says how much came before the end", \
              reads_exactly)                                                                     \
  STREAM_TEST(kind, name ": reads that are canceled at any moment lose nothing",                 \
              loses_nothing_when_canceled)                                                       \
  STREAM_TEST(kind, name ": in a canceled scope nothing is read or written",                     \
              takes_nothing_in_a_canceled_scope)                                                 \
  STREAM_TEST(kind, name ": what is made and dropped does nothing", does_nothing_when_dropped)   \
  STREAM_TEST(kind, name ": close ends a read, which has ended when it returns, and may be repeated", \
              is_closed_under_a_read)                                                            \
  STREAM_TEST(kind, name ": close ends a write", is_closed_under_a_write)                        \
  STREAM_TEST(kind, name ": a buffered flush that is canceled again and again sends each byte once", \
              flushes_each_byte_once)                                                            \
  STREAM_TEST(kind, name ": a canceled task can close it", closes_in_a_canceled_scope)           \
  STREAM_TEST(kind, name ": a close that was made before closes when it is awaited",             \
              is_closed_after_what_uses_it)                                                      \
  STREAM_TEST(kind, name ": writing to nobody is an error and no signal",                        \
              is_an_error_without_a_reader)                                                      \
  STREAM_TEST(kind, name ": it leaves nothing open, closed or dropped", leaves_nothing_open)     \
  STREAM_TEST(kind, name ": reading and writing allocate nothing", allocates_nothing)            \
  ON_BOTH_RINGS(name ": it arrives whole in short pieces, late, and through full queues",        \
                rondo::test::stream_tests<kind>::with_faults();)

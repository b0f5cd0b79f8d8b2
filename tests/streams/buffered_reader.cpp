// SPDX-License-Identifier: BSL-1.0

#include <rondo/streams/buffered_reader.hpp>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "streams/scripted.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::buffered_reader;
using rondo::task;

static_assert(std::is_same_v<decltype(buffered_reader(std::declval<scripted&>())),
                             buffered_reader<scripted&>>);
static_assert(std::is_same_v<decltype(buffered_reader(std::declval<scripted>(), 10)),
                             buffered_reader<scripted>>);
static_assert(rondo::async_reader<buffered_reader<scripted>>);
static_assert(!rondo::async_writer<buffered_reader<scripted>>);
static_assert(rondo::async_writer<buffered_reader<rondo::tcp_stream>>);
static_assert(rondo::async_stream<buffered_reader<rondo::tcp_stream&>>);
static_assert(!rondo::async_stream<rondo::tcp_listener>);

namespace {

task<std::vector<std::string>> all_lines(scripted& from, std::size_t max = 100) {
  buffered_reader in(from, max);
  std::vector<std::string> all;
  auto lines = in.lines();
  while (auto line = co_await lines.next()) all.push_back(*line);
  co_await lines.close();
  co_return all;
}

using strings = std::vector<std::string>;

}  // namespace

// Lines

VIRTUAL_TEST("a line is given without its end, however it arrives") {
  const strings expected = {"one", "two", "", "three"};
  scripted whole{"one\ntwo\r\n\nthree\n"};
  scripted pieces{"o", "ne\n", "two\r", "\n\nth", "ree", "\n"};
  scripted unfinished{"one\ntwo\r\n\r\nthree"};
  const strings a = co_await all_lines(whole);
  const strings b = co_await all_lines(pieces);
  const strings c = co_await all_lines(unfinished);
  CHECK(a == expected);
  CHECK(b == expected);
  CHECK(c == expected);
}

VIRTUAL_TEST("only one carriage return belongs to the end of a line, and only before a newline") {
  scripted s{"a\r\r\nb\rc\nd\r"};
  const strings all = co_await all_lines(s);
  CHECK(all == strings{"a\r", "b\rc", "d\r"});
}

VIRTUAL_TEST("after the last line comes nullopt, again and again") {
  scripted s{"only"};
  buffered_reader in(s);
  const auto line = co_await in.read_line();
  const auto none = co_await in.read_line();
  const auto again = co_await in.read_line();
  CHECK(line == "only");
  CHECK_FALSE(none);
  CHECK_FALSE(again);
  scripted empty{};
  const strings all = co_await all_lines(empty);
  CHECK(all.empty());
}

VIRTUAL_TEST("a line may be as long as the limit, and not one byte longer") {
  for (const char* end : {"\n", "\r\n", ""}) {
    scripted fits{};
    fits.add(std::string(10, 'x') + end);
    const strings all = co_await all_lines(fits, 10);
    CHECK(all == strings{std::string(10, 'x')});
    scripted longer{};
    longer.add(std::string(11, 'x') + end);
    buffered_reader in(longer, 10);
    try {
      static_cast<void>(co_await in.read_line());
      FAIL("longer than the limit");
    } catch (const rondo::line_too_long& e) {
      CHECK(e.limit() == 10);
      CHECK(e.code() == rondo::errc::line_too_long);
    }
    const std::string part = co_await in.read_some(5);
    CHECK(part == "xxxxx");
    const auto rest = co_await in.read_line();
    CHECK(rest == std::string(6, 'x'));
  }
}

VIRTUAL_TEST("a line that never ends is refused as soon as it is too long") {
  scripted s{};
  for (int i = 0; i < 100; ++i) s.add(std::string(1000, 'x'));
  buffered_reader in(s, 5000);
  const std::error_code code = co_await code_of(in.read_line());
  CHECK(code == rondo::errc::line_too_long);
  CHECK(s.reads <= 6);
}

VIRTUAL_TEST("lines that are longer than the buffer at first make it grow") {
  scripted s{};
  const std::string longer(300'000, 'y');
  s.add("a\n" + longer + "\nb\n");
  const strings all = co_await all_lines(s, 1 << 20);
  CHECK(all == strings{"a", longer, "b"});
}

// Delimiters and sizes

VIRTUAL_TEST("read_until includes the delimiter, also one that arrives in pieces") {
  scripted s{"GET / HTTP/1.0\r", "\nHost: x\r\n\r", "\nbo", "dy;rest"};
  buffered_reader in(s);
  const std::string head = co_await in.read_until("\r\n\r\n");
  CHECK(head == "GET / HTTP/1.0\r\nHost: x\r\n\r\n");
  const std::string body = co_await in.read_until(';');
  CHECK(body == "body;");
  try {
    static_cast<void>(co_await in.read_until("\n"));
    FAIL("there was none");
  } catch (const rondo::unexpected_eof& e) {
    CHECK(e.received() == 4);
  }
  const std::string rest = co_await in.read_all();
  CHECK(rest == "rest");
}

VIRTUAL_TEST("read_until has a limit, which includes the delimiter") {
  scripted s{"12345678;x"};
  buffered_reader in(s);
  const std::error_code code = co_await code_of(in.read_until(";", 8));
  CHECK(code == rondo::errc::line_too_long);
  const std::string fits = co_await in.read_until(";", 9);
  CHECK(fits == "12345678;");
  std::string said;
  try {
    static_cast<void>(co_await in.read_until(""));
  } catch (const std::invalid_argument& e) {
    said = e.what();
  }
  CHECK(said == "read_until needs a delimiter");
}

VIRTUAL_TEST("read_exactly gives so many bytes, less and more than there is room for at first") {
  scripted s{"abc", "def"};
  const std::string much(1 << 20, 'm');
  s.add(much + "tail");
  buffered_reader in(s, 100);
  const std::string nothing = co_await in.read_exactly(0);
  CHECK(nothing.empty());
  CHECK(s.reads == 0);
  const std::string four = co_await in.read_exactly(4);
  CHECK(four == "abcd");
  std::string two(2, '\0');
  co_await in.read_exactly(two);
  CHECK(two == "ef");
  const std::string large = co_await in.read_exactly(much.size());
  CHECK(large == much);
  try {
    static_cast<void>(co_await in.read_exactly(5));
    FAIL("there were four");
  } catch (const rondo::unexpected_eof& e) {
    CHECK(e.received() == 4);
  }
  const std::string tail = co_await in.read_some(100);
  CHECK(tail == "tail");
}

VIRTUAL_TEST("read and read_some give what there is, without another read if something is there") {
  scripted s{"abcdef", "ghi"};
  buffered_reader in(s);
  const std::string two = co_await in.read_some(2);
  CHECK(two == "ab");
  std::array<char, 10> space;
  const std::size_t n = co_await in.read(space);
  CHECK(std::string(space.data(), n) == "cdef");
  CHECK(s.reads == 1);
  CHECK(in.buffered().empty());
  const std::string rest = co_await in.read_some(100);
  CHECK(rest == "ghi");
  const std::string end = co_await in.read_some(100);
  CHECK(end.empty());
  const std::size_t zero = co_await in.read(space);
  CHECK(zero == 0);
}

VIRTUAL_TEST("a read into a large buffer goes past the reader's own") {
  scripted s{};
  s.add(std::string(100'000, 'x'));
  buffered_reader in(s);
  std::string space(100'000, '\0');
  const std::size_t n = co_await in.read(space);
  CHECK(n == 100'000);
}

VIRTUAL_TEST("peek takes nothing") {
  scripted s{"ab", "cd", "ef"};
  buffered_reader in(s);
  const std::string one(co_await in.peek());
  CHECK(one == "ab");
  const std::string three(co_await in.peek(3));
  CHECK(three == "abcd");
  const std::string beyond(co_await in.peek(100));
  CHECK(beyond == "abcdef");
  const std::string all = co_await in.read_all();
  CHECK(all == "abcdef");
  const std::string end(co_await in.peek());
  CHECK(end.empty());
}

// Nothing is lost

namespace {

/// Whatever is called meets this in the middle; afterwards everything is still there.
template <typename Trouble, typename Clear>
task<> keeps_everything(Trouble trouble, Clear clear, std::error_code expected) {
  for (int call = 0; call < 7; ++call) {
    scripted s{"some of it, "};
    buffered_reader in(s, 50);
    static_cast<void>(co_await in.peek());  // a part is there
    trouble(s);
    std::string space(100, '\0');
    std::error_code code;
    const auto limited = [](auto what) { return code_of(rondo::with_timeout(1s, std::move(what))); };
    if (call == 0) code = co_await limited(in.read_line());
    if (call == 1) code = co_await limited(in.read_until("\n"));
    if (call == 2) code = co_await limited(in.read_exactly(100));
    if (call == 3) code = co_await limited(in.read_exactly(space));
    if (call == 4) code = co_await limited(in.read_all());
    if (call == 5) code = co_await limited(in.peek(100));
    if (call == 6) code = co_await limited(in.read_exactly(100'000));
    INFO("call " << call);
    CHECK(code == expected);
    clear(s);
    s.add("and the rest\n");
    const auto line = co_await in.read_line();
    CHECK(line == "some of it, and the rest");
  }
}

}  // namespace

VIRTUAL_TEST("what was read before a timeout is there after it") {
  co_await keeps_everything([](scripted& s) { s.waits = true; }, [](scripted& s) { s.waits = false; },
                            std::make_error_code(std::errc::timed_out));
}

VIRTUAL_TEST("what was read before an error is there after it") {
  co_await keeps_everything([](scripted& s) { s.fails = true; }, [](scripted& s) { s.fails = false; },
                            std::make_error_code(std::errc::connection_reset));
}

VIRTUAL_TEST("in a canceled scope nothing is given, even if it is there already") {
  scripted s{"one\ntwo\n"};
  buffered_reader in(s);
  static_cast<void>(co_await in.peek());
  auto refused = rondo::spawn(code_of(in.read_line()));
  refused.cancel();
  const std::error_code code = co_await refused;
  CHECK(code == rondo::errc::canceled);
  const auto line = co_await in.read_line();
  CHECK(line == "one");
}

VIRTUAL_TEST("a reader that never waits lets others run") {
  scripted s{};
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "x\n";
  s.add(many);
  buffered_reader in(s);
  int others = 0;
  auto other = rondo::spawn([](int& count) -> task<> {
    for (;;) {
      co_await rondo::yield();
      ++count;
    }
  }, std::ref(others));
  for (int i = 0; i < 20'000; ++i) static_cast<void>(co_await in.read_line());
  CHECK(others >= 100);
  other.cancel();
}

VIRTUAL_TEST("a reader may be moved between calls, with what it holds") {
  buffered_reader in(scripted{"one\ntwo\nthree\n"});
  const auto one = co_await in.read_line();
  buffered_reader moved(std::move(in));
  const auto two = co_await moved.read_line();
  buffered_reader<scripted> last = std::move(moved);
  const std::string rest = co_await last.read_all();
  CHECK(one == "one");
  CHECK(two == "two");
  CHECK(rest == "three\n");
}

// Costs

VIRTUAL_TEST("the buffer is allocated once, and short lines cost nothing else") {
  if constexpr (RONDO_FRAME_POOL != 0) {
    scripted s{};
    std::string lines;
    for (int i = 0; i < 1000; ++i) lines += "short\n";
    for (int i = 0; i < 100; ++i) s.add(lines.substr(0, 60));
    buffered_reader in(s);
    static_cast<void>(co_await in.read_line());
    const auto before = rondo_test::allocations();
    bool right = true;
    for (int i = 0; i < 900; ++i) {
      const auto line = co_await in.read_line();
      right = right && line == "short";
    }
    const auto during = rondo_test::allocations() - before;
    CHECK(right);
    CHECK(during == 0);
  }
}

// Over real streams

LOOP_TEST("the reader of a connection passes on writing and closing") {
  tcp_ends ends = co_await tcp_pair();
  buffered_reader a(std::move(ends.a));
  buffered_reader b(ends.b);
  co_await a.write("question\n");
  const auto question = co_await b.read_line();
  co_await b.write("answer to " + *question + "\n");
  b.shutdown_write();
  const auto answer = co_await a.read_line();
  CHECK(answer == "answer to question");
  const auto end = co_await a.read_line();
  CHECK_FALSE(end);
  CHECK(&b.stream() == &ends.b);
  co_await a.close();
  CHECK_FALSE(a.stream());
}

LOOP_TEST("lines of a file") {
  const temporary_folder folder;
  const std::string name = folder / "lines";
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "line " + std::to_string(i) + "\n";
  co_await rondo::write_file(name, text);
  buffered_reader in(co_await rondo::file::open(name));
  int count = 0;
  bool right = true;
  while (auto line = co_await in.read_line()) {
    right = right && *line == "line " + std::to_string(count);
    ++count;
  }
  CHECK(right);
  CHECK(count == 10'000);
}

VIRTUAL_TEST("a reader without a limit finds delimiters of any length") {
  scripted from{{"one\r\ntwo--end"}};
  buffered_reader in(from, std::numeric_limits<std::size_t>::max());
  const std::string one = co_await in.read_until("\r\n");
  const std::string two = co_await in.read_until("--end");
  CHECK(one == "one\r\n");
  CHECK(two == "two--end");
}

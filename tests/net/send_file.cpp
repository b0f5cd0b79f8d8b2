// SPDX-License-Identifier: BSL-1.0

#include <rondo/net/send_file.hpp>

#include <chrono>
#include <string>

#include "streams/conformance.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::file;
using rondo::task;
using rondo::tcp_stream;

namespace {

struct sample {
  temporary_folder folder;
  std::string name = folder / "file";
  std::string text = pattern(1'000'003);
};

task<std::uint64_t> send_and_end(tcp_stream& to, file& from, std::uint64_t offset,
                                 std::uint64_t length) {
  const std::uint64_t sent = co_await to.send_file(from, offset, length);
  to.shutdown_write();
  co_return sent;
}

}  // namespace

LOOP_TEST("a file arrives, whole or in part, and its position stays") {
  const sample s;
  co_await rondo::write_file(s.name, s.text);
  file f = co_await file::open(s.name);
  struct part {
    std::uint64_t offset;
    std::uint64_t length;
  };
  for (const part p : {part{0, ~std::uint64_t{0}}, part{0, s.text.size()}, part{1000, 500'000},
                       part{999'999, 4}, part{999'999, 100}, part{0, 0}, part{2'000'000, 10},
                       part{0, 131'072}, part{0, 131'073}}) {
    tcp_ends ends = co_await tcp_pair();
    const auto both = co_await rondo::when_all(
        read_to_end(ends.b), send_and_end(ends.a, f, p.offset, p.length));
    const std::string expected =
        p.offset < s.text.size() ? s.text.substr(p.offset, p.length) : std::string();
    const bool same = std::get<0>(both) == expected;
    INFO(p.offset << " " << p.length);
    CHECK(same);
    CHECK(std::get<1>(both) == expected.size());
  }
  std::string first(4, '\0');
  co_await f.read_exactly(first);
  CHECK(first == s.text.substr(0, 4));
}

LOOP_TEST("a peer that goes ends it, and so does a file that cannot be read") {
  const sample s;
  co_await rondo::write_file(s.name, s.text);
  file f = co_await file::open(s.name);
  tcp_ends ends = co_await tcp_pair();
  ends.b.set_option(SOL_SOCKET, SO_LINGER, linger{1, 0});
  ends.b = tcp_stream();
  const std::error_code gone = co_await code_of(ends.a.send_file(f));
  const bool lost = gone == std::errc::broken_pipe || gone == std::errc::connection_reset;
  CHECK(lost);
  file directory = co_await file::open(s.folder / "");
  tcp_ends others = co_await tcp_pair();
  const std::error_code code = co_await code_of(others.a.send_file(directory));
  CHECK(code == std::errc::is_a_directory);
}

LOOP_TEST("canceled in flight, stream and file go on working") {
  const sample s;
  co_await rondo::write_file(s.name, std::string(16 << 20, 'x'));
  file f = co_await file::open(s.name);
  tcp_ends ends = co_await tcp_pair();
  const std::error_code code = co_await code_of(rondo::with_timeout(20ms, ends.a.send_file(f)));
  CHECK(code == std::errc::timed_out);
  const auto both = co_await rondo::when_all(read_to_end(ends.b), send_and_end(ends.a, f, 0, 5));
  CHECK(std::get<0>(both) == std::string(std::get<0>(both).size(), 'x'));
  CHECK(std::get<1>(both) == 5);
  auto refused = rondo::spawn(code_of(ends.a.send_file(f)));
  refused.cancel();
  const std::error_code canceled = co_await refused;
  CHECK(canceled == rondo::errc::canceled);
}

// SPDX-License-Identifier: BSL-1.0

#include <rondo/net/unix.hpp>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using Catch::Matchers::ContainsSubstring;
using rondo::endpoint;
using rondo::socket_pair;
using rondo::task;
using rondo::unix_listener;
using rondo::unix_stream;

// What holds for every stream is tested in tests/streams/conformance.cpp.

namespace {

bool same_file(int a, int b) {
  struct stat first {};
  struct stat second {};
  return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

}  // namespace

// Listening and connecting

LOOP_TEST("a listener at a path gets a stream for each peer") {
  const temporary_folder folder;
  for (const std::string& path : {folder / "socket", "@rondo-test-" + std::to_string(::getpid())}) {
    const endpoint at = endpoint::unix_path(path);
    unix_listener listener = unix_listener::bind(at);
    CHECK(listener.local_endpoint() == at);
    auto ends = co_await rondo::when_all(listener.accept(), unix_stream::connect(at));
    unix_stream& server = std::get<0>(ends);
    unix_stream& client = std::get<1>(ends);
    co_await client.write("hello");
    std::string space(5, '\0');
    co_await server.read_exactly(space);
    CHECK(space == "hello");
    CHECK(client.remote_endpoint() == at);
    CHECK(server.peer_credentials().pid == ::getpid());
    CHECK(server.peer_credentials().uid == ::geteuid());
    client.shutdown_write();
    const std::size_t end = co_await server.read(space);
    CHECK(end == 0);
  }
}

LOOP_TEST("a path where nobody listens is an error that names it") {
  const temporary_folder folder;
  const std::string path = folder / "socket";
  const std::string words = co_await words_of(unix_stream::connect(endpoint::unix_path(path)));
  CHECK(words == "connect to " + path + ": " + std::system_category().message(ENOENT));
  {
    const unix_listener gone = unix_listener::bind(endpoint::unix_path(path));
  }
  const std::error_code code = co_await code_of(unix_stream::connect(endpoint::unix_path(path)));
  CHECK(code == std::errc::connection_refused);
}

TEST_CASE("a path in use is an error that names it, unless a socket that was left is replaced") {
  const temporary_folder folder;
  const std::string path = folder / "socket";
  const endpoint at = endpoint::unix_path(path);
  { const unix_listener first = unix_listener::bind(at); }
  try {
    static_cast<void>(unix_listener::bind(at));
    FAIL("the path was taken twice");
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::address_in_use);
    CHECK_THAT(e.what(), ContainsSubstring(path));
  }
  const unix_listener second = unix_listener::bind(at, {.replace = true});
  CHECK(second);
  const std::string file = folder / "file";
  ::close(::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  CHECK_THROWS_AS(unix_listener::bind(endpoint::unix_path(file), {.replace = true}),
                  std::system_error);
  CHECK(::access(file.c_str(), F_OK) == 0);  // what is no socket stays
}

LOOP_TEST("connecting waits while the listener has no room") {
  const temporary_folder folder;
  const endpoint at = endpoint::unix_path(folder / "socket");
  unix_listener listener = unix_listener::bind(at, {.backlog = 0});
  const unix_stream first = co_await unix_stream::connect(at);
  const auto connect = [](endpoint to) -> task<unix_stream> {
    co_return co_await unix_stream::connect(to);
  };
  auto second = rondo::spawn(connect(at));
  for (int i = 0; i < 5; ++i) co_await round_trip();
  CHECK_FALSE(second.done());
  auto third = rondo::spawn(code_of(unix_stream::connect(at)));
  for (int i = 0; i < 5; ++i) co_await round_trip();
  third.cancel();
  const std::error_code canceled = co_await third;
  CHECK(canceled == rondo::errc::canceled);
  static_cast<void>(co_await listener.accept());
  const unix_stream connected = co_await second;
  CHECK(connected);
}

LOOP_TEST("accept and connect are canceled in flight, and refused in a canceled scope") {
  const temporary_folder folder;
  const endpoint at = endpoint::unix_path(folder / "socket");
  unix_listener listener = unix_listener::bind(at);
  const auto before = rondo_test::open_descriptors();
  auto accepting = rondo::spawn(code_of(listener.accept()));
  co_await round_trip();
  accepting.cancel();
  const std::error_code accepted = co_await accepting;
  CHECK(accepted == rondo::errc::canceled);
  auto connecting = rondo::spawn(code_of(unix_stream::connect(at)));
  connecting.cancel();
  const std::error_code connected = co_await connecting;
  CHECK(connected == rondo::errc::canceled);
  static_cast<void>(unix_stream::connect(at));
  co_await round_trip();
  CHECK(rondo_test::open_descriptors() == before);
}

// Descriptors

LOOP_TEST("descriptors arrive with the bytes that they were sent with, and are one's own") {
  auto [a, b] = socket_pair();
  const pipe_ends first;
  const pipe_ends second;
  const int sent[] = {first.in(), second.out()};
  co_await a.send_descriptors("two of them", sent);
  std::array<char, 100> space;
  rondo::received_descriptors r = co_await b.receive_descriptors(space);
  CHECK(std::string(space.data(), r.size) == "two of them");
  REQUIRE(r.descriptors.size() == 2);
  CHECK(r.descriptors[0].native_handle() != first.in());
  CHECK(same_file(r.descriptors[0].native_handle(), first.in()));
  CHECK(same_file(r.descriptors[1].native_handle(), second.out()));
  CHECK((::fcntl(r.descriptors[0].native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
}

LOOP_TEST("bytes without descriptors, and the end, have none") {
  auto [a, b] = socket_pair();
  co_await a.write("plain");
  std::array<char, 100> space;
  const rondo::received_descriptors plain = co_await b.receive_descriptors(space);
  CHECK(plain.size == 5);
  CHECK(plain.descriptors.empty());
  a.shutdown_write();
  const rondo::received_descriptors end = co_await b.receive_descriptors(space);
  CHECK(end.size == 0);
  CHECK(end.descriptors.empty());
}

LOOP_TEST("as many descriptors as one message carries, and not one more") {
  const auto before = rondo_test::open_descriptors();
  {
    auto [a, b] = socket_pair();
    const std::vector<int> most(253, a.native_handle());
    co_await a.send_descriptors("x", most);
    std::array<char, 10> space;
    const rondo::received_descriptors r = co_await b.receive_descriptors(space);
    CHECK(r.descriptors.size() == 253);
    const std::vector<int> more(254, a.native_handle());
    const std::error_code code = co_await code_of(a.send_descriptors("x", more));
    CHECK(code == std::errc::invalid_argument);
    const std::error_code empty = co_await code_of(a.send_descriptors("", most));
    CHECK(empty == std::errc::invalid_argument);
    const int wrong[] = {-1};
    const std::error_code bad = co_await code_of(a.send_descriptors("x", wrong));
    CHECK(bad == std::errc::bad_file_descriptor);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("descriptors for which there is no room are lost, and the receiver is told") {
  auto [a, b] = socket_pair();
  const std::vector<int> three(3, a.native_handle());
  co_await a.send_descriptors("x", three);
  std::array<char, 10> space;
  std::optional<rondo_test::descriptor_limit> room_for_one(std::in_place, 1U);
  const auto r = co_await rondo::as_result(b.receive_descriptors(space));
  room_for_one.reset();
  REQUIRE(r.has_value());
  CHECK(r->size == 1);
  CHECK(r->descriptors.size() == 1);
  CHECK(r->truncated);
  co_await a.send_descriptors("x", three);
  const rondo::received_descriptors all = co_await b.receive_descriptors(space);
  CHECK(all.descriptors.size() == 3);
  CHECK_FALSE(all.truncated);
}

LOOP_TEST("a long message with a descriptor arrives whole, and the descriptor once") {
  auto [a, b] = socket_pair();
  const int sent[] = {b.native_handle()};
  const std::string text(4 << 20, 'x');
  const auto receive = [](unix_stream& from) -> task<std::pair<std::size_t, std::size_t>> {
    std::pair<std::size_t, std::size_t> got{0, 0};
    std::string space(100'000, '\0');
    while (got.first < 4U << 20) {
      const rondo::received_descriptors r = co_await from.receive_descriptors(space);
      got.first += r.size;
      got.second += r.descriptors.size();
    }
    co_return got;
  };
  const auto both = co_await rondo::when_all(a.send_descriptors(text, sent), receive(b));
  CHECK(std::get<1>(both).first == text.size());
  CHECK(std::get<1>(both).second == 1);
}

LOOP_TEST("descriptors that nobody takes are closed") {
  const auto before = rondo_test::open_descriptors();
  std::array<char, 10> space;
  {
    auto [a, b] = socket_pair();
    const int sent[] = {a.native_handle(), b.native_handle()};
    co_await a.send_descriptors("x", sent);
    static_cast<void>(b.receive_descriptors(space));  // made and dropped
    const std::size_t n = co_await b.read(space);     // does not want them
    CHECK(n == 1);
    co_await a.send_descriptors("y", sent);
    static_cast<void>(co_await b.receive_descriptors(space));
    co_await a.send_descriptors("z", sent);  // never received
  }
  CHECK(rondo_test::open_descriptors() == before);
  // A receive that loses against something that is ready first.
  {
    auto [a, b] = socket_pair();
    for (int turns = 0; turns < 6; ++turns) {
      const int sent[] = {a.native_handle()};
      co_await a.send_descriptors("x", sent);
      static_cast<void>(co_await rondo::when_any(yields(turns), b.receive_descriptors(space)));
    }
  }
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("a receive that is canceled just as a descriptor comes delivers it or leaves it") {
  const auto before = rondo_test::open_descriptors();
  int arrived = 0;
  {
    auto [a, b] = socket_pair();
    const auto receive = [](unix_stream& from) -> task<int> {
      std::array<char, 10> space;
      const rondo::received_descriptors r = co_await from.receive_descriptors(space);
      CHECK(r.descriptors.size() == r.size);
      co_return static_cast<int>(r.descriptors.size());
    };
    for (int turns = 0; turns < 8; ++turns) {
      const int sent[] = {a.native_handle()};
      auto receiving = rondo::spawn(receive(b));
      if (turns % 2 == 0) co_await round_trip();
      co_await a.send_descriptors("x", sent);
      for (int i = 0; i < turns / 2; ++i) co_await rondo::yield();
      receiving.cancel();
      try {
        arrived += co_await receiving;
      } catch (const rondo::operation_canceled&) {
      }
    }
    a.shutdown_write();
    for (;;) {
      const int n = co_await receive(b);
      if (n == 0) break;
      arrived += n;
    }
  }
  CHECK(arrived == 8);
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("Python sends a descriptor, and takes one") {
  const temporary_folder folder;
  const std::string path = folder / "socket";
  unix_listener listener = unix_listener::bind(endpoint::unix_path(path));
  const std::string script = "python3 -c '\n"
      "import os, socket, sys\n"
      "s = socket.socket(socket.AF_UNIX)\n"
      "s.connect(sys.argv[1])\n"
      "r, w = os.pipe()\n"
      "os.write(w, b\"from Python\")\n"
      "socket.send_fds(s, [b\"here\"], [r])\n"
      "data, fds, flags, address = socket.recv_fds(s, 100, 4)\n"
      "os.write(fds[0], b\"got \" + data)\n"
      "' " + path;
  const std::unique_ptr<FILE, int (*)(FILE*)> python(::popen(script.c_str(), "r"), &::pclose);
  unix_stream peer = co_await listener.accept();
  std::array<char, 20> space;
  const rondo::received_descriptors r = co_await peer.receive_descriptors(space);
  REQUIRE(r.descriptors.size() == 1);
  const ssize_t n = ::read(r.descriptors[0].native_handle(), space.data(), space.size());
  CHECK(std::string(space.data(), static_cast<std::size_t>(n)) == "from Python");
  auto [out, in] = rondo::make_pipe();
  const int sent[] = {in.native_handle()};
  co_await peer.send_descriptors("thanks", sent);
  std::string answer(10, '\0');
  co_await out.read_exactly(answer);
  CHECK(answer == "got thanks");
}

LOOP_TEST("sending descriptors allocates nothing, receiving them their list") {
  auto [a, b] = socket_pair();
  const int sent[] = {0};
  const auto round = [](unix_stream& from, unix_stream& to, const int (&fds)[1],
                        int count) -> task<> {
    std::array<char, 10> space;
    for (int i = 0; i < count; ++i) {
      co_await from.send_descriptors("x", fds);
      static_cast<void>(co_await to.receive_descriptors(space));
    }
  };
  co_await round(a, b, sent, 10);
  auto many = round(a, b, sent, 100);
  const auto before = rondo_test::allocations();
  co_await std::move(many);
  const auto during = rondo_test::allocations() - before;
  if (rondo_test::heap_is_counted()) CHECK(during == 100);
}

LOOP_TEST("a listener with an abstract name removes no file of that name") {
  const temporary_folder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder / "");
  const auto file_of_that_name = unix_listener::bind(endpoint::unix_path("./@rondo-test-abstract"));
  {
    const auto abstract =
        unix_listener::bind(endpoint::unix_path("@rondo-test-abstract"), {.replace = true});
    CHECK(std::filesystem::exists("@rondo-test-abstract"));
  }
  std::filesystem::current_path(before);
  co_return;
}

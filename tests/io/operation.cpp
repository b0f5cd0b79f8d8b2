// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/operation.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "io/operations.hpp"
#include "support/descriptors.hpp"
#include "support/heap.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

namespace {

/// Nops, as many as asked for, one after the other.
struct nops_op {
  using value_type = int;
  static constexpr const char* name = "nops";
  int left;
  int prepared = 0;
  void prepare(io_uring_sqe& e) noexcept {
    ++prepared;
    io_uring_prep_nop(&e);
  }
  bool again(int& result) noexcept {
    result = prepared;
    return --left > 0;
  }
};

/// Ends with whatever result it is told.
struct ending_op {
  using value_type = void;
  static constexpr const char* name = "ending";
  int with;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_nop(&e); }
  bool again(int& result) noexcept {
    result = with;
    return false;
  }
};

/// Never asks the kernel.
struct failing_before_op {
  using value_type = void;
  static constexpr const char* name = "failing before";
  bool* asked;
  int before() noexcept { return -EDOM; }
  void prepare(io_uring_sqe& e) noexcept {
    *asked = true;
    io_uring_prep_nop(&e);
  }
};

struct throwing_value_op {
  using value_type = std::unique_ptr<int>;
  static constexpr const char* name = "throwing value";
  bool throws;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_nop(&e); }
  std::unique_ptr<int> value(int result) const {
    if (throws) throw std::out_of_range("no such value");
    return std::make_unique<int>(result + 7);
  }
};

struct own_words_op : ending_op {
  void raise(int error) const {
    if (error == EDOM) throw std::domain_error("outside of the domain");
  }
};

struct naming_op : ending_op {
  [[nodiscard]] std::string what() const { return "reading the stars"; }
};

struct releasing_op {
  using value_type = void;
  static constexpr const char* name = "releasing";
  static constexpr bool release = true;
  int* asked;
  int left = 2;
  void prepare(io_uring_sqe& e) noexcept {
    ++*asked;
    io_uring_prep_nop(&e);
  }
  bool again(int&) noexcept { return --left > 0; }
};

/// Whether a thread that io_uring has made for this process sleeps.
bool a_kernel_thread_waits() {
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream stat(thread.path() / "stat");
    std::string number;
    std::string name;
    std::string state;
    stat >> number >> name >> state;
    if (name.starts_with("(iou-wrk") && state == "S") return true;
  }
  return false;
}

}  // namespace

// What a struct may say

LOOP_TEST("an operation is one struct: what to ask, and what to make of the answer") {
  const auto value = co_await io::operation(throwing_value_op{false});
  CHECK(*value == 7);
  const std::string words = co_await words_of(io::operation(throwing_value_op{true}));
  CHECK(words == "no such value");
}

LOOP_TEST("operations that give the same are kept as tasks, beside tasks") {
  pipe_ends pipe;
  std::array<char, 8> bytes;
  std::vector<task<std::size_t>> all;
  all.push_back(io::read(pipe.out(), bytes));
  all.push_back(io::write(pipe.in(), "12345"));
  all.push_back([]() -> task<std::size_t> { co_return 7; }());
  const auto counts = co_await when_all(std::move(all));
  CHECK(counts == std::vector<std::size_t>{5, 5, 7});
  CHECK(std::string_view(bytes.data(), 5) == "12345");

  task<std::size_t> read = io::read(pipe.out(), bytes);
  const auto nothing = co_await rondo::try_for(1ms, std::move(read));
  CHECK_FALSE(nothing.has_value());
  const task<> dropped = rondo::sleep_for(1h);
  static_assert(!std::is_constructible_v<task<long>, task<int>>);
  static_assert(!std::is_constructible_v<task<int>, decltype(rondo::yield())>);
  static_assert(!std::is_constructible_v<task<int>, rondo::join_handle<int>&>);
}

namespace {

/// Leaves something in its entry that liburing's functions do not clear.
struct untidy_nop {
  using value_type = void;
  static constexpr const char* name = "nop";
  bool* clean;
  void prepare(io_uring_sqe& e) noexcept {
    const io_uring_sqe zero{};
    *clean = *clean && std::memcmp(&e, &zero, sizeof zero) == 0;
    io_uring_prep_nop(&e);
    e.__pad2[0] = 7;  // the kernel does not look at it
  }
};

}  // namespace

LOOP_TEST("an operation gets an entry that is all zero, whatever was in it before") {
  bool clean = true;
  for (unsigned i = 0; i < 3 * rondo::loop_options().entries; ++i) {
    co_await rondo::io::operation(untidy_nop{&clean});
  }
  CHECK(clean);
}

LOOP_TEST("an operation of several steps asks until it has had enough, and gives the last result") {
  const int one = co_await io::operation(nops_op{1});
  const int many = co_await io::operation(nops_op{1000});
  CHECK(one == 1);
  CHECK(many == 1000);
}

LOOP_TEST("an operation that fails before it starts asks nothing of the kernel") {
  bool asked = false;
  const std::string words = co_await words_of(io::operation(failing_before_op{&asked}));
  CHECK(words == "failing before: " + std::system_category().message(EDOM));
  CHECK_FALSE(asked);
}

LOOP_TEST("an operation may say in its own words what went wrong") {
  const std::string own = co_await words_of(io::operation(own_words_op{{-EDOM}}));
  const std::string other = co_await words_of(io::operation(own_words_op{{-ENOSPC}}));
  CHECK(own == "outside of the domain");
  CHECK(other == "ending: " + std::system_category().message(ENOSPC));
}

LOOP_TEST("an operation may say what was tried, and the code is the same as without that") {
  const std::string words = co_await words_of(io::operation(naming_op{{-EDOM}}));
  CHECK(words.starts_with("reading the stars: "));
  const std::error_code closed = co_await code_of(io::operation(naming_op{{-ECANCELED}}));
  CHECK(closed == rondo::errc::closed);
}

/// Waits for 20 ms, and the kernel looks at no file for it.
struct fixed_file_op {
  using value_type = void;
  static constexpr const char* name = "timeout";
  int index;
  __kernel_timespec time{0, 20'000'000};
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_timeout(&e, &time, 0, 0);
    e.fd = index;
    e.flags |= IOSQE_FIXED_FILE;
  }
};

/// Receives one byte and then another.
struct two_bytes_op {
  using value_type = void;
  static constexpr const char* name = "two bytes";
  int fd;
  char byte{};
  int left = 2;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_recv(&e, fd, &byte, 1, 0); }
  bool again(int& result) noexcept { return result == 1 && --left > 0; }
};

/// While this exists, threads that close a file for the loop come back from that only when they may.
class slow_closing {
 public:
  slow_closing() {
    may_go_on = false;
    io::register_emulation(IORING_OP_CLOSE, [](const io_uring_sqe& e) -> int {
      const int result = ::close(e.fd) == 0 ? 0 : -errno;
      may_go_on.wait(false);
      return result;
    });
  }
  slow_closing(const slow_closing&) = delete;
  slow_closing& operator=(const slow_closing&) = delete;
  ~slow_closing() {
    go_on();
    io::register_emulation(IORING_OP_CLOSE, nullptr);
  }
  static void go_on() {
    may_go_on = true;
    may_go_on.notify_all();
  }

 private:
  static inline std::atomic<bool> may_go_on{false};
};

/// A socket on which sending blocks, and cannot be polled for room (it is not connected), so that a
/// thread of the kernel waits in it.
struct blocked_sender {
  rondo::descriptor receiver{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  rondo::descriptor sender{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  sockaddr_un name{};
  char byte = 'x';
  iovec part{&byte, 1};
  msghdr message{};

  blocked_sender() {
    name.sun_family = AF_UNIX;
    auto* const at = reinterpret_cast<sockaddr*>(&name);
    socklen_t size = sizeof(sa_family_t);
    REQUIRE(::bind(receiver.native_handle(), at, size) == 0);  // to a name of the kernel's choice
    size = sizeof name;
    REQUIRE(::getsockname(receiver.native_handle(), at, &size) == 0);
    while (::sendto(sender.native_handle(), "x", 1, MSG_DONTWAIT, at, size) == 1) {
    }
    message.msg_name = at;
    message.msg_namelen = size;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
  }
  [[nodiscard]] auto send() const { return io::sendmsg(sender.native_handle(), &message); }
};

LOOP_TEST("a write that a thread of the kernel waits in ends as closed when it is closed under it") {
  blocked_sender blocked;
  auto sending = rondo::spawn(code_of(blocked.send()));
  co_await round_trip();
  if (!on_epoll()) co_await until(a_kernel_thread_waits);
  CHECK_FALSE(sending.done());
  co_await io::close(std::move(blocked.sender));
  const std::error_code code = co_await sending;
  CHECK(code == rondo::errc::closed);
}

LOOP_TEST("closing reaches a write that a thread of the kernel is just about to begin") {
  for (int i = 0; i < 300; ++i) {
    blocked_sender blocked;
    auto sending = rondo::spawn(code_of(blocked.send()));
    for (int turns = 0; turns <= i % 3; ++turns) co_await io::nop();
    co_await io::close(std::move(blocked.sender));
    const std::error_code code = co_await sending;
    CHECK(code == rondo::errc::closed);
  }
}

LOOP_TEST("an ECANCELED that nobody asked for means that the descriptor was closed") {
  const std::error_code canceled = co_await code_of(io::operation(ending_op{-ECANCELED}));
  const std::error_code interrupted = co_await code_of(io::operation(ending_op{-EINTR}));
  CHECK(canceled == rondo::errc::closed);
  CHECK(interrupted == std::errc::interrupted);
}

LOOP_TEST("what gives back is neither refused in a canceled scope nor canceled in flight") {
  int asked = 0;
  const std::error_code refused = co_await in_canceled_scope(io::operation(releasing_op{&asked}));
  CHECK(refused == std::error_code());
  CHECK(asked == 2);
  auto running = rondo::spawn(code_of(io::operation(releasing_op{&asked, 5})));
  co_await rondo::yield();
  running.cancel();
  const std::error_code in_flight = co_await running;
  CHECK(in_flight == std::error_code());
  CHECK(asked == 7);
}

LOOP_TEST("a cancellation between two steps ends the operation") {
  auto running = rondo::spawn(code_of(io::operation(nops_op{1'000'000'000})));
  for (int i = 0; i < 10; ++i) co_await round_trip();
  CHECK_FALSE(running.done());
  running.cancel();
  const std::error_code code = co_await running;
  CHECK(code == rondo::errc::canceled);
}

LOOP_TEST("an operation is kept, moved and stored before it is awaited") {
  pipe_ends pipe;
  std::vector<decltype(io::write(0, std::string()))> writes;
  for (const char c : {'a', 'b', 'c'}) writes.push_back(io::write(pipe.in(), std::string(5, c)));
  CHECK(waiting_in(pipe.out()).empty());
  for (auto& w : writes) co_await std::move(w);
  CHECK(waiting_in(pipe.out()) == "aaaaabbbbbccccc");
}

// The contract of every operation

LOOP_TEST("every operation that the kernel refuses throws the errno and names itself") {
  int seen = 0;
  co_await each_operation([&seen](std::string name, std::errc error, auto make) -> task<> {
    const std::error_code code = co_await code_of(make());
    const std::string words = co_await words_of(make());
    INFO(name);
    CHECK(code == error);
    CHECK(code.category() == std::system_category());
    CHECK(words == name + ": " + code.message());
    ++seen;
  });
  CHECK(seen == 40);
}

LOOP_TEST("every operation in a canceled scope is refused and never reaches the kernel") {
  // The kernel would answer with another error.
  co_await each_operation([](std::string name, std::errc, auto make) -> task<> {
    const std::error_code code = co_await in_canceled_scope(make());
    INFO(name);
    CHECK(code == rondo::errc::canceled);
  });
}

LOOP_TEST("every operation that is made and dropped does nothing") {
  auto& loop = rondo::event_loop::current();
  co_await round_trip();
  const auto calls = loop.stats().system_calls;
  co_await each_operation([](std::string, std::errc, auto make) -> task<> {
    static_cast<void>(make());
    co_await rondo::yield();
  });
  CHECK(loop.stats().system_calls == calls);
}

LOOP_TEST("operations that would change something change nothing when dropped or refused") {
  const temporary_folder folder;
  const std::string path = folder / "file";
  pipe_ends pipe;
  static_cast<void>(io::openat(AT_FDCWD, path, O_CREAT | O_WRONLY));
  static_cast<void>(io::write(pipe.in(), "x"));
  co_await round_trip();
  const auto opened = co_await in_canceled_scope(io::openat(AT_FDCWD, path, O_CREAT | O_WRONLY));
  const auto written = co_await in_canceled_scope(io::write(pipe.in(), "x"));
  CHECK(opened == rondo::errc::canceled);
  CHECK(written == rondo::errc::canceled);
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(waiting_in(pipe.out()).empty());
}

LOOP_TEST("a canceled scope refuses the next operation too, until it has been left") {
  pipe_ends pipe;
  const auto stubborn = [](int out) -> task<int> {
    int refused = 0;
    char byte;
    for (int i = 0; i < 5; ++i) {
      const auto code = co_await code_of(io::read(out, rondo::mutable_buffer(&byte, 1)));
      if (code == rondo::errc::canceled) ++refused;
    }
    co_return refused;
  };
  auto running = rondo::spawn(stubborn(pipe.out()));
  co_await round_trip();
  running.cancel();
  const int refused = co_await running;
  CHECK(refused == 5);
}

// Success against cancellation

LOOP_TEST("a byte that comes while its read is being canceled is delivered or stays") {
  pipe_ends pipe;
  int delivered = 0;
  int left = 0;
  constexpr int rounds = 1000;
  for (int i = 0; i < rounds; ++i) {
    char byte = 0;
    auto reading = rondo::spawn(code_of(io::read(pipe.out(), rondo::mutable_buffer(&byte, 1))));
    co_await round_trip();
    if (i % 2 == 0) reading.cancel();
    REQUIRE(::write(pipe.in(), "x", 1) == 1);
    if (i % 2 != 0) reading.cancel();
    if (i % 3 == 0) co_await rondo::yield();
    const std::error_code code = co_await reading;
    if (!code) {
      CHECK(byte == 'x');
      ++delivered;
    } else {
      CHECK(code == rondo::errc::canceled);
      left += waiting_in(pipe.out()) == "x" ? 1 : 0;
    }
  }
  CHECK(delivered + left == rounds);
  CHECK(delivered > 0);
}

LOOP_TEST("a connection that comes while its accept is being canceled is delivered or stays") {
  const auto before = rondo_test::open_descriptors();
  {
    auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
    const rondo::endpoint at = listener.local_endpoint();
    int delivered = 0;
    int left = 0;
    constexpr int rounds = 300;
    for (int i = 0; i < rounds; ++i) {
      auto accepting =
          rondo::spawn([](int fd) -> task<rondo::descriptor> { co_return co_await io::accept(fd); },
                       listener.native_handle());
      co_await round_trip();
      const rondo::descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (i % 2 == 0) accepting.cancel();
      REQUIRE(::connect(client.native_handle(), at.native(), at.native_size()) == 0);
      if (i % 2 != 0) accepting.cancel();
      try {
        const rondo::descriptor accepted = co_await accepting;
        ++delivered;
      } catch (const rondo::operation_canceled&) {
        const rondo::descriptor late(
            ::accept4(listener.native_handle(), nullptr, nullptr, SOCK_NONBLOCK));
        left += late ? 1 : 0;
      }
    }
    CHECK(delivered + left == rounds);
    CHECK(delivered > 0);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("a descriptor that arrives for somebody who does not want it any more is closed") {
  const auto failing = []() -> task<> {
    co_await round_trip();
    throw std::runtime_error("failed");
  };
  const auto before = rondo_test::open_descriptors();
  for (int i = 0; i < 20; ++i) {
    const std::string words = co_await words_of(rondo::when_all(
        io::openat(AT_FDCWD, "/dev/null", O_RDONLY), io::socket(AF_INET, SOCK_STREAM), failing()));
    REQUIRE(words == "failed");
  }
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("an operation that has completed is not undone by a cancellation that comes later") {
  pipe_ends pipe;
  const auto both = [](int in, int out) -> task<std::size_t> {
    char byte;
    const auto sizes = co_await rondo::when_all(io::write(in, "x"),
                                                io::read(out, rondo::mutable_buffer(&byte, 1)));
    co_return std::get<0>(sizes) + std::get<1>(sizes);
  };
  auto running = rondo::spawn(both(pipe.in(), pipe.out()));
  while (!running.done()) co_await rondo::yield();
  running.cancel();
  const std::size_t moved = co_await running;
  CHECK(moved == 2);
}

// Closed under the operation

LOOP_TEST("an operation whose descriptor is closed ends with errc::closed") {
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  rondo::descriptor listening(listener.release());
  pipe_ends pipe;
  sockets pair;
  char bytes[3];
  auto reading = rondo::spawn(code_of(io::read(pipe.out(), rondo::mutable_buffer(bytes, 1))));
  auto polling = rondo::spawn(code_of(rondo::readable(pipe.out())));
  auto receiving =
      rondo::spawn(code_of(io::recv(pair.a.native_handle(), rondo::mutable_buffer(bytes + 1, 1))));
  auto accepting = rondo::spawn(code_of(io::accept(listening.native_handle())));
  co_await round_trip();
  co_await io::close(std::move(pipe.reader));
  co_await io::close(std::move(pair.a));
  co_await io::close(std::move(listening));
  const std::error_code read = co_await reading;
  const std::error_code polled = co_await polling;
  const std::error_code received = co_await receiving;
  const std::error_code accepted = co_await accepting;
  CHECK(read == rondo::errc::closed);
  CHECK(polled == rondo::errc::closed);
  CHECK(received == rondo::errc::closed);
  CHECK(accepted == rondo::errc::closed);
  const std::string end = waiting_in(pair.b.native_handle());
  CHECK(::send(pair.b.native_handle(), "x", 1, MSG_NOSIGNAL) == -1);  // its peer has gone
}

LOOP_TEST("closing does not wait for a peer that takes nothing, which keeps the memory of a send_zc") {
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  auto stream = co_await rondo::tcp_stream::connect(listener.local_endpoint());
  auto peer = co_await listener.accept();
  const std::string big(150'000, 'x');
  std::vector<rondo::join_handle<std::error_code>> sending;
  for (int i = 0; i < 64; ++i) {
    sending.push_back(rondo::spawn(code_of(io::send_zc(stream.native_handle(), big))));
  }
  for (int i = 0; i < 10; ++i) co_await round_trip();
  CHECK_FALSE(sending.back().done());
  co_await stream.close();
  peer = rondo::tcp_stream();  // now the kernel gives the memory back
  for (auto& each : sending) static_cast<void>(co_await each);
}

LOOP_TEST("who gets the number of a file that is still being closed is not closed with it") {
  const slow_closing slow;  // on epoll, where a thread closes what is on a disk
  const sockets pair;
  const temporary_folder folder;
  rondo::descriptor file(::open((folder / "file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  const int number = file.native_handle();
  auto closing = rondo::spawn(code_of(io::close(std::move(file))));
  co_await until([number] { return ::fcntl(number, F_GETFD) == -1; });
  const rondo::descriptor next(::fcntl(pair.a.native_handle(), F_DUPFD_CLOEXEC, number));
  CHECK(next.native_handle() == number);
  auto receiving = rondo::spawn(code_of(io::operation(two_bytes_op{number})));
  for (int i = 0; i < 2; ++i) {
    co_await round_trip();
    REQUIRE(::send(pair.b.native_handle(), "x", 1, 0) == 1);
  }
  const std::error_code received = co_await receiving;
  CHECK_FALSE(received);
  slow_closing::go_on();
  const std::error_code closed = co_await closing;
  CHECK_FALSE(closed);
}

static task<> close_beside_a_fixed_file() {
  pipe_ends pipe;
  auto waiting = rondo::spawn(code_of(io::operation(fixed_file_op{pipe.out()})));
  co_await round_trip();
  co_await io::close(std::move(pipe.reader));
  const std::error_code code = co_await waiting;
  CHECK(code == std::errc::stream_timeout);
}
TEST_CASE("closing a descriptor ends nothing that only has a fixed file of the same number") {
  if (!io_uring_works()) SKIP("needs io_uring");
  const on_ring here("io_uring");  // epoll has no fixed files
  rondo::run(close_beside_a_fixed_file());
}

LOOP_TEST("renaming into a folder that is closed meanwhile ends before, and meets no other folder") {
  const temporary_folder all;
  for (const char* name : {"a", "b", "c"}) {
    REQUIRE(::mkdir((all / name).c_str(), 0700) == 0);
  }
  const auto open_folder = [&all](const char* name) {
    return rondo::descriptor(::open((all / name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  };
  const rondo::descriptor a = open_folder("a");
  for (int i = 0; i < 200; ++i) {
    put(all / "a/x", "");
    rondo::descriptor b = open_folder("b");
    auto renaming = rondo::spawn(
        code_of(io::renameat(a.native_handle(), "x", b.native_handle(), "y")));
    auto linking =
        rondo::spawn(code_of(io::linkat(a.native_handle(), "x", b.native_handle(), "z")));
    co_await io::nop();
    co_await io::close(std::move(b));
    const rondo::descriptor c = open_folder("c");  // which has the number of b
    const std::error_code renamed = co_await renaming;
    const std::error_code linked = co_await linking;
    CHECK((!renamed || renamed == rondo::errc::closed));
    const bool has_gone = linked == std::errc::no_such_file_or_directory;
    CHECK((!linked || linked == rondo::errc::closed || has_gone));
    std::filesystem::remove(all / "b/z");
  }
  CHECK(std::filesystem::is_empty(all / "c"));
}

LOOP_TEST("an extended attribute of a path has nothing to do with the descriptor 0") {
  const temporary_folder folder;
  put(folder / "file", "");
  const rondo::descriptor kept(::fcntl(0, F_DUPFD_CLOEXEC, 3));
  for (int i = 0; i < 100; ++i) {
    auto getting =
        rondo::spawn(code_of(io::getxattr(folder / "file", "user.none", rondo::mutable_buffer())));
    co_await io::nop();
    co_await io::close(rondo::descriptor::adopt(0));
    ::dup2(kept.native_handle(), 0);
    const std::error_code code = co_await getting;
    CHECK(code != rondo::errc::closed);
  }
}

LOOP_TEST("a descriptor is given to an operation as it is, and stays its owner's") {
  const auto fd = co_await io::openat(AT_FDCWD, "/dev/zero", O_RDONLY);
  std::array<char, 4> bytes{'a', 'b', 'c', 'd'};
  const std::size_t n = co_await io::read(fd, bytes);
  CHECK(n == 4);
  CHECK(bytes[3] == 0);
  CHECK(::fcntl(fd, F_GETFD) >= 0);
  static_assert(!std::is_convertible_v<rondo::descriptor, int>);  // it would be closed at once
}

LOOP_TEST("a number that nobody owns is closed as a descriptor is") {
  pipe_ends pipe;
  const int number = pipe.reader.release();
  std::array<char, 1> byte;
  auto reading = rondo::spawn(code_of(io::read(number, byte)));
  co_await rondo::yield();
  co_await io::close(number);
  const std::error_code code = co_await reading;
  CHECK(code == rondo::errc::closed);
  CHECK(::fcntl(number, F_GETFD) == -1);
}

LOOP_TEST("closing nothing is an error, and ends nothing that has no descriptor") {
  const std::uint32_t word = 0;
  auto waiting = rondo::spawn(code_of(io::futex_wait(&word, 0)));
  co_await round_trip();
  const std::error_code closed = co_await code_of(io::close(rondo::descriptor()));
  CHECK(closed == std::errc::bad_file_descriptor);
  co_await round_trip();
  CHECK_FALSE(waiting.done());
  waiting.cancel();
  const std::error_code code = co_await std::move(waiting);
  CHECK(code == rondo::errc::canceled);
}

LOOP_TEST("an error that says closed names the operation") {
  pipe_ends pipe;
  char byte;
  auto reading = rondo::spawn(words_of(io::read(pipe.out(), rondo::mutable_buffer(&byte, 1))));
  co_await round_trip();
  co_await io::close(std::move(pipe.reader));
  const std::string words = co_await reading;
  CHECK(words == "read: closed while the operation was waiting");
}

// Many

TEST_CASE("a thousand operations at once pass through a queue of eight") {
  const temporary_folder folder;
  const auto body = [](std::string path) -> task<> {
    constexpr std::uint64_t count = 1000;
    const rondo::descriptor file = co_await io::openat(AT_FDCWD, path, O_CREAT | O_RDWR);
    std::vector<std::uint64_t> out(count);
    std::vector<std::uint64_t> in(count);
    std::vector<decltype(io::write(0, rondo::const_buffer(), 0))> writes;
    std::vector<decltype(io::read(0, rondo::mutable_buffer(), 0))> reads;
    for (std::uint64_t i = 0; i < count; ++i) {
      out[i] = i * i + 1;
      const auto offset = static_cast<std::int64_t>(i * sizeof out[i]);
      writes.push_back(
          io::write(file.native_handle(), rondo::const_buffer(&out[i], sizeof out[i]), offset));
      reads.push_back(
          io::read(file.native_handle(), rondo::mutable_buffer(&in[i], sizeof in[i]), offset));
    }
    const auto written = co_await rondo::when_all(std::move(writes));
    const auto read = co_await rondo::when_all(std::move(reads));
    CHECK(written == std::vector<std::size_t>(count, sizeof(std::uint64_t)));
    CHECK(read == written);
    CHECK(in == out);
  };
  rondo::run(body(folder / "numbers"), with_entries(8));
}

TEST_CASE("more completions at once than the completion queue holds are not lost") {
  const auto body = []() -> task<> {
    sockets pair;
    std::vector<decltype(rondo::readable(0))> polls;
    for (int i = 0; i < 2000; ++i) polls.push_back(rondo::readable(pair.a.native_handle()));
    const auto ring_the_bell = [](int fd) -> task<> {
      for (int i = 0; i < 5; ++i) co_await round_trip();  // the kernel has all polls
      co_await io::send(fd, "x");
    };
    const auto ended = co_await rondo::when_all(rondo::when_all(std::move(polls)),
                                                ring_the_bell(pair.b.native_handle()));
    CHECK(std::get<0>(ended) == std::vector<short>(2000, POLLIN));
  };
  rondo::run(body(), with_entries(1));
}

TEST_CASE("a thousand operations in flight are canceled together") {
  const auto body = []() -> task<> {
    sockets pair;
    std::vector<rondo::join_handle<std::error_code>> running;
    for (int i = 0; i < 1000; ++i) {
      running.push_back(rondo::spawn(code_of(rondo::readable(pair.a.native_handle()))));
    }
    for (int i = 0; i < 3; ++i) co_await round_trip();
    for (auto& r : running) r.cancel();
    int canceled = 0;
    for (auto& r : running) {
      const std::error_code code = co_await r;
      canceled += code == rondo::errc::canceled ? 1 : 0;
    }
    CHECK(canceled == 1000);
  };
  for (const unsigned entries : {1U, 8U, 256U}) rondo::run(body(), with_entries(entries));
}

TEST_CASE("a run that ends leaves nothing in flight on its descriptors") {
  sockets pair;
  char bytes[100];
  const auto body = [](int fd, char* to) -> task<> {
    for (int i = 0; i < 100; ++i) {
      static_cast<void>(rondo::spawn(code_of(io::recv(fd, rondo::mutable_buffer(to + i, 1)))));
    }
    co_await round_trip();
  };
  rondo::event_loop loop;
  loop.run(body(pair.a.native_handle(), bytes));
  std::memset(bytes, 'o', sizeof bytes);
  REQUIRE(::send(pair.b.native_handle(), "new", 3, 0) == 3);
  loop.run(round_trip());
  CHECK(waiting_in(pair.a.native_handle()) == "new");
  CHECK(std::string(bytes, sizeof bytes) == std::string(sizeof bytes, 'o'));
}

// No descriptor left

TEST_CASE("without a free descriptor, operations that need one say so, and work again later") {
  const auto body = []() -> task<> {
    auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
    const rondo::endpoint at = listener.local_endpoint();
    const rondo::descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(client.native_handle(), at.native(), at.native_size()) == 0);

    rlimit old{};
    ::getrlimit(RLIMIT_NOFILE, &old);
    const int next = ::dup(0);  // the lowest free number
    REQUIRE(next >= 0);
    ::close(next);
    rlimit none = old;
    none.rlim_cur = static_cast<rlim_t>(next);
    ::setrlimit(RLIMIT_NOFILE, &none);
    const std::error_code opened = co_await code_of(io::openat(AT_FDCWD, "/dev/null", O_RDONLY));
    const std::error_code made = co_await code_of(io::socket(AF_INET, SOCK_STREAM));
    const std::error_code accepted = co_await code_of(io::accept(listener.native_handle()));
    const std::error_code connected = co_await code_of(rondo::tcp_stream::connect(at));
    ::setrlimit(RLIMIT_NOFILE, &old);
    CHECK(opened == std::errc::too_many_files_open);
    CHECK(made == std::errc::too_many_files_open);
    CHECK(accepted == std::errc::too_many_files_open);
    CHECK(connected == std::errc::too_many_files_open);

    const rondo::descriptor peer = co_await io::accept(listener.native_handle());
    CHECK(peer);  // the connection has waited
  };
  rondo::run(body());
}

LOOP_TEST("operations in a steady loop allocate nothing") {
  pipe_ends pipe;
  char byte;
  const rondo::mutable_buffer space(&byte, 1);
  for (int i = 0; i < 10; ++i) {
    co_await io::write(pipe.in(), "x");
    co_await io::read(pipe.out(), space);
  }
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 1000; ++i) {
    co_await io::write(pipe.in(), "x");
    co_await io::read(pipe.out(), space);
  }
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
}

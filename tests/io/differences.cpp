// SPDX-License-Identifier: BSL-1.0

// The same operations on both rings, with the same outcomes: {ready at once, ready later, canceled,
// closed meanwhile, an error}. What one ring does is written down as text and compared with what
// the other does.

#include <sys/mman.h>
#include <sys/xattr.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/operations.hpp"
#include "support/descriptors.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

namespace {

/// What happened, by the name of the scenario.
using outcomes = std::map<std::string, std::string>;

std::string in_words(const std::error_code& code) {
  return std::string(code.category().name()) + " " + std::to_string(code.value()) + " " +
         code.message();
}

template <typename T>
std::string in_words(const T& value) {
  if constexpr (std::is_arithmetic_v<T>) {
    return std::to_string(value);
  } else if constexpr (requires { value.size; }) {
    return std::to_string(value.size) + " bytes";
  } else {
    return "a descriptor";
  }
}

/// How it ended, in words.
template <typename Op>
task<std::string> ended(Op op) {
  try {
    if constexpr (std::is_void_v<rondo::await_result_t<Op>>) {
      co_await std::move(op);
      co_return "done";
    } else {
      const auto value = co_await std::move(op);
      co_return in_words(value);
    }
  } catch (const std::system_error& e) {
    co_return in_words(e.code());
  } catch (const rondo::operation_canceled&) {
    co_return "canceled";
  }
}

std::string text_of(const std::array<char, 8>& bytes) {
  return std::string(bytes.data(), ::strnlen(bytes.data(), bytes.size()));
}

/// Something that an operation waits for, and how it comes true.
struct situation {
  virtual ~situation() = default;
  virtual task<std::string> start() = 0;
  virtual void make_true() = 0;
  virtual rondo::descriptor& subject() = 0;
  /// What is left to see when it has ended.
  virtual std::string traces() { return ""; }
};

// ---- Pipes --------------------------------------------------------------------------------------

struct reading : situation {
  pipe_ends pipe;
  std::array<char, 8> bytes{};
  iovec parts[2] = {{bytes.data(), 3}, {bytes.data() + 3, 5}};
  void make_true() override { REQUIRE(::write(pipe.in(), "hello", 5) == 5); }
  rondo::descriptor& subject() override { return pipe.reader; }
  std::string traces() override { return text_of(bytes); }
};
struct read_situation : reading {
  task<std::string> start() override { return ended(io::read(pipe.out(), bytes)); }
};
struct read_at_offset_situation : reading {  // which a stream does not mind
  task<std::string> start() override { return ended(io::read(pipe.out(), bytes, 7)); }
};
struct readv_situation : reading {
  task<std::string> start() override { return ended(io::readv(pipe.out(), parts, 2)); }
};
struct read_nonblocking_situation : reading {
  read_nonblocking_situation() { ::fcntl(pipe.out(), F_SETFL, O_NONBLOCK); }
  task<std::string> start() override { return ended(io::read(pipe.out(), bytes)); }
  std::string traces() override {
    const int flags = pipe.reader ? ::fcntl(pipe.out(), F_GETFL) & O_NONBLOCK : O_NONBLOCK;
    return reading::traces() + (flags != 0 ? "" : ", and its flags were changed");
  }
};
struct end_of_pipe_situation : reading {
  task<std::string> start() override { return ended(io::read(pipe.out(), bytes)); }
  void make_true() override { pipe.writer = rondo::descriptor(); }
};
struct poll_in_situation : reading {
  task<std::string> start() override { return ended(io::poll(pipe.out(), POLLIN | POLLPRI)); }
};
struct poll_hang_up_situation : reading {
  task<std::string> start() override { return ended(io::poll(pipe.out(), POLLIN)); }
  void make_true() override { pipe.writer = rondo::descriptor(); }
};

struct writing : situation {
  pipe_ends pipe{4096};
  std::array<char, 8> bytes{'w', 'o', 'r', 'l', 'd'};
  iovec parts[2] = {{bytes.data(), 2}, {bytes.data() + 2, 3}};
  std::size_t filled = pipe.fill();
  void make_true() override { taken += waiting_in(pipe.out()); }
  rondo::descriptor& subject() override { return pipe.writer; }
  std::string traces() override {
    return (taken + waiting_in(pipe.out())).substr(filled);
  }
  std::string taken;
};
struct write_situation : writing {
  task<std::string> start() override { return ended(io::write(pipe.in(), "hello")); }
};
struct writev_situation : writing {
  task<std::string> start() override { return ended(io::writev(pipe.in(), parts, 2)); }
};
struct poll_out_situation : writing {
  task<std::string> start() override { return ended(io::poll(pipe.in(), POLLOUT)); }
};
struct broken_pipe_situation : writing {
  task<std::string> start() override { return ended(io::write(pipe.in(), "hello")); }
  void make_true() override {
    waiting_in(pipe.out());
    pipe.reader = rondo::descriptor();
  }
  std::string traces() override { return ""; }
};

// ---- Sockets ------------------------------------------------------------------------------------

struct receiving : situation {
  sockets pair;
  std::array<char, 8> bytes{};
  iovec parts[2] = {{bytes.data(), 3}, {bytes.data() + 3, 5}};
  msghdr message{};
  receiving() {
    message.msg_iov = parts;
    message.msg_iovlen = 2;
  }
  void say(const char* words, std::size_t size) {
    REQUIRE(::send(pair.b.native_handle(), words, size, 0) == static_cast<ssize_t>(size));
  }
  void make_true() override { say("hello", 5); }
  rondo::descriptor& subject() override { return pair.a; }
  std::string traces() override { return text_of(bytes); }
};
struct recv_situation : receiving {
  task<std::string> start() override { return ended(io::recv(pair.a.native_handle(), bytes)); }
};
struct recv_nothing_situation : receiving {
  task<std::string> start() override { return ended(io::recv(pair.a.native_handle(), bytes)); }
  void make_true() override { pair.b = rondo::descriptor(); }
};
struct recv_all_situation : receiving {
  task<std::string> start() override {
    return ended(io::recv(pair.a.native_handle(), bytes, MSG_WAITALL));
  }
  void make_true() override {
    say("hel", 3);
    say("lo wo", 5);
  }
};
struct recv_all_of_less_situation : receiving {
  task<std::string> start() override {
    return ended(io::recv(pair.a.native_handle(), bytes, MSG_WAITALL));
  }
  void make_true() override {
    say("hel", 3);
    pair.b = rondo::descriptor();
  }
};
/// Some bytes have come already, and more would have to.
struct recv_all_after_some_situation : receiving {
  recv_all_after_some_situation() { say("hel", 3); }
  task<std::string> start() override {
    return ended(io::recv(pair.a.native_handle(), bytes, MSG_WAITALL));
  }
  void make_true() override { say("lo wo", 5); }
};
struct recvmsg_situation : receiving {
  task<std::string> start() override {
    return ended(io::recvmsg(pair.a.native_handle(), &message));
  }
};
struct recvmsg_all_situation : receiving {
  recvmsg_all_situation() { say("h", 1); }
  task<std::string> start() override {
    return ended(io::recvmsg(pair.a.native_handle(), &message, MSG_WAITALL));
  }
  void make_true() override { say("ello wo", 7); }
};
struct read_from_socket_situation : receiving {
  task<std::string> start() override { return ended(io::read(pair.a.native_handle(), bytes)); }
};

struct sending : situation {
  sockets pair;
  std::size_t filled = 0;
  std::array<char, 8> bytes{'w', 'o', 'r', 'l', 'd'};
  iovec parts[2] = {{bytes.data(), 2}, {bytes.data() + 2, 3}};
  msghdr message{};
  std::string taken;
  sending() {
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const std::string block(4096, 'x');
    for (ssize_t n = 0;
         (n = ::send(pair.a.native_handle(), block.data(), block.size(), MSG_DONTWAIT)) > 0;) {
      filled += static_cast<std::size_t>(n);
    }
  }
  void make_true() override { take_everything(); }
  rondo::descriptor& subject() override { return pair.a; }
  std::string traces() override {
    take_everything();
    return taken.substr(filled);
  }
  void take_everything() {
    for (std::string s; !(s = waiting_in(pair.b.native_handle())).empty();) taken += s;
  }
};
struct send_situation : sending {
  task<std::string> start() override { return ended(io::send(pair.a.native_handle(), "hello")); }
};
struct sendmsg_situation : sending {
  task<std::string> start() override {
    return ended(io::sendmsg(pair.a.native_handle(), &message));
  }
};
struct write_to_socket_situation : sending {
  task<std::string> start() override { return ended(io::write(pair.a.native_handle(), "hello")); }
};

struct send_parts_situation : sending {
  rondo::const_buffer all[3] = {"he", "", "llo"};
  task<std::string> start() override {
    using op = rondo::detail::send_parts_op<std::span<const rondo::const_buffer>>;
    return ended(io::operation<op>(op(pair.a.native_handle(), all)));
  }
};
struct receive_descriptors_situation : receiving {
  task<std::string> start() override {
    return ended(io::operation<rondo::detail::receive_descriptors_op>(
        rondo::detail::receive_descriptors_op(pair.a.native_handle(), bytes)));
  }
};
struct receive_from_situation : situation {
  rondo::udp_socket socket = rondo::udp_socket::bind(rondo::endpoint::loopback(0));
  rondo::endpoint at = socket.local_endpoint();
  rondo::descriptor fd{socket.release()};
  std::array<char, 8> bytes{};
  task<std::string> start() override {
    return ended(io::operation<rondo::detail::receive_from_op>(
        rondo::detail::receive_from_op(fd.native_handle(), bytes)));
  }
  void make_true() override {
    REQUIRE(::sendto(fd.native_handle(), "hello", 5, 0, at.native(), at.native_size()) == 5);
  }
  rondo::descriptor& subject() override { return fd; }
  std::string traces() override { return text_of(bytes); }
};

struct accepting : situation {
  rondo::tcp_listener listener;
  rondo::endpoint at;
  rondo::descriptor listening;
  rondo::descriptor client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  explicit accepting(int flags)
      : listener(rondo::tcp_listener::bind(rondo::endpoint::loopback(0))),
        at(listener.local_endpoint()),
        listening(listener.release()) {
    ::fcntl(listening.native_handle(), F_SETFL, flags);
  }
  task<std::string> start() override { return ended(io::accept(listening.native_handle())); }
  void make_true() override {
    REQUIRE(::connect(client.native_handle(), at.native(), at.native_size()) == 0);
  }
  rondo::descriptor& subject() override { return listening; }
};
struct accept_situation : accepting {
  accept_situation() : accepting(O_NONBLOCK) {}
};
struct accept_blocking_situation : accepting {
  accept_blocking_situation() : accepting(0) {}
};

const std::map<std::string, std::function<std::unique_ptr<situation>()>> situations = [] {
  std::map<std::string, std::function<std::unique_ptr<situation>()>> all;
  const auto add = [&all]<typename S>(const char* name, S*) {
    all[name] = [] { return std::make_unique<S>(); };
  };
#define RONDO_TEST_SITUATION(name) add(#name, static_cast<name##_situation*>(nullptr))
  RONDO_TEST_SITUATION(read);
  RONDO_TEST_SITUATION(read_at_offset);
  RONDO_TEST_SITUATION(readv);
  RONDO_TEST_SITUATION(read_nonblocking);
  RONDO_TEST_SITUATION(end_of_pipe);
  RONDO_TEST_SITUATION(poll_in);
  RONDO_TEST_SITUATION(poll_hang_up);
  RONDO_TEST_SITUATION(write);
  RONDO_TEST_SITUATION(writev);
  RONDO_TEST_SITUATION(poll_out);
  RONDO_TEST_SITUATION(broken_pipe);
  RONDO_TEST_SITUATION(recv);
  RONDO_TEST_SITUATION(recv_nothing);
  RONDO_TEST_SITUATION(recv_all);
  RONDO_TEST_SITUATION(recv_all_of_less);
  RONDO_TEST_SITUATION(recv_all_after_some);
  RONDO_TEST_SITUATION(recvmsg);
  RONDO_TEST_SITUATION(recvmsg_all);
  RONDO_TEST_SITUATION(read_from_socket);
  RONDO_TEST_SITUATION(send);
  RONDO_TEST_SITUATION(sendmsg);
  RONDO_TEST_SITUATION(write_to_socket);
  RONDO_TEST_SITUATION(send_parts);
  RONDO_TEST_SITUATION(receive_descriptors);
  RONDO_TEST_SITUATION(receive_from);
  RONDO_TEST_SITUATION(accept);
  RONDO_TEST_SITUATION(accept_blocking);
#undef RONDO_TEST_SITUATION
  return all;
}();

task<> wait_for_it(outcomes& all) {
  for (const auto& [name, make] : situations) {
    {
      const auto s = make();
      s->make_true();
      all[name + ", ready at once"] = co_await s->start();
      all[name + ", ready at once: traces"] = s->traces();
    }
    {
      const auto s = make();
      auto running = rondo::spawn(s->start());
      for (int i = 0; i < 3; ++i) co_await round_trip();
      CHECK_FALSE(running.done());
      s->make_true();
      all[name + ", ready later"] = co_await running;
      all[name + ", ready later: traces"] = s->traces();
    }
    {
      const auto s = make();
      auto running = rondo::spawn(s->start());
      for (int i = 0; i < 3; ++i) co_await round_trip();
      running.cancel();
      all[name + ", canceled"] = co_await running;
      all[name + ", canceled: traces"] = s->traces();
    }
    {
      const auto s = make();
      auto running = rondo::spawn(s->start());
      for (int i = 0; i < 3; ++i) co_await round_trip();
      co_await io::close(std::move(s->subject()));
      all[name + ", closed meanwhile"] = co_await running;
    }
    {
      auto s = make();
      auto refused = rondo::spawn(s->start());
      refused.cancel();
      all[name + ", canceled before"] = co_await refused;
    }
  }
}

// ---- What hardly ever waits, and errors ---------------------------------------------------------

/// Any entry, given by a function that fills it.
struct entry_op {
  using value_type = std::size_t;
  static constexpr const char* name = "entry";
  std::function<void(io_uring_sqe&)> fill;
  void prepare(io_uring_sqe& e) noexcept { fill(e); }
};
task<std::string> asked(std::function<void(io_uring_sqe&)> fill) {
  return ended(io::operation<entry_op>(entry_op{std::move(fill)}));
}

std::string text_in(const std::string& path) {
  std::array<char, 100> bytes{};
  const rondo::descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t n = ::read(file.native_handle(), bytes.data(), bytes.size());
  return n >= 0 ? std::string(bytes.data(), static_cast<std::size_t>(n)) : "no file";
}

task<> files(outcomes& all) {
  const temporary_folder folder;
  const std::string a = folder / "a";
  const std::string b = folder / "b";
  const std::string missing = folder / "missing/x";
  {
    const rondo::descriptor file = co_await io::openat(AT_FDCWD, a, O_CREAT | O_RDWR, 0600);
    const int fd = file.native_handle();
    all["write to a file"] = co_await ended(io::write(fd, "0123456789"));
    all["write at an offset"] = co_await ended(io::write(fd, "ab", 4));
    all["write at a wrong offset"] = co_await ended(io::write(fd, "ab", -2));
    std::array<char, 20> bytes{};
    all["read to the end"] = co_await ended(io::read(fd, bytes, 0));
    all["read what is there"] = std::string(bytes.data());
    all["read beyond the end"] = co_await ended(io::read(fd, bytes, 100));
    all["read at the position"] = co_await ended(io::read(fd, bytes));
    all["recv from a file"] = co_await ended(io::recv(fd, bytes));
    all["accept on a file"] = co_await ended(io::accept(fd));
    all["poll a file"] = co_await ended(io::poll(fd, POLLIN));
    all["fsync"] = co_await ended(io::fsync(fd));
    all["fallocate"] = co_await ended(io::fallocate(fd, 0, 0, 100));
    all["fallocate nothing"] = co_await ended(io::fallocate(fd, 0, 0, 0));
    all["ftruncate"] = co_await ended(io::ftruncate(fd, 5));
    all["ftruncate to less than nothing"] = co_await ended(io::ftruncate(fd, -1));
    all["what is in it"] = text_in(a);
    all["sync_file_range"] = co_await asked(
        [fd](io_uring_sqe& e) { io_uring_prep_sync_file_range(&e, fd, 5, 0, 0); });
    all["fadvise"] = co_await asked(
        [fd](io_uring_sqe& e) { io_uring_prep_fadvise(&e, fd, 0, 5, POSIX_FADV_WILLNEED); });
    all["fsetxattr"] = co_await asked([fd](io_uring_sqe& e) {
      io_uring_prep_fsetxattr(&e, fd, "user.rondo", "value", 0, 5);
    });
    std::array<char, 20> value{};
    all["fgetxattr"] = co_await asked([fd, &value](io_uring_sqe& e) {
      io_uring_prep_fgetxattr(&e, fd, "user.rondo", value.data(), value.size());
    });
    all["fgetxattr: value"] = std::string(value.data());
    all["getxattr"] = co_await asked([&a, &value](io_uring_sqe& e) {
      io_uring_prep_getxattr(&e, "user.none", value.data(), a.c_str(), value.size());
    });
    all["setxattr"] = co_await asked([&a](io_uring_sqe& e) {
      io_uring_prep_setxattr(&e, "user.other", "v", a.c_str(), 0, 1);
    });
    pipe_ends pipe;
    const int in = pipe.in();
    all["splice from a file"] = co_await asked(
        [fd, in](io_uring_sqe& e) { io_uring_prep_splice(&e, fd, 1, in, -1, 3, 0); });
    pipe_ends other;
    const int from = pipe.out();
    const int to = other.in();
    all["tee"] =
        co_await asked([from, to](io_uring_sqe& e) { io_uring_prep_tee(&e, from, to, 2, 0); });
    all["what was spliced"] = waiting_in(pipe.out());
    all["what was teed"] = waiting_in(other.out());
    all["read from what was spliced into"] = co_await [](pipe_ends& p) -> task<std::string> {
      char byte;
      auto running = rondo::spawn(ended(io::read(p.out(), rondo::mutable_buffer(&byte, 1))));
      co_await round_trip();
      REQUIRE(::write(p.in(), "x", 1) == 1);
      co_return co_await running;
    }(pipe);
  }
  all["open what is not there"] = co_await ended(io::openat(AT_FDCWD, missing, O_RDONLY));
  all["open exclusively what is there"] =
      co_await ended(io::openat(AT_FDCWD, a, O_CREAT | O_EXCL | O_RDWR));
  all["open a folder for writing"] = co_await ended(io::openat(AT_FDCWD, folder / "", O_WRONLY));
  all["rename"] = co_await asked([&](io_uring_sqe& e) {
    io_uring_prep_renameat(&e, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), 0);
  });
  all["rename what is not there"] = co_await asked([&](io_uring_sqe& e) {
    io_uring_prep_renameat(&e, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), 0);
  });
  all["link"] = co_await asked([&](io_uring_sqe& e) {
    io_uring_prep_linkat(&e, AT_FDCWD, b.c_str(), AT_FDCWD, a.c_str(), 0);
  });
  all["symlink"] = co_await asked([&](io_uring_sqe& e) {
    io_uring_prep_symlinkat(&e, "a", AT_FDCWD, missing.c_str());
  });
  const std::string deep = folder / "deep";
  all["mkdir"] = co_await asked(
      [&](io_uring_sqe& e) { io_uring_prep_mkdirat(&e, AT_FDCWD, deep.c_str(), 0700); });
  all["mkdir again"] = co_await asked(
      [&](io_uring_sqe& e) { io_uring_prep_mkdirat(&e, AT_FDCWD, deep.c_str(), 0700); });
  all["unlink a folder"] = co_await asked(
      [&](io_uring_sqe& e) { io_uring_prep_unlinkat(&e, AT_FDCWD, deep.c_str(), 0); });
  all["remove a folder"] = co_await asked(
      [&](io_uring_sqe& e) { io_uring_prep_unlinkat(&e, AT_FDCWD, deep.c_str(), AT_REMOVEDIR); });
  all["unlink"] = co_await asked(
      [&](io_uring_sqe& e) { io_uring_prep_unlinkat(&e, AT_FDCWD, b.c_str(), 0); });
  all["what is left"] = text_in(a) + " " + text_in(b);

  void* const page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  all["madvise"] = co_await asked(
      [page](io_uring_sqe& e) { io_uring_prep_madvise(&e, page, 4096, MADV_DONTNEED); });
  ::munmap(page, 4096);
}

task<> odd_ones(outcomes& all) {
  all["nop"] = co_await ended(io::nop());
  all["socket"] = co_await ended(io::socket(AF_INET, SOCK_STREAM));
  all["socket of no family"] = co_await ended(io::socket(12345, SOCK_STREAM));
  {
    sockets pair;
    const int fd = pair.a.native_handle();
    all["shutdown"] =
        co_await asked([fd](io_uring_sqe& e) { io_uring_prep_shutdown(&e, fd, SHUT_WR); });
    char byte;
    all["recv after shutdown"] =
        co_await ended(io::recv(pair.b.native_handle(), rondo::mutable_buffer(&byte, 1)));
    all["send after shutdown"] = co_await ended(io::send(fd, "x"));
    all["accept where nobody listens"] = co_await ended(io::accept(fd));
    all["recv without waiting"] =
        co_await ended(io::recv(fd, rondo::mutable_buffer(&byte, 1), MSG_DONTWAIT));
  }
  {
    auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
    const rondo::endpoint at = listener.local_endpoint();
    const rondo::descriptor made = co_await io::socket(AF_INET, SOCK_STREAM);
    all["connect"] =
        co_await ended(io::connect(made.native_handle(), at.native(), at.native_size()));
    all["connect again"] =
        co_await ended(io::connect(made.native_handle(), at.native(), at.native_size()));
    const rondo::descriptor blocking(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    all["connect a blocking socket"] =
        co_await ended(io::connect(blocking.native_handle(), at.native(), at.native_size()));
    co_await listener.close();
    const rondo::descriptor late = co_await io::socket(AF_INET, SOCK_STREAM);
    all["connect to nobody"] =
        co_await ended(io::connect(late.native_handle(), at.native(), at.native_size()));
    all["close"] = co_await ended(io::close(rondo::descriptor(::dup(0))));
    all["close of nothing"] = co_await ended(io::close(rondo::descriptor()));
  }
  const auto before = rondo_test::open_descriptors();
  co_await each_operation([&all](std::string name, std::errc, auto make) -> task<> {
    all[name + ", an error"] = co_await ended(make());
    auto refused = rondo::spawn(ended(make()));
    refused.cancel();
    all[name + ", canceled before"] = co_await refused;
  });
  CHECK(rondo_test::open_descriptors() == before);
}

outcomes on(rondo::backend ring, task<> (*scenarios)(outcomes&)) {
  outcomes all;
  const on_ring here(ring == rondo::backend::epoll ? "epoll" : "io_uring");
  rondo::run(scenarios(all));
  return all;
}

void compare(task<> (*scenarios)(outcomes&)) {
  const outcomes theirs = on(rondo::backend::io_uring, scenarios);
  const outcomes ours = on(rondo::backend::epoll, scenarios);
  CHECK(theirs.size() == ours.size());
  CHECK_FALSE(theirs.empty());
  for (const auto& [name, outcome] : theirs) {
    INFO(name);
    CHECK(ours.at(name) == outcome);
  }
}

}  // namespace

TEST_CASE("what waits ends in the same ways on both rings") {
  if (!io_uring_works()) SKIP("needs io_uring");
  compare(&wait_for_it);
}

TEST_CASE("operations on files and paths give the same on both rings") {
  if (!io_uring_works()) SKIP("needs io_uring");
  compare(&files);
}

TEST_CASE("errors and odd uses give the same on both rings") {
  if (!io_uring_works()) SKIP("needs io_uring");
  compare(&odd_ones);
}

// SPDX-License-Identifier: BSL-1.0

// The same operations on both rings, with the same outcomes: {ready at once, ready later, canceled,
// closed meanwhile, an error}. What one ring does is written down as text and compared with what
// the other does.

#include <signal.h>
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
  /// Whether closing the subject at any moment ends it as closed.
  virtual bool ends_when_closed() { return true; }
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
struct read_fixed_situation : reading {
  rondo::registered_buffers buffers{1, 8};
  task<std::string> start() override { return ended(io::read_fixed(pipe.out(), buffers[0])); }
  std::string traces() override { return std::string(buffers[0].data(), 8); }
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
struct write_fixed_situation : writing {
  rondo::registered_buffers buffers{1, 5};
  write_fixed_situation() { std::memcpy(buffers[0].data(), "hello", 5); }
  task<std::string> start() override { return ended(io::write_fixed(pipe.in(), buffers[0])); }
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

struct tcp_socket_pair {
  rondo::descriptor a{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  rondo::descriptor b;
  tcp_socket_pair() {
    auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
    const rondo::endpoint at = listener.local_endpoint();
    REQUIRE(::connect(a.native_handle(), at.native(), at.native_size()) == 0);
    b = rondo::descriptor(::accept4(listener.native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
    const int little = 4096;  // and no more: it would grow while somebody waits
    ::setsockopt(a.native_handle(), SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    ::setsockopt(b.native_handle(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
  }
};
struct sending_without_copy : situation {
  tcp_socket_pair pair;
  std::string taken;
  sending_without_copy() {
    const std::string block(4096, 'x');
    const int fd = pair.a.native_handle();
    // Twice in vain: the connection makes room once more when the peer's kernel has taken some.
    for (int in_vain = 0; in_vain < 2;) {
      const std::size_t before = filled;
      for (const std::size_t size : {block.size(), std::size_t{1}}) {
        for (ssize_t n = 0; (n = ::send(fd, block.data(), size, MSG_DONTWAIT)) > 0;) {
          filled += static_cast<std::size_t>(n);
        }
      }
      in_vain = filled != before ? 0 : in_vain + 1;
      ::usleep(5000);
    }
  }
  std::size_t filled = 0;
  void make_true() override {
    while (taken.size() < filled) taken += waiting_in(pair.b.native_handle());
  }
  rondo::descriptor& subject() override { return pair.a; }
  std::string traces() override {
    make_true();
    pollfd more{pair.b.native_handle(), POLLIN, 0};
    if (::poll(&more, 1, 20) == 1) taken += waiting_in(pair.b.native_handle());
    return taken.substr(filled);
  }
};
struct send_zc_situation : sending_without_copy {
  task<std::string> start() override { return ended(io::send_zc(pair.a.native_handle(), "hello")); }
};
struct send_zc_fixed_situation : sending_without_copy {
  rondo::registered_buffers buffers{1, 5};
  send_zc_fixed_situation() { std::memcpy(buffers[0].data(), "hello", 5); }
  task<std::string> start() override {
    return ended(io::send_zc_fixed(pair.a.native_handle(), buffers[0]));
  }
};

struct splice_situation : reading {
  pipe_ends to;
  task<std::string> start() override {
    return ended(io::splice(pipe.out(), -1, to.in(), -1, 3));
  }
  bool ends_when_closed() override { return false; }  // not before a thread of the kernel has begun
  std::string traces() override { return waiting_in(to.out()); }
};
struct tee_situation : splice_situation {
  task<std::string> start() override { return ended(io::tee(pipe.out(), to.in(), 3)); }
};

struct waitid_situation : situation {
  pipe_ends pipe;
  pid_t child;
  waitid_situation() {
    child = ::fork();
    if (child != 0) return;
    char byte;
    ::close(pipe.in());
    [[maybe_unused]] const auto n = ::read(pipe.out(), &byte, 1);
    ::_exit(7);
  }
  ~waitid_situation() override {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  static task<int> status_of(pid_t child) {
    const siginfo_t end = co_await io::waitid(P_PID, static_cast<id_t>(child));
    co_return end.si_status;
  }
  task<std::string> start() override { return ended(status_of(child)); }
  void make_true() override {
    REQUIRE(::write(pipe.in(), "x", 1) == 1);
    siginfo_t end{};
    ::waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOWAIT);
  }
  rondo::descriptor& subject() override { return pipe.writer; }
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
  RONDO_TEST_SITUATION(read_fixed);
  RONDO_TEST_SITUATION(end_of_pipe);
  RONDO_TEST_SITUATION(poll_in);
  RONDO_TEST_SITUATION(poll_hang_up);
  RONDO_TEST_SITUATION(write);
  RONDO_TEST_SITUATION(writev);
  RONDO_TEST_SITUATION(write_fixed);
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
  RONDO_TEST_SITUATION(send_zc);
  RONDO_TEST_SITUATION(send_zc_fixed);
  RONDO_TEST_SITUATION(splice);
  RONDO_TEST_SITUATION(tee);
  RONDO_TEST_SITUATION(waitid);
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
    if (make()->ends_when_closed()) {
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
    const rondo::registered_buffers known(1, 20);
    all["read_fixed to the end"] = co_await ended(io::read_fixed(fd, known[0], 0));
    all["read_fixed what is there"] = std::string(known[0].data());
    all["read_fixed beyond the end"] = co_await ended(io::read_fixed(fd, known[0], 100));
    all["read_fixed at a wrong offset"] = co_await ended(io::read_fixed(fd, known[0], -2));
    all["read_fixed of nothing"] = co_await ended(io::read_fixed(fd, known[0].first(0), 0));
    all["write_fixed of nothing"] = co_await ended(io::write_fixed(fd, known[0].first(0), 0));
    all["write_fixed at an offset"] = co_await ended(io::write_fixed(fd, known[0].first(2), 8));
    for (const char* const other : {"/proc/self/comm", "/dev/zero", "/dev/full", "/dev"}) {
      const rondo::descriptor odd = co_await io::openat(AT_FDCWD, other, O_RDONLY);
      all[std::string("read_fixed ") + other] =
          co_await ended(io::read_fixed(odd.native_handle(), known[0]));
      all[std::string("write_fixed ") + other] =
          co_await ended(io::write_fixed(odd.native_handle(), known[0]));
    }
    all["recv from a file"] = co_await ended(io::recv(fd, bytes));
    all["accept on a file"] = co_await ended(io::accept(fd));
    all["poll a file"] = co_await ended(io::poll(fd, POLLIN));
    all["fsync"] = co_await ended(io::fsync(fd));
    all["fallocate"] = co_await ended(io::fallocate(fd, 0, 0, 100));
    all["fallocate nothing"] = co_await ended(io::fallocate(fd, 0, 0, 0));
    all["ftruncate"] = co_await ended(io::ftruncate(fd, 5));
    all["ftruncate to less than nothing"] = co_await ended(io::ftruncate(fd, -1));
    all["what is in it"] = text_in(a);
    all["sync_file_range"] = co_await ended(io::sync_file_range(fd, 0, 5, 0));
    all["fadvise"] = co_await ended(io::fadvise(fd, 0, 5, POSIX_FADV_WILLNEED));
    all["fadvise of an unknown kind"] = co_await ended(io::fadvise(fd, 0, 5, 12345));
    all["fsetxattr"] = co_await ended(io::fsetxattr(fd, "user.rondo", "value"));
    all["fsetxattr again"] =
        co_await ended(io::fsetxattr(fd, "user.rondo", "value", XATTR_CREATE));
    std::array<char, 20> value{};
    all["fgetxattr"] = co_await ended(io::fgetxattr(fd, "user.rondo", value));
    all["fgetxattr: value"] = std::string(value.data());
    all["getxattr"] = co_await ended(io::getxattr(a, "user.none", value));
    all["getxattr: only the size"] = co_await ended(io::getxattr(a, "user.rondo", {}));
    all["setxattr"] = co_await ended(io::setxattr(a, "user.other", "v"));
    pipe_ends pipe;
    all["splice from a file"] = co_await ended(io::splice(fd, 1, pipe.in(), -1, 3));
    all["splice between files"] = co_await ended(io::splice(fd, 1, fd, 5, 3));
    pipe_ends other;
    all["tee"] = co_await ended(io::tee(pipe.out(), other.in(), 2));
    all["tee to a file"] = co_await ended(io::tee(pipe.out(), fd, 2));
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
  all["rename"] = co_await ended(io::renameat(AT_FDCWD, a, AT_FDCWD, b));
  all["rename what is not there"] = co_await ended(io::renameat(AT_FDCWD, a, AT_FDCWD, b));
  all["link"] = co_await ended(io::linkat(AT_FDCWD, b, AT_FDCWD, a));
  all["link again"] = co_await ended(io::linkat(AT_FDCWD, b, AT_FDCWD, a));
  all["rename to what is there"] =
      co_await ended(io::renameat(AT_FDCWD, b, AT_FDCWD, a, RENAME_NOREPLACE));
  all["symlink"] = co_await ended(io::symlinkat("a", AT_FDCWD, missing));
  all["symlink that is there"] = co_await ended(io::symlinkat("x", AT_FDCWD, a));
  const std::string deep = folder / "deep";
  all["mkdir"] = co_await ended(io::mkdirat(AT_FDCWD, deep));
  all["mkdir again"] = co_await ended(io::mkdirat(AT_FDCWD, deep));
  all["unlink a folder"] = co_await ended(io::unlinkat(AT_FDCWD, deep));
  all["remove a folder"] = co_await ended(io::unlinkat(AT_FDCWD, deep, AT_REMOVEDIR));
  all["unlink"] = co_await ended(io::unlinkat(AT_FDCWD, b));
  all["what is left"] = text_in(a) + " " + text_in(b);

  void* const page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  all["madvise"] = co_await ended(io::madvise(page, 4096, MADV_DONTNEED));
  ::munmap(page, 4096);
}

task<> odd_ones(outcomes& all) {
  all["nop"] = co_await ended(io::nop());
  all["socket"] = co_await ended(io::socket(AF_INET, SOCK_STREAM));
  {
    const auto at = rondo::endpoint::loopback(0);
    const rondo::descriptor made = co_await io::socket(AF_INET, SOCK_STREAM);
    all["bind"] =
        co_await ended(io::bind(made.native_handle(), at.native(), at.native_size()));
    all["bind again"] =
        co_await ended(io::bind(made.native_handle(), at.native(), at.native_size()));
    all["bind to little"] = co_await ended(io::bind(made.native_handle(), at.native(), 3));
    all["listen"] = co_await ended(io::listen(made.native_handle()));
  }
  static std::uint32_t word = 5;
  all["futex_wait, unknown flags"] = co_await ended(io::futex_wait(&word, 5, 1U << 20));
  all["futex_wait, no mask"] = co_await ended(io::futex_wait(&word, 5, 0, 0));
  all["waitid without options"] = co_await ended(io::waitid(P_ALL, 0, 0));
  all["socket of no family"] = co_await ended(io::socket(12345, SOCK_STREAM));
  {
    sockets pair;
    const int fd = pair.a.native_handle();
    all["shutdown"] = co_await ended(io::shutdown(fd, SHUT_WR));
    all["shutdown by the ring"] =
        co_await asked([fd](io_uring_sqe& e) { io_uring_prep_shutdown(&e, fd, SHUT_RD); });
    all["send_zc on a Unix socket"] = co_await ended(io::send_zc(fd, "x"));
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

// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of the loop and of everything above it are written with.
//
//     LOOP_TEST("a nop goes to the kernel and comes back") {
//       co_await rondo::io::nop();
//     }
//
// The body is a coroutine, run by rondo::run, once on each ring: this makes the tests
// "a nop ... back (io_uring)" and "a nop ... back (epoll)". Where io_uring is refused, the first is
// skipped. All loops that the body makes, also in other processes, use the same ring. VIRTUAL_TEST is
// the same with virtual time: waiting takes none, and `now()` is exact.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <rondo/rondo.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "support/catch.hpp"
#include "support/slowness.hpp"

#define RONDO_LOOP_JOIN2(a, b) a##b
#define RONDO_LOOP_JOIN(a, b) RONDO_LOOP_JOIN2(a, b)
#define LOOP_TEST(name) RONDO_LOOP_TEST(RONDO_LOOP_JOIN(loop_test_, __COUNTER__), name)
#define RONDO_LOOP_TEST(body, name)      \
  static rondo::task<> body();           \
  ON_BOTH_RINGS(name, rondo::run(body());) \
  static rondo::task<> body()
#define VIRTUAL_TEST(name) RONDO_VIRTUAL_TEST(RONDO_LOOP_JOIN(virtual_test_, __COUNTER__), name)
#define RONDO_VIRTUAL_TEST(body, name)                                            \
  static rondo::task<> body();                                                    \
  ON_BOTH_RINGS(name, rondo::run(body(), rondo::loop_options::virtual_time());)   \
  static rondo::task<> body()

/// Two tests of the same statements, one on each ring.
#define ON_BOTH_RINGS(name, ...)                                  \
  TEST_CASE(name " (io_uring)") {                                 \
    if (!rondo::test::io_uring_works()) SKIP("needs io_uring");   \
    const rondo::test::on_ring here("io_uring");                  \
    __VA_ARGS__                                                   \
  }                                                               \
  TEST_CASE(name " (epoll)") {                                    \
    const rondo::test::on_ring here("epoll");                     \
    __VA_ARGS__                                                   \
  }

namespace rondo::test {

/// While this exists, loops whose options do not say otherwise use this ring.
class on_ring {
 public:
  explicit on_ring(const char* name) {
    if (const char* const before = std::getenv(variable)) before_ = before;
    ::setenv(variable, name, 1);
  }
  on_ring(const on_ring&) = delete;
  on_ring& operator=(const on_ring&) = delete;
  ~on_ring() {
    if (before_) {
      ::setenv(variable, before_->c_str(), 1);
    } else {
      ::unsetenv(variable);
    }
  }

 private:
  static constexpr const char* variable = "RONDO_BACKEND";
  std::optional<std::string> before_;
};

inline loop_options with_backend(backend which) {
  loop_options options;
  options.backend = which;
  return options;
}

inline loop_options with_entries(unsigned entries) {
  loop_options options;
  options.entries = entries;
  return options;
}

/// Whether this machine lets a loop run on io_uring.
inline bool io_uring_works() {
  static const bool works = [] {
    try {
      event_loop loop(with_backend(backend::io_uring));
      loop.run_once();
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }();
  return works;
}

/// Whether the running loop is on epoll.
inline bool on_epoll() { return event_loop::current().backend() == backend::epoll; }

/// The time of the turn on the running loop.
inline time_point now() { return event_loop::current().now(); }

/// How something ended, as a code: no error for a value, errc::canceled for a cancellation.
template <typename A>
task<std::error_code> code_of(A what) {
  try {
    static_cast<void>(co_await std::move(what));
  } catch (const std::system_error& e) {
    co_return e.code();
  } catch (const operation_canceled&) {
    co_return errc::canceled;
  }
  co_return std::error_code();
}

/// What something says when it fails.
template <typename A>
task<std::string> words_of(A what) {
  try {
    static_cast<void>(co_await std::move(what));
  } catch (const std::exception& e) {
    co_return e.what();
  }
  co_return "";
}

inline bool contains(std::string_view text, std::string_view words) {
  return text.find(words) != text.npos;
}

/// Everything that was started before has reached the kernel when this ends.
inline task<> round_trip() { co_await io::nop(); }

/// Ends when it is canceled, and not before.
inline task<> for_ever() {
  for (;;) co_await sleep_for(std::chrono::hours(24));
}

inline task<> yields(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}

/// Waits for something that needs no more than time.
template <typename Condition>
task<> until(Condition condition) {
  while (!condition()) co_await sleep_for(std::chrono::milliseconds(1));
}

struct pipe_ends {
  descriptor reader;
  descriptor writer;
  /// capacity 0: as the kernel makes them.
  explicit pipe_ends(int capacity = 0) {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0)
      throw std::system_error(errno, std::system_category(), "pipe2");
    reader = descriptor(fds[0]);
    writer = descriptor(fds[1]);
    if (capacity != 0) ::fcntl(fds[1], F_SETPIPE_SZ, capacity);
  }
  [[nodiscard]] int in() const { return writer.native_handle(); }
  [[nodiscard]] int out() const { return reader.native_handle(); }
  /// Writes until it would block.
  std::size_t fill() const {
    ::fcntl(in(), F_SETFL, O_NONBLOCK);
    std::size_t filled = 0;
    const std::array<char, 4096> zeros{};
    for (ssize_t n = 0; (n = ::write(in(), zeros.data(), zeros.size())) > 0;) {
      filled += static_cast<std::size_t>(n);
    }
    ::fcntl(in(), F_SETFL, 0);
    return filled;
  }
};

/// Two connected stream sockets.
struct sockets {
  descriptor a;
  descriptor b;
  sockets() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
      throw std::system_error(errno, std::system_category(), "socketpair");
    }
    a = descriptor(fds[0]);
    b = descriptor(fds[1]);
  }
};

/// Two TCP streams over the loopback.
struct tcp_ends {
  tcp_stream a;
  tcp_stream b;
};
inline task<tcp_ends> tcp_pair() {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  auto both = co_await when_all(tcp_stream::connect(listener.local_endpoint()), listener.accept());
  tcp_ends ends;
  ends.a = std::move(std::get<0>(both));
  ends.b = std::move(std::get<1>(both));
  co_return ends;
}

/// A folder that is removed with everything in it.
class temporary_folder {
 public:
  temporary_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "rondo-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::system_error(errno, std::system_category(), "mkdtemp");
    }
    path_ = name;
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Runs a function in a process of its own, and gives what waitpid says about its end. An exception
/// ends the process with status 99. The function makes no assertions and starts no thread.
template <typename F>
int in_child(F function) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::signal(SIGABRT, SIG_DFL);  // Catch2's handler would report this test, from here
    int status = 99;
    try {
      status = function();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}
/// What a function, which gives an exit status, prints on stderr, in a process of its own.
struct printed_by_child {
  int status;  // as in_child
  std::string text;
};
template <typename F>
printed_by_child stderr_of(F function) {
  pipe_ends pipe;
  const int status = in_child([&] {
    ::dup2(pipe.in(), STDERR_FILENO);
    return function();
  });
  pipe.writer = descriptor();
  std::string text(1000, '\0');
  const ssize_t n = ::read(pipe.out(), text.data(), text.size());
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return {status, text};
}
inline bool exited_with(int status, int expected) {
  return WIFEXITED(status) && WEXITSTATUS(status) == expected;
}
inline bool killed_by(int status, int signal) {
  return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

}  // namespace rondo::test

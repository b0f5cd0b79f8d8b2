// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/wait.hpp>

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>

#include <atomic>
#include <chrono>
#include <string>

#include "io/operations.hpp"
#include "support/descriptors.hpp"
#include "support/ring_here.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

namespace {

/// A child that waits until this writes a byte (and then exits with it), or is killed.
class child {
 public:
  child() {
    pid_ = ::fork();
    if (pid_ == 0) {
      char status = 99;
      ::close(pipe_.in());
      [[maybe_unused]] const auto n = ::read(pipe_.out(), &status, 1);
      ::_exit(status);
    }
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] id_t id() const { return static_cast<id_t>(pid_); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  void ends_with(char status) { REQUIRE(::write(pipe_.in(), &status, 1) == 1); }
  void is_told(int signal) const { REQUIRE(::kill(pid_, signal) == 0); }

 private:
  pipe_ends pipe_;
  pid_t pid_;
};

task<siginfo_t> waited(idtype_t which, id_t id, int options) {
  co_return co_await io::waitid(which, id, options);
}

void lack(std::uint8_t opcode) { ring_here().pretend_to_lack(opcode); }

task<> the_end_of_a_child() {
  child c;
  auto waiting = rondo::spawn(waited(P_PID, c.id(), WEXITED));
  for (int i = 0; i < 3; ++i) co_await round_trip();
  CHECK_FALSE(waiting.done());
  c.ends_with(7);
  const siginfo_t end = co_await waiting;
  CHECK(end.si_pid == c.pid());
  CHECK(end.si_code == CLD_EXITED);
  CHECK(end.si_status == 7);
  const std::string words = co_await words_of(io::waitid(P_PID, c.id()));
  CHECK(words == "waitid: " + std::system_category().message(ECHILD));
}

/// What waits for them may get the same number of a descriptor again and again.
task<> children_one_after_the_other() {
  for (int i = 0; i < 3; ++i) co_await the_end_of_a_child();
  for (char i = 0; i < 3; ++i) {
    child c;
    const int number = static_cast<int>(::syscall(SYS_pidfd_open, c.pid(), 0));
    REQUIRE(number >= 0);
    auto waiting = rondo::spawn(waited(P_PIDFD, static_cast<id_t>(number), WEXITED));
    for (int n = 0; n < 3; ++n) co_await round_trip();
    c.ends_with(i);
    const siginfo_t end = co_await waiting;
    CHECK(end.si_status == i);
    ::close(number);  // without a word to the loop
  }
}

task<> other_changes_of_a_child() {
  child c;
  const siginfo_t nothing = co_await io::waitid(P_PID, c.id(), WEXITED | WNOHANG);
  CHECK(nothing.si_pid == 0);
  auto stopping = rondo::spawn(waited(P_PID, c.id(), WSTOPPED));
  co_await round_trip();
  c.is_told(SIGSTOP);
  const siginfo_t stopped = co_await stopping;
  CHECK(stopped.si_code == CLD_STOPPED);
  c.is_told(SIGCONT);
  c.ends_with(0);
  const siginfo_t seen = co_await io::waitid(P_PID, c.id(), WEXITED | WNOWAIT);
  const siginfo_t taken = co_await io::waitid(P_ALL, 0, WEXITED);
  CHECK(seen.si_pid == c.pid());
  CHECK(taken.si_pid == c.pid());
}

task<> a_wait_that_is_canceled() {
  child c;
  for (const int options : {WEXITED, WEXITED | WSTOPPED}) {
    for (const auto delay : {0ms, 10ms}) {
      auto waiting = rondo::spawn(code_of(io::waitid(P_PID, c.id(), options)));
      co_await round_trip();
      co_await rondo::sleep_for(delay);
      CHECK_FALSE(waiting.done());
      waiting.cancel();
      const std::error_code code = co_await waiting;
      CHECK(code == rondo::errc::canceled);
    }
  }
  c.ends_with(3);
  const siginfo_t end = co_await io::waitid(P_PID, c.id());
  CHECK(end.si_status == 3);
}

void wake(const std::uint32_t* word, int flags, int count = 1) {
  ::syscall(SYS_futex, word, FUTEX_WAKE | flags, count, nullptr, nullptr, 0);
}

/// Wakes until the waiter has gone on: a thread may be about to wait.
template <typename Handle>
task<> wake_until_done(Handle& waiting, const std::uint32_t* word, int flags) {
  while (!waiting.done()) {
    wake(word, flags);
    co_await rondo::sleep_for(1ms);
  }
}

task<> a_word_that_wakes() {
  static std::uint32_t word = 5;
  for (const std::uint32_t flags : {std::uint32_t{0}, io::futex_private}) {
    auto waiting = rondo::spawn(code_of(io::futex_wait(&word, 5, flags)));
    for (int i = 0; i < 3; ++i) co_await round_trip();
    CHECK_FALSE(waiting.done());
    co_await wake_until_done(waiting, &word, static_cast<int>(flags));
    const std::error_code code = co_await waiting;
    CHECK(code == std::error_code());
  }
  const std::string changed = co_await words_of(io::futex_wait(&word, 4));
  CHECK(changed == "futex: " + std::system_category().message(EAGAIN));
  const std::error_code unknown = co_await code_of(io::futex_wait(&word, 5, 1U << 20));
  CHECK(unknown == std::errc::invalid_argument);
}

task<> a_word_that_nobody_wakes() {
  static std::uint32_t word = 5;
  for (const auto delay : {0ms, 1ms, 20ms}) {
    auto waiting = rondo::spawn(code_of(io::futex_wait(&word, 5)));
    co_await round_trip();
    co_await rondo::sleep_for(delay);
    CHECK_FALSE(waiting.done());
    waiting.cancel();
    const std::error_code code = co_await waiting;
    CHECK(code == rondo::errc::canceled);
  }
}

}  // namespace

// Both are newer than Linux 6.1: each test runs with and without the kernel's operation.

LOOP_TEST("waitid gives the end of a child, once") { co_await the_end_of_a_child(); }
LOOP_TEST("waitid gives the end of a child, once, where the kernel cannot do it") {
  lack(rondo::detail::opcode::waitid);
  co_await the_end_of_a_child();
}

LOOP_TEST("waitid gives the ends of children, one after the other") {
  co_await children_one_after_the_other();
}
LOOP_TEST("waitid gives the ends of children, one after the other, where the kernel cannot do it") {
  lack(rondo::detail::opcode::waitid);
  co_await children_one_after_the_other();
}

LOOP_TEST("waitid gives other changes of a child, and looks") { co_await other_changes_of_a_child(); }
LOOP_TEST("waitid gives other changes of a child, and looks, where the kernel cannot do it") {
  lack(rondo::detail::opcode::waitid);
  co_await other_changes_of_a_child();
}

LOOP_TEST("a canceled waitid leaves the child as it was") { co_await a_wait_that_is_canceled(); }
LOOP_TEST("a canceled waitid leaves the child as it was, where the kernel cannot do it") {
  lack(rondo::detail::opcode::waitid);
  co_await a_wait_that_is_canceled();
}

LOOP_TEST("futex_wait waits until it is woken, while the word is as expected") { co_await a_word_that_wakes(); }
LOOP_TEST("futex_wait waits until it is woken, while the word is as expected, where the kernel cannot do it") {
  lack(rondo::detail::opcode::futex_wait);
  co_await a_word_that_wakes();
}

LOOP_TEST("a futex_wait that nobody wakes is canceled") { co_await a_word_that_nobody_wakes(); }
LOOP_TEST("a futex_wait that nobody wakes is canceled, where the kernel cannot do it") {
  lack(rondo::detail::opcode::futex_wait);
  co_await a_word_that_nobody_wakes();
}

TEST_CASE("waits on threads do not keep a file from being read (epoll)") {
  rondo::loop_options options;
  options.backend = rondo::backend::epoll;
  options.max_threads = 2;
  const auto body = []() -> task<> {
    static std::uint32_t word = 5;
    std::vector<rondo::join_handle<std::error_code>> waiting;
    for (int i = 0; i < 4; ++i) waiting.push_back(rondo::spawn(code_of(io::futex_wait(&word, 5))));
    const std::string read = co_await rondo::read_file("/proc/self/comm");
    CHECK(read != "");
    for (auto& w : waiting) CHECK_FALSE(w.done());
    for (auto& w : waiting) co_await wake_until_done(w, &word, 0);
  };
  rondo::run(body(), options);
}

// SPDX-License-Identifier: BSL-1.0

#include <cerrno>
#include <unistd.h>
#include <sys/stat.h>
#include <grp.h>
#include <rondo/process/process.hpp>

#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using Catch::Matchers::ContainsSubstring;
using rondo::command;
using rondo::process;
using rondo::process_options;
using rondo::run_process;
using rondo::shell;
using rondo::stdio;
using rondo::task;

namespace {

constexpr process_options all_piped{stdio::pipe, stdio::pipe, stdio::pipe};

/// Whether this process has no child, not even a dead one.
bool no_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}
bool is_running(pid_t pid) { return ::kill(pid, 0) == 0; }

task<std::string> read_to_end(rondo::pipe_reader& from) {
  std::string all;
  std::array<char, 4096> space;
  for (;;) {
    const std::size_t n = co_await from.read(space);
    if (n == 0) co_return all;
    all.append(space.data(), n);
  }
}

}  // namespace

// Running

LOOP_TEST("a program is run with its arguments and input, and gives what it says and its exit code") {
  const auto r = co_await run_process({"sh", "-c", "cat; echo \"$1\" >&2; exit 3", "sh", "an argument"},
                                      "the input");
  CHECK(r.exit_code == 3);
  CHECK(r.out == "the input");
  CHECK(r.err == "an argument\n");
  const auto plain = co_await run_process("true");
  CHECK(plain.exit_code == 0);
  CHECK(plain.out.empty());
  CHECK(no_children());
}

LOOP_TEST("a program that a signal kills has its negative number as exit code") {
  const auto r = co_await run_process(shell("kill -TERM $$"));
  CHECK(r.exit_code == -SIGTERM);
}

LOOP_TEST("much input and much output pass at the same time") {
  const std::string much(5'000'000, 'x');
  const auto r = co_await run_process("cat", much);
  const bool same = r.out == much;
  CHECK(same);
  const auto both = co_await run_process(shell("cat >&2; head -c 3000000 /dev/zero"), much);
  CHECK(both.err.size() == much.size());
  CHECK(both.out.size() == 3'000'000);
}

LOOP_TEST("a program that does not want its input is no error") {
  const auto r = co_await run_process("true", std::string(5'000'000, 'x'));
  CHECK(r.exit_code == 0);
}

LOOP_TEST("Python is a program, too") {
  const auto r = co_await run_process(
      {"python3", "-c", "import sys; print(sum(int(line) for line in sys.stdin))"}, "1\n2\n3\n");
  CHECK(r.out == "6\n");
}

LOOP_TEST("folder and environment are those that were asked for") {
  const temporary_folder folder;
  const auto where = co_await run_process(command("pwd").cwd(folder / ""));
  CHECK(where.out == std::filesystem::canonical(folder / "").string() + "\n");
  const auto what = co_await run_process(command("/usr/bin/env").clear_env().env("A", "b c"));
  CHECK(what.out == "A=b c\n");
}

// Talking

LOOP_TEST("a program is talked to through its streams") {
  process cat = process::spawn("cat", {.in = stdio::pipe, .out = stdio::pipe});
  CHECK(is_running(cat.pid()));
  rondo::buffered_reader lines(cat.stdout_());
  for (const std::string text : {"one", "two"}) {
    co_await cat.stdin_().write(text + "\n");
    const auto answer = co_await lines.read_line();
    CHECK(answer == text);
  }
  co_await cat.stdin_().close();
  const auto end = co_await lines.read_line();
  CHECK_FALSE(end);
  const int code = co_await cat.wait();
  const int again = co_await cat.wait();
  CHECK(code == 0);
  CHECK(again == 0);
}

LOOP_TEST("a stream that is no pipe is said to be none") {
  process p = process::spawn("true", {.in = stdio::null, .out = stdio::null});
  CHECK_THROWS_AS(p.stdin_(), std::logic_error);
  CHECK_THROWS_AS(p.stdout_(), std::logic_error);
  CHECK_THROWS_AS(p.stderr_(), std::logic_error);
  std::string words;
  try {
    static_cast<void>(co_await p.communicate("input"));
  } catch (const std::logic_error& e) {
    words = e.what();
  }
  CHECK_THAT(words, ContainsSubstring("spawn it with stdio::pipe"));
  const auto r = co_await p.communicate();
  CHECK(r.exit_code == 0);
  CHECK(r.out.empty());
}

LOOP_TEST("null is nothing to read, and what is written is forgotten") {
  process p = process::spawn(shell("cat; echo out; echo err >&2"),
                             {.in = stdio::null, .out = stdio::pipe, .err = stdio::null});
  const auto r = co_await p.communicate();
  CHECK(r.out == "out\n");
  CHECK(r.err.empty());
}

LOOP_TEST("several wait for the same program, and the first may be canceled") {
  process p = process::spawn("cat", {.in = stdio::pipe, .out = stdio::null});
  auto first = rondo::spawn(p.wait());
  auto second = rondo::spawn(p.wait());
  auto third = rondo::spawn(p.wait());
  co_await round_trip();
  first.cancel();
  const std::error_code code = co_await code_of([](auto& h) -> task<int> { co_return co_await h; }(first));
  static_cast<void>(code);
  CHECK(is_running(p.pid()));
  co_await p.stdin_().close();
  const int a = co_await second;
  const int b = co_await third;
  CHECK(a == 0);
  CHECK(b == 0);
}

// Signals

LOOP_TEST("a program is asked to end, or made to, and afterwards nothing happens") {
  for (const int number : {SIGTERM, SIGKILL, SIGUSR1}) {
    process p = process::spawn({"sleep", "1000"});
    if (number == SIGTERM) p.terminate();
    if (number == SIGKILL) p.kill();
    if (number == SIGUSR1) p.send_signal(number);
    const int code = co_await p.wait();
    CHECK(code == -number);
    p.terminate();
    p.kill();
    CHECK_THROWS_AS((p.send_signal(0), process::spawn("true").send_signal(-1)), std::system_error);
  }
}

LOOP_TEST("a program has the signals that it expects") {
  sigset_t blocked;
  sigset_t before;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto r = co_await run_process(
      {"python3", "-c",
       "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []), "
       "open('/proc/self/status').read().split('SigIgn:')[1].split()[0])"});
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  CHECK(r.out.starts_with("set() "));
  const auto pipe_ends_it = co_await run_process(shell("yes | head -c 1 >/dev/null; echo done"));
  CHECK(pipe_ends_it.out == "done\n");
  const auto sigpipe = co_await run_process(shell("kill -PIPE $$; echo ignored"));
  CHECK(sigpipe.exit_code == -SIGPIPE);
}

// Descriptors

LOOP_TEST("a program inherits three descriptors and none of rondo's, and leaves none") {
  const auto before = rondo_test::open_descriptors();
  {
    tcp_ends ends = co_await tcp_pair();
    auto [out, in] = rondo::make_pipe();
    const auto r = co_await run_process({"ls", "/proc/self/fd"});
    std::istringstream listed(r.out);
    int inherited = 0;
    for (int fd; listed >> fd;) {
      // What the test itself has inherited goes on to its children; and ls opens what it lists.
      const int flags = ::fcntl(fd, F_GETFD);
      const bool foreign = flags >= 0 && (flags & FD_CLOEXEC) == 0;
      inherited += fd > 2 && !foreign ? 1 : 0;
    }
    CHECK(inherited == 1);
    process unused = process::spawn("true", all_piped);
    static_cast<void>(co_await unused.wait());
  }
  CHECK(rondo_test::open_descriptors() == before);
}

ON_BOTH_RINGS("a process without standard streams can run programs", {
  const int status = in_child([] {
    bool right = false;
    const auto work = [](bool& fine) -> task<> {
      for (const int fd : {0, 1, 2}) ::close(fd);  // so that the pipes get these numbers
      const auto r = co_await run_process(shell("cat; echo err >&2"), "input");
      fine = r.out == "input" && r.err == "err\n";
    };
    rondo::run(work(right));
    return right ? 0 : 1;
  });
  CHECK(exited_with(status, 0));
})

LOOP_TEST("without descriptors nothing is started, and nothing is left") {
  const auto before = rondo_test::open_descriptors();
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  int failures = 0;
  for (rlim_t most = 3;; ++most) {
    rlimit tight = limit;
    tight.rlim_cur = most;
    ::setrlimit(RLIMIT_NOFILE, &tight);
    std::error_code code;
    try {
      process p = process::spawn({"sleep", "1000"}, all_piped);
      ::setrlimit(RLIMIT_NOFILE, &limit);
      p.kill();
      static_cast<void>(co_await p.wait());
    } catch (const std::system_error& e) {
      code = e.code();
    }
    ::setrlimit(RLIMIT_NOFILE, &limit);
    CHECK(rondo_test::open_descriptors() == before);
    CHECK(no_children());
    if (!code) break;
    CHECK(code == std::errc::too_many_files_open);
    ++failures;
  }
  CHECK(failures >= 7);  // six ends of pipes, and a pidfd
}

// What is not there

LOOP_TEST("a program that is not there is an error of spawn, with its name") {
  const auto words = [](const command& c) -> std::string {
    try {
      static_cast<void>(process::spawn(c));
    } catch (const std::system_error& e) {
      return e.what();
    }
    return "started";
  };
  const auto text = [](int error) { return std::system_category().message(error); };
  CHECK(words("no-such-program") == "run no-such-program: " + text(ENOENT));
  CHECK(words("/no/such/program") == "run /no/such/program: " + text(ENOENT));
  CHECK(words("/etc/passwd") == "run /etc/passwd: " + text(EACCES));
  CHECK(words("/") == "run /: " + text(EACCES));
  CHECK(words(command("true").cwd("/no/such/folder")) ==
        "run true in /no/such/folder: " + text(ENOENT));
  CHECK(words(command("true").cwd("/etc/passwd")) == "run true in /etc/passwd: " + text(ENOTDIR));
  CHECK(words(command("no-such-program").cwd("/")) == "run no-such-program: " + text(ENOENT));
  CHECK(no_children());
  const std::error_code code = co_await code_of(run_process("no-such-program"));
  CHECK(code == std::errc::no_such_file_or_directory);
}

LOOP_TEST("a child that somebody else has waited for is an error that names it") {
  process p = process::spawn("true");
  int status = 0;
  REQUIRE(::waitpid(p.pid(), &status, 0) == p.pid());
  const std::string words = co_await words_of(p.wait());
  CHECK(words == "wait for process " + std::to_string(p.pid()) + ": " +
                     std::system_category().message(ECHILD));
  p.kill();
}

// Cancellation and dropping

LOOP_TEST("a run that is canceled kills its program and waits for it") {
  const auto before = rondo_test::open_descriptors();
  const temporary_folder folder;
  const std::string file = folder / "pid";
  const auto limited = [](command c) { return rondo::with_timeout(100ms, run_process(std::move(c))); };
  const std::error_code code =
      co_await code_of(limited(shell("echo $$ > " + file + "; exec sleep 1000")));
  CHECK(code == std::errc::timed_out);
  CHECK(no_children());
  CHECK(rondo_test::open_descriptors() == before);
  for (int turns = 0; turns < 8; ++turns) {
    auto running = rondo::spawn(code_of(run_process("cat")));
    for (int i = 0; i < turns; ++i) co_await rondo::yield();
    running.cancel();
    const std::error_code ended = co_await running;
    const bool fine = !ended || ended == rondo::errc::canceled;
    CHECK(fine);
    CHECK(no_children());
    CHECK(rondo_test::open_descriptors() == before);
  }
}

LOOP_TEST("wait and communicate that are canceled leave the program alone") {
  process p = process::spawn("cat", all_piped);
  const std::error_code waited = co_await code_of(rondo::with_timeout(1ms, p.wait()));
  CHECK(waited == std::errc::timed_out);
  const std::error_code read = co_await code_of(rondo::with_timeout(10ms, read_to_end(p.stdout_())));
  CHECK(read == std::errc::timed_out);
  CHECK(is_running(p.pid()));
  auto refused = rondo::spawn(code_of(p.communicate("x")));
  refused.cancel();
  const std::error_code code = co_await refused;
  CHECK(code == rondo::errc::canceled);
  co_await p.stdin_().close();
  const int exit_code = co_await p.wait();
  CHECK(exit_code == 0);
}

LOOP_TEST("a program whose handle is dropped goes on, and the loop reaps it when it ends") {
  const auto before = rondo_test::open_descriptors();
  auto [out, in] = rondo::make_pipe();
  {
    process first = process::spawn({"sleep", "0.05"});
    process ended = process::spawn("true");
    static_cast<void>(co_await ended.wait());
  }
  CHECK_FALSE(no_children());
  co_await until([] { return no_children(); });
  co_await out.close();
  co_await in.close();
  CHECK(rondo_test::open_descriptors() == before);
}

ON_BOTH_RINGS("a program that outlives the loop does not keep it from ending, and is reaped later", {
  pid_t pid = -1;
  const auto start = std::chrono::steady_clock::now();
  const auto leave = [](pid_t& of) -> task<> {
    const process p = process::spawn({"sleep", "1000"});
    of = p.pid();
    co_return;
  };
  // Also one that is an argument of a spawned task, and so is dropped when everything has ended.
  const auto keep = [](process) -> task<> { co_await rondo::sleep_for(1h); };
  const auto both = [&](pid_t& of) -> task<> {
    rondo::spawn(keep, process::spawn({"sleep", "1000"}));
    co_await leave(of);
  };
  rondo::run(both(pid));
  CHECK(std::chrono::steady_clock::now() - start < at_most(10s));
  CHECK(is_running(pid));
  CHECK_FALSE(no_children());
  // Ends all of them; the next spawn looks after them.
  std::system("true");
  ::kill(pid, SIGKILL);
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    std::ifstream stat(entry.path() / "stat");
    std::string number, program, state, parent;
    stat >> number >> program >> state >> parent;
    if (program == "(sleep)" && parent == std::to_string(::getpid())) ::kill(std::stoi(number), SIGKILL);
  }
  for (int i = 0; i < 1000 && !no_children(); ++i) {
    ::usleep(1000);
    rondo::run(code_of(run_process("true")));
  }
  CHECK(no_children());
})

TEST_CASE("a program is started, and dropped, without a loop") {
  { const process p = process::spawn("true"); }
  ::usleep(1000);
  static_cast<void>(process::spawn("true"));
  for (int i = 0; i < 10'000 && !no_children(); ++i) {
    ::usleep(1000);
    rondo::detail::child_process::reap_left_over();
  }
  CHECK(no_children());
}

LOOP_TEST("a hundred programs at once") {
  std::vector<task<rondo::process_result>> all;
  for (int i = 0; i < 100; ++i) all.push_back(run_process({"echo", std::to_string(i)}));
  const auto results = co_await rondo::when_all(std::move(all), rondo::max_concurrency{20});
  for (int i = 0; i < 100; ++i) {
    CHECK(results[static_cast<std::size_t>(i)].out == std::to_string(i) + "\n");
  }
  CHECK(no_children());
}

LOOP_TEST("communicate takes what is left of the pipes, also when it is called again") {
  auto cat = process::spawn(command("cat"), {.in = stdio::pipe, .out = stdio::pipe});
  co_await cat.stdin_().write("hello");
  co_await cat.stdin_().close();
  const auto said = co_await cat.communicate();
  CHECK(said.out == "hello");
  CHECK(said.exit_code == 0);

  auto sleeper = process::spawn(shell("exec sleep 3600"), {.in = stdio::pipe, .out = stdio::pipe});
  const bool in_time = static_cast<bool>(co_await try_for(1ms, sleeper.communicate()));
  CHECK_FALSE(in_time);
  sleeper.kill();
  const auto killed = co_await sleeper.communicate();
  CHECK(killed.exit_code == -SIGKILL);

  auto closed = process::spawn(shell("exit 3"), {.in = stdio::pipe, .out = stdio::pipe});
  co_await closed.stdout_().close();
  const auto nothing = co_await closed.communicate();
  CHECK(nothing.out.empty());
  CHECK(nothing.exit_code == 3);
}

ON_BOTH_RINGS("a program whose end the system does not keep was started all the same", {
  const int status = in_child([]() -> int {
    ::signal(SIGCHLD, SIG_IGN);
    return rondo::run([]() -> task<int> {
      for (int i = 0; i < 100; ++i) {
        auto program = process::spawn(command("true"));
        const auto code = co_await code_of(program.wait());
        if (code != std::errc::no_child_process) co_return 2;
      }
      co_return 0;
    }());
  });
  CAPTURE(status);
  CHECK(exited_with(status, 0));
})

TEST_CASE("a child that the system has reaped by itself has ended, and how is not known") {
  const int status = in_child([]() -> int {
    ::signal(SIGCHLD, SIG_IGN);
    const pid_t gone = ::fork();
    if (gone == 0) ::_exit(7);
    if (::waitpid(gone, nullptr, 0) != -1 || errno != ECHILD) return 2;  // it is no more
    const rondo::detail::child_handle child(new rondo::detail::child_process());
    if (child->adopt(gone) != 0) return 3;
    if (!child->reap()) return 4;
    child->signal(SIGKILL);  // to nobody
    try {
      static_cast<void>(child->exit_code());
    } catch (const std::system_error& e) {
      return e.code() == std::errc::no_child_process ? 0 : 5;
    }
    return 6;
  });
  CAPTURE(status);
  CHECK(exited_with(status, 0));
}

ON_BOTH_RINGS("a folder in which one may not be is named as what is wrong", {
  if (::getuid() != 0) SKIP("needs root, to become somebody else");
  const temporary_folder folder;
  const std::string locked = folder / "locked";
  std::filesystem::create_directory(locked);
  ::chmod((folder / "").c_str(), 0755);
  ::chmod(locked.c_str(), 0700);
  const int status = in_child([&]() -> int {
    if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) return 2;
    try {
      static_cast<void>(process::spawn(command("true").cwd(locked)));
    } catch (const std::system_error& e) {
      const bool right = e.code() == std::errc::permission_denied && contains(e.what(), locked);
      return right ? 0 : 3;
    }
    return 4;
  });
  CAPTURE(status);
  CHECK(exited_with(status, 0));
})

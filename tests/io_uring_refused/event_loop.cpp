// SPDX-License-Identifier: BSL-1.0

// Where io_uring is refused, loops run on epoll and say why; one that is asked for on io_uring
// cannot be made, and the error says what to do.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <rondo/rondo.hpp>
#include <string>
#include <system_error>
#include <vector>

namespace {

bool all_right = true;
void expect(bool right, const std::string& what) {
  std::printf("%s: %s\n", right ? "right" : "WRONG", what.c_str());
  all_right = all_right && right;
}

rondo::task<int> work() {
  co_await rondo::io::nop();
  const std::string itself = co_await rondo::read_file("/proc/self/comm");
  co_return itself.empty() ? 0 : 42;
}

rondo::task<> nothing() { co_return; }

bool never_ran = true;
rondo::task<> noting() {
  never_ran = false;
  co_return;
}

rondo::loop_options asking_for_io_uring() {
  rondo::loop_options options;
  options.backend = rondo::backend::io_uring;
  return options;
}

/// Whether this throws an error with the code, and with all of the words.
void expect_refusal(const char* what, const std::function<void()>& call, std::errc code,
                    const std::vector<const char*>& words) {
  try {
    call();
    expect(false, std::string(what) + " threw nothing");
  } catch (const std::system_error& e) {
    bool right = e.code() == code;
    for (const char* w : words) right = right && std::strstr(e.what(), w) != nullptr;
    expect(right, std::string(what) + ": " + e.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string error = argc > 1 ? argv[1] : "";
  auto code = std::errc::operation_not_permitted;
  std::vector<const char*> words = {
      "io_uring_setup",           "is refused",     "seccomp",
      "kernel.io_uring_disabled", "io_uring_enter", "io_uring_register",
      "--security-opt seccomp=",  "automatic and epoll run without io_uring"};
  std::string reason =
      "epoll: io_uring_setup: EPERM (a seccomp profile or kernel.io_uring_disabled forbids "
      "io_uring)";
  if (error == "ENOSYS") {
    code = std::errc::function_not_supported;
    words = {"io_uring_setup", "does not exist", "seccomp", "Linux 6.1",
             "automatic and epoll run without io_uring"};
    reason =
        "epoll: io_uring_setup: ENOSYS (the kernel has no io_uring, or a seccomp profile hides it)";
  }

  ::unsetenv("RONDO_BACKEND");
  {
    rondo::event_loop loop;
    expect(loop.backend() == rondo::backend::epoll, "an automatic loop is on epoll");
    expect(loop.backend_reason() == reason, std::string(loop.backend_reason()));
    expect(loop.run(work()) == 42, "it works");
  }
  expect(rondo::run(work()) == 42, "run works");

  const auto options = asking_for_io_uring();
  expect_refusal(
      "event_loop on io_uring", [&] { const rondo::event_loop loop(options); }, code, words);
  expect_refusal(
      "run on io_uring", [&] { rondo::run(noting(), options); }, code, words);
  expect(rondo::run_main(nothing(), options) == 1, "run_main makes it an exit status");
  expect(never_ran, "nothing ran");

  ::setenv("RONDO_BACKEND", "io_uring", 1);
  expect_refusal(
      "RONDO_BACKEND=io_uring", [] { const rondo::event_loop loop; }, code, words);
  return all_right ? 0 : 1;
}

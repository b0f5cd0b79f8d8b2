// SPDX-License-Identifier: BSL-1.0

// Where io_uring is refused, a loop cannot be made, and the error says why and what to do.

#include <cstdio>
#include <cstring>
#include <functional>
#include <rondo/rondo.hpp>
#include <string>
#include <system_error>
#include <vector>

namespace {

rondo::task<> nothing() { co_return; }

bool never_ran = true;
rondo::task<> noting() {
  never_ran = false;
  co_return;
}

/// Whether this throws an error with the code, and with all of the words.
bool refused(const char* what, const std::function<void()>& call, std::errc code,
             const std::vector<const char*>& words) {
  try {
    call();
    std::printf("%s: nothing was thrown\n", what);
    return false;
  } catch (const std::system_error& e) {
    bool right = e.code() == code;
    for (const char* w : words) right = right && std::strstr(e.what(), w) != nullptr;
    std::printf("%s: %s\n", what, e.what());
    return right;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string error = argc > 1 ? argv[1] : "";
  auto code = std::errc::operation_not_permitted;
  std::vector<const char*> words = {
      "io_uring_setup",           "is refused",     "seccomp",
      "kernel.io_uring_disabled", "io_uring_enter", "io_uring_register",
      "--security-opt seccomp="};
  if (error == "ENOSYS") {
    code = std::errc::function_not_supported;
    words = {"io_uring_setup", "does not exist", "seccomp", "Linux 6.1"};
  }
  bool right = true;
  right &= refused(
      "event_loop", [] { const rondo::event_loop loop; }, code, words);
  right &= refused(
      "run", [] { rondo::run(noting()); }, code, words);
  // It can be tried again, and run_main makes it an exit status.
  right &= refused(
      "event_loop again", [] { const rondo::event_loop loop; }, code, words);
  right &= rondo::run_main(nothing()) == 1;
  right &= never_ran;
  return right ? 0 : 1;
}

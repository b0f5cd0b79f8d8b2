// SPDX-License-Identifier: BSL-1.0

// Where io_uring is refused a loop chooses epoll by itself, and says why. The error that io_uring
// is refused with comes as the argument.

#include <cstdio>
#include <rondo/rondo.hpp>
#include <string_view>

rondo::task<int> answer() {
  co_await rondo::yield();
  co_return 42;
}

int main(int, char** argv) {
  rondo::event_loop loop;
  const std::string_view reason = loop.backend_reason();
  std::printf("%.*s\n", static_cast<int>(reason.size()), reason.data());
  if (loop.backend() != rondo::backend::epoll) return 1;
  if (reason.find(argv[1]) == reason.npos) return 2;
  return loop.run(answer()) == 42 ? 0 : 3;
}

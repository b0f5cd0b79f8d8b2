// SPDX-License-Identifier: BSL-1.0

#include <rondo/loop/backend.hpp>

#include <stdexcept>
#include <string>
#include <system_error>

#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace rondo::test;
using Catch::Matchers::ContainsSubstring;
using rondo::backend;

namespace {

rondo::task<int> forty_two() {
  co_await rondo::io::nop();
  co_return 42;
}

struct choice {
  backend which;
  std::string reason;
};
choice chosen_with(backend option) {
  rondo::event_loop loop(with_backend(option));
  CHECK(loop.run(forty_two()) == 42);
  return {loop.backend(), std::string(loop.backend_reason())};
}

}  // namespace

TEST_CASE("a loop on epoll can be asked for in the options, and says so") {
  const choice c = chosen_with(backend::epoll);
  CHECK(c.which == backend::epoll);
  CHECK(c.reason == "epoll: loop_options ask for it");
}

TEST_CASE("a loop on epoll can be asked for in the environment, and says so") {
  const on_ring here("epoll");
  const choice c = chosen_with(backend::automatic);
  CHECK(c.which == backend::epoll);
  CHECK(c.reason == "epoll: RONDO_BACKEND=epoll");
}

TEST_CASE("where io_uring works, it is what automatic takes, and it says with which flags") {
  if (!io_uring_works()) SKIP("needs io_uring");
  for (const char* name : {"", "automatic", "io_uring"}) {
    const on_ring here(name);
    const choice c = chosen_with(backend::automatic);
    CHECK(c.which == backend::io_uring);
    CHECK_THAT(c.reason, ContainsSubstring("io_uring: "));
  }
}

TEST_CASE("a loop of a program without standard input and output takes their numbers for nothing") {
  for (const backend which : {backend::epoll, backend::automatic}) {
    int closed = 0;
    bool told = false;
    {
      const rondo_test::without_standard_streams here;
      rondo::event_loop loop(with_backend(which));
      static_cast<void>(loop.native_handle());
      loop.run([](bool& error) -> rondo::task<> {
        co_await rondo::sleep_for(std::chrono::milliseconds(1));
        try {
          auto input = rondo::standard_input();
        } catch (const std::system_error& e) {
          error = e.code() == std::errc::bad_file_descriptor;
        }
      }(told));
      closed = here.closed();
    }
    CHECK(closed == 3);
    CHECK(told);
  }
}

TEST_CASE("what the options ask for beats the environment") {
  {
    const on_ring here("io_uring");
    CHECK(chosen_with(backend::epoll).which == backend::epoll);
  }
  if (!io_uring_works()) SKIP("needs io_uring");
  const on_ring here("epoll");
  CHECK(chosen_with(backend::io_uring).which == backend::io_uring);
}

TEST_CASE("an environment that names no backend is an error that says which there are") {
  const on_ring here("kqueue");
  CHECK_THROWS_AS(rondo::event_loop(), std::invalid_argument);
  CHECK_THROWS_WITH(rondo::event_loop(),
                    "rondo: RONDO_BACKEND=kqueue: it can be automatic, io_uring or epoll");
  // An option that says what to take does not look there.
  CHECK(chosen_with(backend::epoll).which == backend::epoll);
}

TEST_CASE("every reason why io_uring cannot be used is one line that names the call") {
  for (const int error : {EPERM, EACCES, ENOSYS, ENOMEM, EINVAL, EIO}) {
    const std::string reason = rondo::detail::ring_failure{error, "io_uring_setup"}.reason();
    CHECK_THAT(reason, ContainsSubstring("io_uring_setup: "));
    CHECK(reason.find('\n') == std::string::npos);
  }
}

TEST_CASE("when io_uring was asked for, the error tells of the backends that need none") {
  const rondo::detail::ring_failure refused{EPERM, "io_uring_enter"};
  CHECK_THROWS_WITH(refused.raise(256), ContainsSubstring("io_uring_enter is refused"));
  CHECK_THROWS_WITH(refused.raise(256), ContainsSubstring("automatic and epoll"));
}

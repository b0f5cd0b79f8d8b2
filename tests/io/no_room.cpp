// SPDX-License-Identifier: BSL-1.0

// What a loop says when there is no room for it, and what it makes of odd options.

#include <grp.h>
#include <sys/resource.h>

#include <string>
#include <system_error>

#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace rondo::test;

namespace {

rondo::task<int> answer() {
  co_await rondo::io::nop();
  co_return 42;
}

/// In a process whose limit leaves this many descriptors free: 0 if a loop works, 1 if it says what
/// to do, and anything else if it does not.
int with_free_descriptors(rlim_t free) {
  return in_child([free]() -> int {
    const int next = ::dup(0);
    ::close(next);
    const rlimit limit{static_cast<rlim_t>(next) + free, static_cast<rlim_t>(next) + free};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    try {
      return rondo::run(answer()) == 42 ? 0 : 2;
    } catch (const std::system_error& e) {
      const bool says_what_to_do = e.code() == std::errc::too_many_files_open &&
                                   contains(e.what(), "no free descriptor") &&
                                   contains(e.what(), "ulimit -n");
      return says_what_to_do ? 1 : 3;
    }
  });
}

}  // namespace

ON_BOTH_RINGS("without a free descriptor a loop says what to do", {
  CHECK(exited_with(with_free_descriptors(0), 1));
  CHECK(exited_with(with_free_descriptors(1), 1));
  CHECK(exited_with(with_free_descriptors(10), 0));
})

ON_BOTH_RINGS("a loop that could not be made leaves nothing open", {
  const auto before = rondo_test::open_descriptors();
  rlimit old{};
  ::getrlimit(RLIMIT_NOFILE, &old);
  const int next = ::dup(0);
  ::close(next);
  rlimit tight = old;
  tight.rlim_cur = static_cast<rlim_t>(next) + 1;  // for the eventfd, and none for the ring
  ::setrlimit(RLIMIT_NOFILE, &tight);
  bool refused = false;
  try {
    const rondo::event_loop loop;
  } catch (const std::system_error&) {
    refused = true;
  }
  ::setrlimit(RLIMIT_NOFILE, &old);
  CHECK(refused);
  CHECK(rondo_test::open_descriptors() == before);
})

TEST_CASE("without memory that may be locked a loop works, and one on io_uring says what to do") {
  // Whether there is room on io_uring depends on the kernel. It does not count what root locks.
  if (::getuid() != 0) SKIP("needs root, to become somebody else");
  const on_ring here("automatic");
  const bool allowed = io_uring_works();
  const int status = in_child([allowed]() -> int {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0 || ::setgroups(0, nullptr) != 0 ||
        ::setgid(65534) != 0 || ::setuid(65534) != 0) {
      return 2;
    }
    if (rondo::run(answer()) != 42) return 3;
    if (!allowed) return 0;
    try {
      return rondo::run(answer(), with_backend(rondo::backend::io_uring)) == 42 ? 0 : 3;
    } catch (const std::system_error& e) {
      const bool says_what_to_do =
          e.code() == std::errc::not_enough_memory && contains(e.what(), "256 entries") &&
          contains(e.what(), "ulimit -l") && contains(e.what(), "LimitMEMLOCK=") &&
          contains(e.what(), "--ulimit memlock");
      return says_what_to_do ? 1 : 4;
    }
  });
  const bool right = exited_with(status, 0) || exited_with(status, 1);
  CAPTURE(status);
  CHECK(right);
}

ON_BOTH_RINGS("any number of entries makes a loop: the kernel's limits are kept", {
  for (const unsigned entries : {0U, 1U, 3U, 32768U, 32769U, 1U << 27, 1U << 28, 1U << 31, ~0U}) {
    CAPTURE(entries);
    CHECK(rondo::run(answer(), with_entries(entries)) == 42);
  }
})

// SPDX-License-Identifier: BSL-1.0
#pragma once

// Every allocation of a session fails once, one run each. Each run ends with std::bad_alloc where its
// user can catch it, or succeeds, and leaves nothing behind.
//
//     ON_BOTH_RINGS("out of memory: files", { fail_each_allocation(files); })

#include <dirent.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <functional>
#include <new>
#include <rondo/rondo.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "support/catch.hpp"
#include "support/descriptors.hpp"
#include "support/heap.hpp"

namespace rondo::test {

/// What a session must have done when nothing failed.
inline void expect(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

/// The threads of this process, listed without operator new. One that was joined may be listed for
/// a moment, so they are not just counted.
class threads {
 public:
  threads() {
    DIR* const folder = ::opendir("/proc/self/task");
    while (const dirent* const entry = ::readdir(folder)) {
      if (count_ < ids_.size()) ids_[count_++] = std::atoi(entry->d_name);
    }
    ::closedir(folder);
  }
  /// Waits until there are no others. One that was let go, as the one that asks a database to stop,
  /// may outlive the loop, and what it owns is not lost.
  void until_only_these() const {
    const auto is_one = [this](int id) {
      return std::find(ids_.begin(), ids_.begin() + count_, id) != ids_.begin() + count_;
    };
    for (bool others = true; others;) {
      const threads now;
      others = !std::all_of(now.ids_.begin(), now.ids_.begin() + now.count_, is_one);
      if (others) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

 private:
  std::array<int, 100> ids_{};
  std::size_t count_ = 0;
};

/// Runs it on a thread of its own, which keeps no frames yet. Gives how it ended: nothing for a
/// value or std::bad_alloc.
inline std::string run_session(const std::function<task<>()>& session) {
  std::string wrong;
  std::thread([&] {
    try {
      loop_options options;
      options.on_unhandled = [](const unhandled_error&) {};
      event_loop loop(std::move(options));
      loop.run(session());
    } catch (const std::bad_alloc&) {
    } catch (const std::system_error& e) {  // the ring in user space answers as the kernel would
      if (e.code() != std::errc::not_enough_memory) wrong = e.what();
    } catch (const operation_canceled&) {
      wrong = "operation_canceled";
    } catch (const std::exception& e) {
      wrong = e.what();
    }
  }).join();
  return wrong;
}

inline void fail_each_allocation(const std::function<task<>()>& session) {
  if (!rondo_test::heap_is_counted()) SKIP("needs an operator new that can be replaced");
  std::string wrong = run_session(session);  // what is made once in a process is there now
  REQUIRE(wrong.empty());
  const auto descriptors = rondo_test::open_descriptors();
  std::size_t n = 1;
  for (bool failed = true; failed; ++n) {
    std::size_t left = 0;
    {
      const std::function<task<>()> counted = session;
      const threads before;
      const auto at_first = rondo_test::live_blocks();
      rondo::testing::fail_allocation(n + 1);  // not that of the thread's own start
      wrong = run_session(counted);
      failed = rondo::testing::allocation_failed();
      rondo::testing::fail_allocation(0);
      before.until_only_these();
      left = rondo_test::live_blocks() - at_first - (wrong.capacity() > 15 ? 1 : 0);
    }
    INFO("allocation " << n);
    REQUIRE(wrong == "");
    REQUIRE(left == 0);
  }
  CHECK(n > 3);
  CHECK(rondo_test::open_descriptors() == descriptors);
}

}  // namespace rondo::test

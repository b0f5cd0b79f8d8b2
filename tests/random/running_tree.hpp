// SPDX-License-Identifier: BSL-1.0
#pragma once

// Shows the tree that runs if the program is ended in the middle of it: by the watchdog, a failed
// assertion or a sanitizer.

#include <csignal>
#include <cstdio>
#include <string>

#include "random/tree.hpp"
#include "support/watchdog.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RONDO_TEST_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RONDO_TEST_SANITIZED
#endif
#if defined(RONDO_TEST_SANITIZED)
extern "C" void __sanitizer_set_death_callback(void (*)());
#endif

namespace rondo::test::random {

class running_tree {
 public:
  explicit running_tree(const tree& t) {
    current = &t;
    rondo_test_hang_report = [] { return describe(*current); };
#if defined(RONDO_TEST_SANITIZED)
    __sanitizer_set_death_callback(&running_tree::show);
#else
    before_ = std::signal(SIGABRT, [](int) {
      std::signal(SIGABRT, SIG_DFL);
      show();
    });
#endif
  }
  running_tree(const running_tree&) = delete;
  running_tree& operator=(const running_tree&) = delete;
  ~running_tree() {
    current = nullptr;
    rondo_test_hang_report = nullptr;
#if !defined(RONDO_TEST_SANITIZED)
    std::signal(SIGABRT, before_);
#endif
  }

 private:
  static inline const tree* current = nullptr;
  static void show() {
    if (current != nullptr) std::fputs(describe(*current).c_str(), stderr);
  }
#if !defined(RONDO_TEST_SANITIZED)
  void (*before_)(int) = nullptr;
#endif
};

}  // namespace rondo::test::random

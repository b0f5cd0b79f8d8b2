// SPDX-License-Identifier: BSL-1.0

// The main function of every test executable: Catch2's session, and the watchdog of watchdog.hpp.

#include "support/slowness.hpp"
#include "support/watchdog.hpp"

#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#include <catch2/catch_test_case_info.hpp>
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
using listener_base = Catch::EventListenerBase;
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
using listener_base = Catch::TestEventListenerBase;
#endif

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

std::string (*rondo_test_hang_report)() = nullptr;

// Asked for by UndefinedBehaviorSanitizer, if it is there.
extern "C" const char* __ubsan_default_options();
extern "C" const char* __ubsan_default_options() { return "print_stacktrace=1"; }

namespace rondo_test {

void note_skipped() noexcept;

namespace {

int tests_run = 0;
int tests_skipped = 0;
bool assertions_failed = false;

void print(std::string_view text) {
  while (!text.empty()) {
    const auto n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

[[noreturn]] void abort_now() {
  ::signal(SIGABRT, SIG_DFL);  // Catch2's handler would report the test a second time
  std::abort();
}

extern "C" void report_and_abort(int) {
  if (rondo_test_hang_report != nullptr) print(rondo_test_hang_report());
  abort_now();
}

class watchdog {
 public:
  watchdog() : watched_(::pthread_self()) {
    const char* text = std::getenv("RONDO_TEST_TIMEOUT");
    limit_ = rondo::test::at_most(std::chrono::seconds(text != nullptr ? std::atoi(text) : 60));
  }

  ~watchdog() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;

  void started(const std::string& name) {
    if (limit_ <= std::chrono::seconds::zero()) return;
    {
      const std::lock_guard lock(mutex_);
      name_ = name;
      deadline_ = std::chrono::steady_clock::now() + limit_;
      armed_ = true;
    }
    changed_.notify_one();
    if (!thread_.joinable()) start();
  }

  void ended() {
    const std::lock_guard lock(mutex_);
    armed_ = false;
  }

 private:
  // Signals are for the thread that runs the tests: this one blocks them all.
  void start() {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { watch(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void watch() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (!armed_) {
        changed_.wait(lock);
      } else if (std::chrono::steady_clock::now() < deadline_) {
        changed_.wait_until(lock, deadline_);
      } else {
        hang();
      }
    }
  }

  [[noreturn]] void hang() {
    print("\nThe test \"" + name_ + "\" is still running after " +
          std::to_string(limit_.count()) + " s (RONDO_TEST_TIMEOUT), ending it.\n");
    if (rondo_test_hang_report != nullptr) {
      struct sigaction action = {};
      action.sa_handler = report_and_abort;
      ::sigaction(SIGUSR2, &action, nullptr);
      ::pthread_kill(watched_, SIGUSR2);
      std::this_thread::sleep_for(std::chrono::seconds(5));
    }
    abort_now();
  }

  pthread_t watched_;
  std::chrono::seconds limit_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string name_;
  std::chrono::steady_clock::time_point deadline_;
  bool armed_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

watchdog* the_watchdog = nullptr;

struct listener : listener_base {
  using listener_base::listener_base;

  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    ++tests_run;
    the_watchdog->started(info.name);
  }

  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    assertions_failed = assertions_failed || !stats.totals.assertions.allOk();
    the_watchdog->ended();
  }
};

CATCH_REGISTER_LISTENER(listener)

}  // namespace

void note_skipped() noexcept { ++tests_skipped; }

}  // namespace rondo_test

int main(int argc, char** argv) {
  rondo_test::watchdog dog;
  rondo_test::the_watchdog = &dog;
  const int result = Catch::Session().run(argc, argv);
  if (rondo_test::assertions_failed) return 1;  // Catch2 returns how many: four would be "skipped"
  const bool all_skipped =
      rondo_test::tests_run > 0 && rondo_test::tests_skipped == rondo_test::tests_run;
  return result == 0 && all_skipped ? 4 : result;  // 4 is what Catch2 3 returns for that
}

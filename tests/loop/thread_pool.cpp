// SPDX-License-Identifier: BSL-1.0

#include <rondo/loop/thread_pool.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using rondo::detail::thread_pool;

namespace {

/// Lets threads through once a number of them have come.
class meeting {
 public:
  explicit meeting(int expected) : missing_(expected) {}
  /// False: the others did not come within five seconds.
  bool join() {
    std::unique_lock lock(mutex_);
    --missing_;
    changed_.notify_all();
    return changed_.wait_for(lock, 5s, [this] { return missing_ <= 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int missing_;
};

struct meeting_job : thread_pool::job {
  explicit meeting_job(meeting& m) : job(&meeting_job::call), place(m) {}
  static void call(job& self) noexcept {
    auto& j = static_cast<meeting_job&>(self);
    j.met = j.place.join();
    j.done.store(true);
  }
  meeting& place;
  bool met = false;
  std::atomic<bool> done{false};
};

struct counting_job : thread_pool::job {
  explicit counting_job(std::atomic<int>& c) : job(&counting_job::call), count(c) {}
  static void call(job& self) noexcept { static_cast<counting_job&>(self).count.fetch_add(1); }
  std::atomic<int>& count;
};

/// Holds threads up until it is opened.
class gate_of_threads {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    opened_.wait(lock, [this] { return open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  int arrived() {
    const std::lock_guard lock(mutex_);
    return arrived_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  int arrived_ = 0;
  bool open_ = false;
};

struct gate_job : thread_pool::job {
  explicit gate_job(gate_of_threads& g) : job(&gate_job::call), place(g) {}
  static void call(job& self) noexcept {
    auto& j = static_cast<gate_job&>(self);
    j.thread = ::gettid();
    j.place.pass();
  }
  gate_of_threads& place;
  std::atomic<pid_t> thread{0};
};

/// Notes which thread runs it.
struct where_job : thread_pool::job {
  where_job() : job(&where_job::call) {}
  static void call(job& self) noexcept { static_cast<where_job&>(self).thread = ::gettid(); }
  std::atomic<pid_t> thread{0};
};

/// Whether a thread of this process sleeps: the letter behind its name in proc(5)'s stat.
bool sleeps(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(')');
  return name_end != text.npos && text.size() > name_end + 2 && text[name_end + 2] == 'S';
}

void until_it_is(const std::atomic<int>& count, int target) {
  while (count.load() < target) std::this_thread::yield();
}

}  // namespace

TEST_CASE("as many jobs run at once as the pool has threads") {
  // Each job waits for all the others, so one that is held back holds all of them.
  for (int round = 0; round < 20; ++round) {
    thread_pool pool(4);
    meeting all(4);
    std::deque<meeting_job> jobs;
    for (int i = 0; i < 4; ++i) pool.submit(jobs.emplace_back(all));
    for (auto& j : jobs) {
      while (!j.done) std::this_thread::yield();
      REQUIRE(j.met);
    }
  }
}

TEST_CASE("no more jobs run at once than the pool has threads, and those do all jobs") {
  gate_of_threads held;
  std::deque<gate_job> holding;
  std::deque<where_job> waiting;
  thread_pool pool(3);
  for (int i = 0; i < 3; ++i) pool.submit(holding.emplace_back(held));
  for (int i = 0; i < 50; ++i) pool.submit(waiting.emplace_back());
  while (held.arrived() < 3) std::this_thread::yield();
  CHECK(std::all_of(waiting.begin(), waiting.end(), [](where_job& j) { return j.thread == 0; }));
  held.open();
  std::set<pid_t> threads;
  for (where_job& j : waiting) {
    while (j.thread == 0) std::this_thread::yield();
    threads.insert(j.thread);
  }
  for (gate_job& j : holding) threads.insert(j.thread);
  CHECK(threads.size() == 3);
}

TEST_CASE("jobs that wait for others do not count among those that the pool may run") {
  gate_of_threads held;
  std::deque<gate_job> waiting;
  std::atomic<int> count{0};
  std::deque<counting_job> ordinary;
  thread_pool pool(1);
  for (int round = 1; round <= 3; ++round) {
    for (int i = 0; i < 5; ++i) {
      gate_job& j = waiting.emplace_back(held);
      j.waits = true;
      pool.submit(j);
    }
    while (held.arrived() < 5 * round) std::this_thread::yield();
    pool.submit(ordinary.emplace_back(count));
    until_it_is(count, round);
  }
  held.open();
}

TEST_CASE("threads for jobs that waited leave with them") {
  const auto threads = [] {
    const std::filesystem::directory_iterator all("/proc/self/task");
    return std::distance(begin(all), end(all));
  };
  const auto before = threads();
  gate_of_threads held;
  std::deque<gate_job> waiting;
  thread_pool pool(1);
  for (int i = 0; i < 5; ++i) {
    gate_job& j = waiting.emplace_back(held);
    j.waits = true;
    pool.submit(j);
  }
  while (held.arrived() < 5) std::this_thread::yield();
  const auto begin = std::chrono::steady_clock::now();
  held.open();
  while (threads() > before + 1) std::this_thread::yield();
  CHECK(std::chrono::steady_clock::now() - begin < 9s);  // idle threads leave after ten
}

TEST_CASE("a waiting job that is taken back takes its thread along") {
  gate_of_threads first_gate;
  gate_of_threads second_gate;
  gate_job first(first_gate);
  gate_job second(second_gate);
  gate_job waits(second_gate);
  waits.waits = true;
  where_job third;
  thread_pool pool(1);
  pool.submit(first);
  while (first_gate.arrived() < 1) std::this_thread::yield();
  pool.submit(second);
  pool.submit(waits);  // its thread takes who came before
  while (second_gate.arrived() < 1) std::this_thread::yield();
  CHECK(pool.remove(waits));
  pool.submit(third);
  second_gate.open();
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  CHECK(third.thread == 0);  // one at a time again
  first_gate.open();
  while (third.thread == 0) std::this_thread::yield();
}

TEST_CASE("a pool without a limit runs jobs that wait, too") {
  gate_of_threads held;
  std::atomic<int> count{0};
  thread_pool pool(std::numeric_limits<std::size_t>::max());
  gate_job waits(held);
  waits.waits = true;
  pool.submit(waits);
  while (held.arrived() < 1) std::this_thread::yield();
  counting_job other(count);
  pool.submit(other);
  until_it_is(count, 1);
  held.open();
}

TEST_CASE("a job that comes when a thread is idle takes that one") {
  std::deque<where_job> jobs;
  std::set<pid_t> threads;
  thread_pool pool(8);
  for (int i = 0; i < 50; ++i) {
    where_job& j = jobs.emplace_back();
    pool.submit(j);
    while (j.thread == 0) std::this_thread::yield();
    threads.insert(j.thread);
    // It sleeps only where it waits for the next job: nobody else holds the pool's mutex now.
    while (!sleeps(j.thread)) std::this_thread::yield();
  }
  CHECK(threads.size() == 1);
}

TEST_CASE("jobs start in the order in which they came") {
  struct ordered : thread_pool::job {
    ordered(std::vector<int>& l, std::atomic<int>& c, int n)
        : job(&ordered::call), log(l), done(c), number(n) {}
    static void call(job& self) noexcept {
      auto& j = static_cast<ordered&>(self);
      j.log.push_back(j.number);
      ++j.done;
    }
    std::vector<int>& log;
    std::atomic<int>& done;
    int number;
  };
  std::vector<int> log;
  std::atomic<int> done{0};
  std::deque<ordered> jobs;
  thread_pool pool(1);
  for (int i = 0; i < 500; ++i) pool.submit(jobs.emplace_back(log, done, i));
  until_it_is(done, 500);
  CHECK(std::is_sorted(log.begin(), log.end()));
}

TEST_CASE("a job that has not begun is taken back, wherever it stands in the queue") {
  thread_pool pool(1);
  meeting release(2);
  meeting_job first(release);
  std::atomic<int> count{0};
  pool.submit(first);
  std::deque<counting_job> jobs;
  for (int i = 0; i < 5; ++i) pool.submit(jobs.emplace_back(count));
  CHECK(pool.remove(jobs[4]));  // the last: what comes now goes behind the fourth
  CHECK(pool.remove(jobs[0]));
  CHECK(pool.remove(jobs[2]));
  CHECK_FALSE(pool.remove(jobs[2]));
  counting_job late(count);
  pool.submit(late);
  release.join();
  until_it_is(count, 3);
  while (!first.done) std::this_thread::yield();
  CHECK(count == 3);
  CHECK_FALSE(pool.remove(first));
  CHECK_FALSE(pool.remove(late));
}

TEST_CASE("a pool without jobs ends at once, and its threads with it") {
  const auto begin = std::chrono::steady_clock::now();
  std::atomic<int> count{0};
  for (int round = 0; round < 100; ++round) {
    std::deque<counting_job> jobs;
    thread_pool pool(4);
    for (int i = 0; i < 8; ++i) pool.submit(jobs.emplace_back(count));
    until_it_is(count, 8 * (round + 1));
  }
  CHECK(std::chrono::steady_clock::now() - begin < 9s);  // idle threads leave after ten
}

TEST_CASE("jobs are taken back while threads take them: each is run or taken back, never both") {
  thread_pool pool(2);
  std::atomic<int> ran{0};
  int taken = 0;
  std::deque<counting_job> jobs;
  constexpr int count = 20'000;
  for (int i = 0; i < count; ++i) {
    counting_job& j = jobs.emplace_back(ran);
    pool.submit(j);
    if (i % 3 == 0 && pool.remove(j)) ++taken;
  }
  until_it_is(ran, count - taken);
  CHECK(ran + taken == count);
}

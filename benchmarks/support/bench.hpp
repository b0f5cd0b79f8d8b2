// SPDX-License-Identifier: BSL-1.0
#pragma once

// How every contender measures itself, so that none can measure itself better.
//
//   bench::row row{"task", "await", "hand_pool", 300'000};
//   while (row.again()) work();          // work() does 300'000 units
//
// again() runs the body a few times to warm it up, then takes samples and prints one line for a
// machine to read: question, row, contender, ns per unit, allocations per unit, units per sample.
// What is no time is measured by its question and printed by bench::value, with what it is in.
// The time is that of the fastest sample: what else the machine does can only add to it. The body
// may suspend. With bench::clock::cpu_of_this_thread it is the time that the processor spent on
// this thread, in the kernel as well: for a server whose clients share its core.
//
// This header also replaces operator new to count allocations, so include it in one translation
// unit per program. BENCH_ROW (a name) and BENCH_SAMPLES (a number) narrow a run, for profilers.
//
// Next: run.sh, which interleaves the programs of one question and compares them.

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace bench {

/// Allocations of this thread since it started.
inline constinit thread_local unsigned long allocations = 0;

/// A contender that computes the wrong answer is not measured.
inline void check(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "wrong answer: %s\n", what);
  std::abort();
}

/// Ends the program as skipped: the runner says so and goes on.
[[noreturn]] inline void skip(const char* why) {
  std::fprintf(stderr, "skipped: %s\n", why);
  std::exit(77);
}

/// Keeps the compiler from computing `value` at compile time or not at all.
template <typename T>
inline void keep(T& value) {
  asm volatile("" : "+r"(value) : : "memory");
}

enum class clock { wall, cpu_of_this_thread };

/// A line for what is no time: `per_unit` is in `in`, "B" for example.
inline void value(const char* question, const char* name, const char* contender, double per_unit,
                  double units, const char* in) {
  std::printf("%s %s %s %.2f 0 %.0f %s\n", question, name, contender, per_unit, units, in);
  std::fflush(stdout);
}

/// Whether this row is wanted: BENCH_ROW.
inline bool wanted(const char* name) {
  const char* only = std::getenv("BENCH_ROW");
  return !only || std::strcmp(only, name) == 0;
}

class row {
 public:
  row(const char* question, const char* name, const char* contender, double units,
      clock measure = clock::wall)
      : question_(question),
        name_(name),
        contender_(contender),
        units_(units),
        clock_(measure == clock::wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID) {
    if (const char* number = std::getenv("BENCH_SAMPLES")) samples_ = std::atoi(number);
    wanted_ = wanted(name);
  }

  row(const row&) = delete;
  row& operator=(const row&) = delete;

  /// For samples that take long: one to warm up, and so many.
  row& slow(int samples = 1) {
    warm_ups_ = 1;
    samples_ = samples;
    return *this;
  }

  /// Ends the sample that runs, and begins the next one unless there are enough.
  bool again() {
    const double stopped = now();
    if (!wanted_) return false;
    if (taken_ > 0) {
      allocations_ += allocations - allocations_before_;
      fastest_ = std::min(fastest_, stopped - started_);
    }
    if (taken_ == samples_) {
      std::printf("%s %s %s %.2f %.3f %.0f\n", question_, name_, contender_, fastest_ / units_,
                  static_cast<double>(allocations_) / (units_ * samples_), units_);
      std::fflush(stdout);
      return false;
    }
    if (warmed_ < warm_ups_)
      ++warmed_;
    else
      ++taken_;
    begin();
    return true;
  }
  /// What this sample did until here was its preparation, and does not count.
  void begin() {
    allocations_before_ = allocations;
    started_ = now();
  }

 private:
  double now() const {
    timespec t{};
    ::clock_gettime(clock_, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
  }

  const char* question_;
  const char* name_;
  const char* contender_;
  double units_;
  bool wanted_;
  int samples_ = 25;
  int warm_ups_ = 3;
  int warmed_ = 0;
  int taken_ = 0;
  double fastest_ = 1e300;
  unsigned long allocations_ = 0;
  unsigned long allocations_before_ = 0;
  clockid_t clock_;
  double started_ = 0;
};

}  // namespace bench

// Not inlined, as the standard library's are not.

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++bench::allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc{};
}

[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  ++bench::allocations;
  const auto unit = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit)) return memory;
  throw std::bad_alloc{};
}

[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

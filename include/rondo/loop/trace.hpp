// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A timeline of what a program's loops do, for people to look at:
//
//     RONDO_TRACE=out.json ./program        # and open out.json in ui.perfetto.dev
//
// Each loop has a track, on which every resumption of a task is a slice. Each line of work has one
// on which its waits are, named after the co_await that waited. The file is in the JSON format of
// trace events, one event a row; times are in microseconds of the steady clock. It grows by about 300
// bytes for each resumption. Of a program that is killed the last few rows are missing.

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <unistd.h>

#include <rondo/core/error.hpp>

namespace rondo::detail {

/// Thread: any.
class trace_file {
 public:
  /// The process's, if the environment asks for one; null if not. Throws: std::system_error when it
  /// cannot be written.
  static trace_file* of_process() {
    const char* const path = ::secure_getenv("RONDO_TRACE");
    if (path == nullptr || *path == '\0') return nullptr;
    // Never destroyed: loops in other threads may outlive main.
    static trace_file* const file = [path] {
      auto* const made = new trace_file(path);
      std::atexit([] { of_process()->end(); });
      return made;
    }();
    return file;
  }

  trace_file(const trace_file&) = delete;
  trace_file& operator=(const trace_file&) = delete;

  /// A track for another loop: gives its number.
  [[nodiscard]] unsigned add_loop() {
    const std::lock_guard lock(mutex_);
    ++loops_;
    write(R"({"name":"thread_name","ph":"M","pid":%d,"tid":%u,"args":{"name":"loop %u"}})", pid_,
          loops_, loops_);
    return loops_;
  }

  /// A task had the loop from `begin` to `end`.
  void ran(unsigned loop, std::string_view what, time_point begin, time_point end) noexcept {
    const std::lock_guard lock(mutex_);
    const microseconds at(begin.time_since_epoch());
    const microseconds length(end - begin);
    write(R"({"name":"%s","cat":"run","ph":"X","pid":%d,"tid":%u,"ts":%lld.%03d,"dur":%lld.%03d})",
          escaped(what), pid_, loop, at.whole, at.thousandths, length.whole, length.thousandths);
  }
  /// A line of work waited.
  void waited(const void* line, std::string_view what, time_point begin, time_point end) noexcept {
    const std::lock_guard lock(mutex_);
    const char* const name = escaped(what);
    for (const bool at_end : {false, true}) {
      const microseconds at((at_end ? end : begin).time_since_epoch());
      write(R"({"name":"%s","cat":"wait","ph":"%s","pid":%d,"tid":0,"id":"%p","ts":%lld.%03d})", name,
            at_end ? "e" : "b", pid_, line, at.whole, at.thousandths);
    }
  }

 private:
  explicit trace_file(const char* path) : out_(std::fopen(path, "we")), pid_(::getpid()) {
    if (out_ == nullptr) {
      throw std::system_error(errno, std::system_category(),
                              "rondo: RONDO_TRACE=" + std::string(path));
    }
    std::fputs("[", out_);
  }

  template <typename... Args>
  void write(const char* format, Args... args) noexcept {
    if (out_ == nullptr) return;  // the program has ended
    std::fputs(first_ ? "\n" : ",\n", out_);
    first_ = false;
    std::fprintf(out_, format, args...);
  }
  void end() noexcept {
    const std::lock_guard lock(mutex_);
    std::fputs("\n]\n", out_);
    std::fclose(std::exchange(out_, nullptr));
  }

  /// In digits that no locale changes.
  struct microseconds {
    explicit microseconds(std::chrono::nanoseconds t) noexcept
        : whole(t.count() / 1000), thousandths(static_cast<int>(t.count() % 1000)) {}
    long long whole;
    int thousandths;
  };
  /// What fits, without what JSON forbids in a string. Valid until the next call.
  const char* escaped(std::string_view text) noexcept {
    std::size_t n = 0;
    for (const char c : text) {
      if (n + 2 >= sizeof text_) break;
      if (c == '"' || c == '\\') text_[n++] = '\\';
      text_[n++] = static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    text_[n] = '\0';
    return text_;
  }

  std::mutex mutex_;
  std::FILE* out_;
  int pid_;
  unsigned loops_ = 0;
  bool first_ = true;
  char text_[512];
};

}  // namespace rondo::detail

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

#include <unistd.h>

#include <rondo/core/error.hpp>

namespace rondo::detail {

/// Thread: any.
class trace_file {
 public:
  /// The process's, if the environment asks for one; null if not. Throws: std::system_error when it
  /// cannot be written.
  static trace_file* of_process() {
    const char* const path = std::getenv("RONDO_TRACE");
    if (path == nullptr || *path == '\0') return nullptr;
    static trace_file file(path);
    return &file;
  }

  trace_file(const trace_file&) = delete;
  trace_file& operator=(const trace_file&) = delete;
  ~trace_file() {
    std::fputs("\n]\n", out_);
    std::fclose(out_);
  }

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
    write(R"({"name":"%s","cat":"run","ph":"X","pid":%d,"tid":%u,"ts":%.3f,"dur":%.3f})",
          escaped(what), pid_, loop, microseconds(begin.time_since_epoch()),
          microseconds(end - begin));
  }
  /// A line of work waited.
  void waited(const void* line, std::string_view what, time_point begin, time_point end) noexcept {
    const std::lock_guard lock(mutex_);
    const char* const name = escaped(what);
    for (const bool at_end : {false, true}) {
      write(R"({"name":"%s","cat":"wait","ph":"%s","pid":%d,"tid":0,"id":"%p","ts":%.3f})", name,
            at_end ? "e" : "b", pid_, line,
            microseconds((at_end ? end : begin).time_since_epoch()));
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
    std::fputs(first_ ? "\n" : ",\n", out_);
    first_ = false;
    std::fprintf(out_, format, args...);
  }
  static double microseconds(std::chrono::nanoseconds t) noexcept {
    return std::chrono::duration<double, std::micro>(t).count();
  }
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

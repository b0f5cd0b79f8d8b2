// SPDX-License-Identifier: BSL-1.0
#pragma once

// A stream whose reads are written down: each gives one piece, or as much of it as there is room
// for; then comes the end. Between two pieces it waits a turn. An error stands for itself.

#include <algorithm>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <string>
#include <system_error>

#include "support/loop_test.hpp"

namespace rondo::test {

class scripted {
 public:
  explicit scripted(std::initializer_list<const char*> pieces) : pieces_(pieces.begin(), pieces.end()) {}

  task<std::size_t> read(mutable_buffer to) & {
    ++reads;
    co_await yield();
    if (fails) throw std::system_error(std::make_error_code(std::errc::connection_reset), "script");
    if (waits) co_await sleep_for(std::chrono::hours(1));
    if (pieces_.empty()) co_return 0;
    std::string& piece = pieces_.front();
    const std::size_t n = std::min(piece.size(), to.size());
    std::memcpy(to.data(), piece.data(), n);
    piece.erase(0, n);
    if (piece.empty()) pieces_.pop_front();
    co_return n;
  }
  void add(std::string piece) { pieces_.push_back(std::move(piece)); }

  int reads = 0;
  bool fails = false;
  bool waits = false;

 private:
  std::deque<std::string> pieces_;
};

}  // namespace rondo::test

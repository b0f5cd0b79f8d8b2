// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <rondo/rondo.hpp>

namespace rondo::test {

/// An operation that a thread of the loop carries out: it waits for ever, but only 30 ms after it
/// has begun, so that a signal that comes before is lost on it. While this exists, threads know it.
class late_operation {
 public:
  struct op {
    using value_type = void;
    static constexpr const char* name = "late";
    static constexpr std::uint8_t newer_opcode = 203;
    void prepare(io_uring_sqe& e) noexcept {
      io_uring_prep_rw(newer_opcode, &e, -1, nullptr, 0, 0);
    }
  };

  late_operation() {
    began_ = false;
    io::register_emulation(op::newer_opcode, [](const io_uring_sqe&) -> int {
      began_ = true;
      const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(30);
      while (std::chrono::steady_clock::now() < until) {
      }
      return ::poll(nullptr, 0, -1) < 0 ? -errno : 0;
    });
  }
  late_operation(const late_operation&) = delete;
  late_operation& operator=(const late_operation&) = delete;
  ~late_operation() { io::register_emulation(op::newer_opcode, nullptr); }

  [[nodiscard]] static bool began() { return began_; }

 private:
  static inline std::atomic<bool> began_{false};
};

}  // namespace rondo::test

// SPDX-License-Identifier: BSL-1.0
#pragma once

// A system call of the tests' own, which no kernel has: a thread that carries it out waits until
// the gate is open. It gives the length in its entry, or an error if its descriptor is closed by
// then.

#include <fcntl.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <rondo/io/emulation.hpp>
#include <thread>

namespace rondo::test {

constexpr std::uint8_t gated = 210;
inline std::atomic<int> at_the_gate{0};
inline std::atomic<bool> gate_is_open{false};

/// The call exists as long as this does.
struct gate_of_calls {
  gate_of_calls() {
    at_the_gate = 0;
    gate_is_open = false;
    io::register_emulation(gated, [](const io_uring_sqe& e) -> int {
      ++at_the_gate;
      while (!gate_is_open) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return ::fcntl(e.fd, F_GETFD) >= 0 ? static_cast<int>(e.len) : -errno;
    });
  }
  gate_of_calls(const gate_of_calls&) = delete;
  gate_of_calls& operator=(const gate_of_calls&) = delete;
  ~gate_of_calls() {
    open();
    io::register_emulation(gated, nullptr);
  }
  void open() { gate_is_open = true; }
  void until_there_are(int count) {
    while (at_the_gate < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
};

}  // namespace rondo::test

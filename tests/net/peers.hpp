// SPDX-License-Identifier: BSL-1.0
#pragma once

// What tests of servers and streams share: peers that do not behave, and how a stream ends.

#include <array>
#include <chrono>

#include "support/loop_test.hpp"

namespace rondo::test {

/// The next end of this socket is a reset.
inline void reset(tcp_stream& s) {
  s.set_option(SOL_SOCKET, SO_LINGER, linger{1, 0});
  s = tcp_stream();
}

/// A peer that behaves in one of several bad ways.
inline task<> misbehave(endpoint at, int how) {
  tcp_stream s = co_await tcp_stream::connect(at);
  std::array<char, 64> bytes;
  switch (how % 5) {
    case 0:  // goes at once
      break;
    case 1:  // resets
      co_await s.write("x");
      s.set_option(SOL_SOCKET, SO_LINGER, linger{1, 0});
      break;
    case 2:  // sends one byte at a time
      for (int i = 0; i < 5; ++i) {
        co_await s.write("y");
        co_await s.read_exactly(mutable_buffer(bytes.data(), 1));
      }
      break;
    case 3:  // ends its half, and reads the rest
      co_await s.write("half of it, and then some more than a buffer");
      s.shutdown_write();
      co_await s.read_exactly(mutable_buffer(bytes.data(), 44));
      break;
    default:  // stalls
      co_await sleep_for(std::chrono::milliseconds(1));
  }
}
inline task<> misbehave_often(endpoint at, int times) {
  for (int i = 0; i < times; ++i) co_await misbehave(at, i);
}

/// How the next of a stream ends, as a code. A cancellation stays one.
template <typename Stream>
task<std::error_code> next_code(Stream& from) {
  try {
    static_cast<void>(co_await from.next());
  } catch (const std::system_error& e) {
    co_return e.code();
  }
  co_return std::error_code();
}

}  // namespace rondo::test

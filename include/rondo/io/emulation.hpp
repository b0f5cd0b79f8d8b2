// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A function for an opcode that the epoll backend, or an older kernel, does not know.
//
//     rondo::io::register_emulation(my_opcode, [](const io_uring_sqe& entry) -> int {
//       const int n = my_system_call(entry.fd);
//       return n >= 0 ? n : -errno;
//     });
//
// An operation of your own (io/operation.hpp) needs none for the opcodes in loop/soft_table.hpp. If
// its opcode is newer than Linux 6.1 it says so (`newer_opcode`), and is then carried out by such a
// function also on io_uring, where the kernel does not know it.

#include <cstdint>

#include <rondo/loop/liburing.hpp>
#include <rondo/loop/soft_table.hpp>

namespace rondo::io {

/// A system call that an entry asks for. It runs on a thread of the loop's pool and may block; it
/// gives the result or a negative errno, and does not throw. The buffers of what is asked stay
/// alive meanwhile, and its descriptor is not closed by rondo.
using emulation = int (*)(const io_uring_sqe& entry);

/// Also in place of what the library knows. Thread: any, before loops run.
inline void register_emulation(std::uint8_t opcode, emulation function) noexcept {
  detail::soft::emulations[opcode] = function;
}

}  // namespace rondo::io

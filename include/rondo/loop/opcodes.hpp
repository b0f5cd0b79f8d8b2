// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Numbers of the kernel's interface that are newer than liburing 2.3, the oldest that rondo builds
// with. They have names of our own: in newer liburings some of the kernel's names are enumerators,
// which #ifdef does not see. The comment says since which Linux each is known.

#include <cstdint>

namespace rondo::detail::opcode {

inline constexpr std::uint8_t waitid = 50;      // 6.7
inline constexpr std::uint8_t futex_wait = 51;  // 6.7
inline constexpr std::uint8_t ftruncate = 55;   // 6.9
inline constexpr std::uint8_t bind = 56;        // 6.11
inline constexpr std::uint8_t listen = 57;      // 6.11

// Of the soft ring alone.
inline constexpr std::uint8_t until_unused = 255;  // answers when no thread uses the descriptor

// Of FUTEX_WAIT (linux/futex.h).
inline constexpr std::uint32_t futex_of_32_bits = 2;
inline constexpr std::uint32_t futex_private = 128;

// Of ASYNC_CANCEL.
inline constexpr std::uint32_t cancel_by_user_data = 1U << 4;  // 6.6
inline constexpr std::uint32_t cancel_by_opcode = 1U << 5;     // 6.6

// Of ACCEPT, RECV and SEND, in ioprio.
inline constexpr std::uint16_t accept_dontwait = 1U << 1;    // 6.10
inline constexpr std::uint16_t accept_poll_first = 1U << 2;  // 6.10
inline constexpr std::uint16_t report_usage = 1U << 3;       // 6.2

}  // namespace rondo::detail::opcode

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Where the stack is. Nested resumption asks this to know when to stop nesting. The address of a
// local variable will not do: under AddressSanitizer locals may live in a fake stack on the heap.

#include <cstdint>

namespace rondo::detail {

inline std::uintptr_t stack_pointer() noexcept {
#if defined(__x86_64__)
  std::uintptr_t address;
  asm("mov %%rsp, %0" : "=r"(address));
  return address;
#elif defined(__aarch64__)
  std::uintptr_t address;
  asm("mov %0, sp" : "=r"(address));
  return address;
#else
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
#endif
}

}  // namespace rondo::detail

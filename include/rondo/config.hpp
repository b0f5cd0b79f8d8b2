// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Version and configuration. Every macro of the library is in this file, each with its reason.
// CMake reads the version from here, so there is one place to change it.

#include <cstdio>
#include <cstdlib>

#define RONDO_VERSION_MAJOR 0
#define RONDO_VERSION_MINOR 1
#define RONDO_VERSION_PATCH 0

/// Checks what only a bug in the caller or in rondo can break, in builds without NDEBUG. The second
/// argument is a sentence that tells the reader of a core dump what to do.
#ifndef NDEBUG
#define RONDO_ASSERT(condition, sentence) \
  (static_cast<bool>(condition) ? void(0) : ::rondo::detail::fail(sentence))
#else
#define RONDO_ASSERT(condition, sentence) void(0)
#endif

/// 1: coroutine frames are recycled through a bounded list per thread, and posts through pages. 0:
/// plain operator new, so that a checking tool sees each of them come and go. It is 0 by default
/// under ASan, TSan and MSan; define it as 0 yourself to run under valgrind's memcheck.
#ifndef RONDO_FRAME_POOL
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RONDO_FRAME_POOL 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define RONDO_FRAME_POOL 0
#endif
#endif
#endif
#ifndef RONDO_FRAME_POOL
#define RONDO_FRAME_POOL 1
#endif

/// 1: a coroutine whose frame the compiler has laid out wrongly is reported before it runs. GCC
/// 12.1 and 12.2 do that to a coroutine that awaits in a condition and declares no variable in its
/// outermost block (GCC bug 106188, fixed in 12.3).
#ifndef RONDO_CHECK_FRAMES
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ == 12 && __GNUC_MINOR__ < 3
#define RONDO_CHECK_FRAMES 1
#else
#define RONDO_CHECK_FRAMES 0
#endif
#endif

/// 1: to_thread, finally, a task group, a timeout and a transaction warn when they are given a
/// lambda that captures what has a destructor: GCC 12 destroys it twice if it is a temporary in an
/// await. The type does not tell that, so std::move of one that has a name warns as well; 0 is for
/// those who know. As system headers (-isystem) these warn of nothing.
#ifndef RONDO_WARN_CLOSURES
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ == 12
#define RONDO_WARN_CLOSURES 1
#else
#define RONDO_WARN_CLOSURES 0
#endif
#endif

/// What must be one object in the whole process, also when shared objects are built with
/// -fvisibility=hidden: thread-locals and the types of exceptions.
#define RONDO_VISIBLE __attribute__((visibility("default")))

/// Lets clang warn about a view that outlives what it looks at. Other compilers ignore it.
#if defined(__has_cpp_attribute)
#if __has_cpp_attribute(clang::lifetimebound)
#define RONDO_LIFETIMEBOUND [[clang::lifetimebound]]
#endif
#endif
#ifndef RONDO_LIFETIMEBOUND
#define RONDO_LIFETIMEBOUND
#endif

namespace rondo::detail {

[[noreturn]] inline void fail(const char* sentence) noexcept {
  std::fprintf(stderr, "rondo: %s\n", sentence);
  std::abort();
}

}  // namespace rondo::detail

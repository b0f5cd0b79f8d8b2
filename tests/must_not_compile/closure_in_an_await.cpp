// SPDX-License-Identifier: BSL-1.0

// GCC 12 would destroy this lambda, and the string in it, twice: the compiler warns about it.
// expect: inside a co_await expression GCC 12 destroys a lambda temporary twice
// skip: clang

#define RONDO_WARN_CLOSURES 1  // also for the versions that do not need it

#include <string>

#include <rondo/rondo.hpp>

rondo::task<std::size_t> caller(std::string text) {
#ifdef RONDO_CONTROL
  const auto named = [text] { return text.size(); };
  const auto first = co_await rondo::to_thread(named);
  const auto second = co_await rondo::to_thread([&text] { return text.size(); });
  co_return first + second + co_await rondo::to_thread(&std::string::size, text);
#else
  co_return co_await rondo::to_thread([text] { return text.size(); });
#endif
}

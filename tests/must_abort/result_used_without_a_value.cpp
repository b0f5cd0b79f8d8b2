// SPDX-License-Identifier: BSL-1.0

// A result that holds an error has no value to be used.
// expect: rondo: the value of a result that holds an error was used: ask it, or use value()

#include <cstdio>
#include <rondo/rondo.hpp>
#include <system_error>

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  const rondo::result<int> r(rondo::unexpect, std::make_error_code(std::errc::timed_out));
  std::printf("%d\n", *r);
  return 0;
#endif
}

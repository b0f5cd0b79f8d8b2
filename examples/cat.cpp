// SPDX-License-Identifier: BSL-1.0
//
// cat: copies files, or standard input, to standard output. Shows files, buffers, and an error that
// ends one file and not the others.
//
//     ./cat README.md - nowhere.txt < notes.txt
//
// smoke: examples/hello.cpp
// prints: The smallest program

#include <cstdio>
#include <rondo/rondo.hpp>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <vector>

rondo::task<> copy(rondo::file& from, rondo::file& to) {
  std::vector<char> buffer(64 * 1024);
  for (;;) {
    const std::size_t n = co_await from.read(buffer);
    if (n == 0) break;
    co_await to.write(std::string_view(buffer.data(), n));
  }
}

rondo::task<int> cat(std::vector<const char*> names) {
  // Duplicates, so that closing them leaves the originals to the program.
  rondo::file out = rondo::file::adopt(::dup(STDOUT_FILENO));
  int status = 0;
  for (const char* name : names) {
    try {
      rondo::file in;
      if (std::string_view(name) == "-") {
        in = rondo::file::adopt(::dup(STDIN_FILENO));
      } else {
        in = co_await rondo::file::open(name);
      }
      co_await copy(in, out);
    } catch (const std::system_error& e) {
      std::fprintf(stderr, "cat: %s\n", e.what());
      status = 1;
    }
  }
  co_return status;
}

int main(int argc, char** argv) {
  std::vector<const char*> names(argv + 1, argv + argc);
  if (names.empty()) names.push_back("-");
  return rondo::run_main(cat(std::move(names)));
}

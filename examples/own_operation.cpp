// SPDX-License-Identifier: BSL-1.0
//
// An operation of io_uring that the library does not have, added from outside: openat2(2), which can
// open a file beneath a folder and refuse every way out of it, as whoever serves files wants. One
// small struct says what to ask; awaiting, cancellation and errors come from rondo::io::operation.
//
//     ./own_operation examples README.md
//     README.md has 1862 bytes
//     ./own_operation examples ../LICENSE
//     error: openat2: Invalid cross-device link
//
// smoke: examples README.md
// prints: README.md has \d+ bytes

#include <cstdio>
#include <fcntl.h>
#include <liburing.h>
#include <linux/openat2.h>
#include <rondo/rondo.hpp>
#include <string>

// [operation]
struct open_beneath_op {
  using value_type = rondo::file;  // owns the descriptor that comes; an errno is thrown
  static constexpr const char* name = "openat2";
  int folder;
  const char* path;
  open_how how{.flags = O_RDONLY | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_BENEATH};

  void prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_openat2(&entry, folder, path, &how);
  }
};
// [operation]

auto open_beneath(const rondo::file& folder, const char* path) {
  return rondo::io::operation(open_beneath_op{folder.native_handle(), path});
}

rondo::task<> read_beneath(const char* name, const char* path) {
  const rondo::file folder = co_await rondo::file::open(name);
  rondo::file file = co_await open_beneath(folder, path);
  const std::string text = co_await file.read_all();
  std::printf("%s has %zu bytes\n", path, text.size());
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: own_operation FOLDER FILE\n"), 2;
  return rondo::run_main(read_beneath(argv[1], argv[2]));
}

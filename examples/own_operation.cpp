// SPDX-License-Identifier: BSL-1.0
//
// An operation of io_uring that the library does not have, added from outside: splice(2), which
// moves bytes between a file and a pipe without copying them through the program. One small struct
// says what to ask; awaiting, cancellation and errors come from rondo::io::operation.
//
//     ./own_operation FILE
//     spliced 1612 bytes
//
// smoke: examples/own_operation.cpp
// prints: spliced \d+ bytes

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <liburing.h>
#include <rondo/rondo.hpp>
#include <unistd.h>

// [operation]
struct splice_op {
  using value_type = std::size_t;  // a negative result becomes a std::system_error
  static constexpr const char* name = "splice";
  int from;
  std::int64_t offset;
  int to;
  unsigned size;

  void prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_splice(&entry, from, offset, to, -1, size, 0);
  }
};
// [operation]

auto splice(const rondo::file& from, std::int64_t offset, const rondo::file& to, unsigned size) {
  return rondo::io::operation(
      splice_op{from.native_handle(), offset, to.native_handle(), size});
}

rondo::task<> count(const char* name) {
  rondo::file file = co_await rondo::file::open(name);
  int ends[2];
  if (::pipe(ends) != 0) throw std::system_error(errno, std::system_category(), "pipe");
  rondo::file out = rondo::file::adopt(ends[0]);
  rondo::file in = rondo::file::adopt(ends[1]);

  char buffer[4096];
  std::size_t total = 0;
  for (;;) {
    const std::size_t n =
        co_await splice(file, static_cast<std::int64_t>(total), in, sizeof buffer);
    if (n == 0) break;
    co_await out.read_exactly(rondo::mutable_buffer(buffer, n));
    total += n;
  }
  std::printf("spliced %zu bytes\n", total);
}

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: own_operation FILE\n"), 2;
  return rondo::run_main(count(argv[1]));
}

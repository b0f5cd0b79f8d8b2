// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does it cost to read a file that is in memory? 4 KiB at a time, at offsets all over a file of
// 4 MiB, so that the kernel copies and does not wait:
//
//   depth_1     one after the other: a system call each                per read
//   depth_32    32 in flight at any time                               per read
//   depth_128   128 in flight at any time                              per read

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "../support/bench.hpp"

namespace question {

inline constexpr int block = 4096;
inline constexpr int blocks = 1024;
inline constexpr int together = 32'768;  // reads of a sample; a multiple of each depth
inline constexpr int alone = 8'192;

/// Where a read brings its block. All contenders keep them in a vector: in the frame of a coroutine
/// GCC 12 ignores the alignment, and what is copied to an odd address takes 5 % longer.
struct place {
  alignas(64) char bytes[block];
};
using places = std::vector<place>;

inline bench::row depth_1(const char* contender) {
  return {"file_read", "depth_1", contender, alone};
}
inline bench::row depth_32(const char* contender) {
  return {"file_read", "depth_32", contender, together};
}
inline bench::row depth_128(const char* contender) {
  return {"file_read", "depth_128", contender, together};
}

/// Which block the n-th read reads: each as often as any other, and none near the one before.
inline int block_of(int n) { return n * 397 % blocks; }

/// A file whose blocks begin with their numbers, read once, so that it is in memory.
class file_in_memory {
 public:
  file_in_memory() {
    std::string name = "/tmp/rondo-bench-XXXXXX";
    fd_ = ::mkstemp(name.data());
    bench::check(fd_ >= 0, "a temporary file");
    ::unlink(name.c_str());
    std::vector<char> bytes(block);
    for (int i = 0; i < blocks; ++i) {
      std::memcpy(bytes.data(), &i, sizeof i);
      bench::check(::write(fd_, bytes.data(), block) == block, "a file of 4 MiB");
    }
    bench::check(::fsync(fd_) == 0, "nothing is left to be written");  // or reads may wait for it
    for (int i = 0; i < blocks; ++i) {
      bench::check(::pread(fd_, bytes.data(), block, std::int64_t{block} * i) == block, "it is read");
    }
  }
  file_in_memory(const file_in_memory&) = delete;
  file_in_memory& operator=(const file_in_memory&) = delete;
  ~file_in_memory() { ::close(fd_); }

  int fd() const { return fd_; }

 private:
  int fd_;
};

/// What a read has to bring: the sum of these over all reads of a sample.
inline int number_in(const char* bytes) {
  int number;
  std::memcpy(&number, bytes, sizeof number);
  return number;
}
inline void check_sum(long sum, int reads) {
  bench::check(sum == long{reads} / blocks * (long{blocks} * (blocks - 1) / 2),
               "each block as often as any other");
}

}  // namespace question

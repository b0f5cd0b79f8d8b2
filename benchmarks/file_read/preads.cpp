// SPDX-License-Identifier: BSL-1.0

// pread(2), which can have one read in flight and for what is in memory needs no more.

#include "question.hpp"

namespace {

void reads(int fd, int count) {
  alignas(64) char bytes[question::block];
  long sum = 0;
  for (int n = 0; n < count; ++n) {
    const auto offset = std::int64_t{question::block} * question::block_of(n);
    bench::check(::pread(fd, bytes, question::block, offset) == question::block,
                 "a read brings a block");
    sum += question::number_in(bytes);
  }
  question::check_sum(sum, count);
}

}  // namespace

int main() {
  const question::file_in_memory file;
  bench::row one = question::depth_1("preads");
  while (one.again()) reads(file.fd(), question::alone);
}

// SPDX-License-Identifier: BSL-1.0
#pragma once

// What rondo and rondo_epoll have in common.

#include <rondo/rondo.hpp>

#include <numeric>
#include <vector>

/// Every depth-th read, from `first` on.
inline rondo::task<long> reads(rondo::file& file, question::place& to, int first, int depth,
                               int count) {
  long sum = 0;
  for (int n = first; n < count; n += depth) {
    const auto offset = static_cast<std::uint64_t>(question::block) *
                        static_cast<std::uint64_t>(question::block_of(n));
    const std::size_t size = co_await file.read_at(to.bytes, offset);
    bench::check(size == question::block, "a read brings a block");
    sum += question::number_in(to.bytes);
  }
  co_return sum;
}

inline rondo::task<> reads_together(rondo::file& file, question::places& places, int depth) {
  std::vector<rondo::task<long>> workers;
  for (int i = 0; i < depth; ++i) {
    auto& to = places[static_cast<std::size_t>(i)];
    workers.push_back(reads(file, to, i, depth, question::together));
  }
  const auto sums = co_await rondo::when_all(std::move(workers));
  question::check_sum(std::accumulate(sums.begin(), sums.end(), 0L), question::together);
}

inline rondo::task<int> ask(const char* contender) {
  const question::file_in_memory memory;
  rondo::file file = rondo::file::adopt(::dup(memory.fd()));
  question::places places(128);
  bench::row one = question::depth_1(contender);
  while (one.again()) {
    const long sum = co_await reads(file, places[0], 0, 1, question::alone);
    question::check_sum(sum, question::alone);
  }
  bench::row some = question::depth_32(contender);
  while (some.again()) co_await reads_together(file, places, 32);
  bench::row many = question::depth_128(contender);
  while (many.again()) co_await reads_together(file, places, 128);
  co_return 0;
}

// SPDX-License-Identifier: BSL-1.0

// The same without io_uring: what is in memory is read at once, with preadv2(RWF_NOWAIT).

#include "question.hpp"

#include "rondo_reads.hpp"

int main() {
  rondo::loop_options options;
  options.backend = rondo::backend::epoll;
  return rondo::run(ask("rondo_epoll"), options);
}

// SPDX-License-Identifier: BSL-1.0
#pragma once

// A task for each connection, with the loop's default options but for its backend.

#include "question.hpp"

#include <rondo/rondo.hpp>

#include <array>
#include <string_view>
#include <utility>

struct counter {
  int left = 0;
  rondo::oneshot<int>* ended = nullptr;
  void count() {
    if (--left == 0) ended->set_value(0);
  }
};

inline rondo::task<> echo(rondo::tcp_stream peer, counter& served) {
  std::array<char, question::buffer> space;
  for (;;) {
    const std::size_t n = co_await peer.read(space);
    if (n == 0) co_return;
    co_await peer.write(std::string_view(space.data(), n));
    served.count();
  }
}

inline rondo::task<> serve(std::vector<int> fds, bench::row& row) {
  counter served;
  for (const int fd : fds) rondo::spawn(echo(rondo::tcp_stream::adopt(fd), served));
  while (row.again()) {
    rondo::oneshot<int> ended;
    served.ended = &ended;
    served.left = question::echoes;
    co_await ended.wait();
  }
  served.left = 1'000'000'000;
}

inline int answer(const char* contender, rondo::backend backend) {
  rondo::loop_options options;
  options.backend = backend;
  try {
    const rondo::event_loop works(options);
  } catch (const std::system_error& e) {
    bench::skip(e.what());
  }
  question::at_each_size([&](const question::size& size) {
    question::row row(contender, size);
    question::load load(contender, size);
    rondo::run(serve(load.fds, row), options);
  });
  return 0;
}

// SPDX-License-Identifier: BSL-1.0

#include "streams/conformance.hpp"

using rondo::task;
using rondo::test::stream_ends;

namespace {

struct tcp {
  using reader = rondo::tcp_stream;
  using writer = rondo::tcp_stream;
  static task<stream_ends<tcp>> make() {
    auto both = co_await rondo::test::tcp_pair();
    stream_ends<tcp> ends{std::move(both.a), std::move(both.b)};
    co_return ends;
  }
};

struct unix_socket {
  using reader = rondo::unix_stream;
  using writer = rondo::unix_stream;
  static task<stream_ends<unix_socket>> make() {
    auto [a, b] = rondo::socket_pair();
    stream_ends<unix_socket> ends{std::move(a), std::move(b)};
    co_return ends;
  }
};

struct pipes {
  using reader = rondo::pipe_reader;
  using writer = rondo::pipe_writer;
  static task<stream_ends<pipes>> make() {
    auto [out, in] = rondo::make_pipe();
    stream_ends<pipes> ends{std::move(out), std::move(in)};
    co_return ends;
  }
};

/// A reader that owns its stream. Its buffer is small, so that it is filled again and again.
struct buffered {
  using reader = rondo::buffered_reader<rondo::tcp_stream>;
  using writer = rondo::tcp_stream;
  static task<stream_ends<buffered>> make() {
    auto both = co_await rondo::test::tcp_pair();
    stream_ends<buffered> ends{reader(std::move(both.a), 100), std::move(both.b)};
    co_return ends;
  }
};

/// A reader around a reader, of a pipe.
struct twice_buffered {
  using reader = rondo::buffered_reader<rondo::buffered_reader<rondo::pipe_reader>>;
  using writer = rondo::pipe_writer;
  static task<stream_ends<twice_buffered>> make() {
    auto [out, in] = rondo::make_pipe();
    stream_ends<twice_buffered> ends{
        reader(rondo::buffered_reader<rondo::pipe_reader>(std::move(out))), std::move(in)};
    co_return ends;
  }
};

}  // namespace

STREAM_TESTS(tcp, "tcp")
STREAM_TESTS(unix_socket, "unix")
STREAM_TESTS(pipes, "pipe")
STREAM_TESTS(buffered, "buffered")
STREAM_TESTS(twice_buffered, "twice buffered")

// SPDX-License-Identifier: BSL-1.0

#include <rondo/tls.hpp>

#include "streams/conformance.hpp"
#include "tls/certificates.hpp"

using rondo::task;
using rondo::test::stream_ends;

namespace {

struct to_client {
  using reader = rondo::tls_stream<rondo::tcp_stream>;
  using writer = reader;
  static task<stream_ends<to_client>> make() {
    auto both = co_await rondo::test::tls_pair();
    stream_ends<to_client> ends{std::move(both.client), std::move(both.server)};
    co_return ends;
  }
};

struct to_server {
  using reader = rondo::tls_stream<rondo::unix_stream>;
  using writer = reader;
  static task<stream_ends<to_server>> make() {
    auto [a, b] = rondo::socket_pair();
    auto both = co_await rondo::test::tls_pair(std::move(a), std::move(b),
                                               rondo::test::client_context(),
                                               rondo::test::server_context());
    stream_ends<to_server> ends{std::move(both.server), std::move(both.client)};
    co_return ends;
  }
};

/// A reader around TLS around a reader, as after STARTTLS.
struct buffered_twice {
  using below = rondo::buffered_reader<rondo::unix_stream>;
  using reader = rondo::buffered_reader<rondo::tls_stream<below>>;
  using writer = reader;
  static task<stream_ends<buffered_twice>> make() {
    auto [a, b] = rondo::socket_pair();
    auto both = co_await rondo::test::tls_pair(below(std::move(a)), below(std::move(b)),
                                               rondo::test::client_context(),
                                               rondo::test::server_context());
    stream_ends<buffered_twice> ends{reader(std::move(both.server)), reader(std::move(both.client))};
    co_return ends;
  }
};

}  // namespace

STREAM_TESTS(to_client, "tls")
STREAM_TESTS(to_server, "tls over a unix socket")
STREAM_TESTS(buffered_twice, "tls between two buffers")

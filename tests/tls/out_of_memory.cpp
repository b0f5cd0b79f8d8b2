// SPDX-License-Identifier: BSL-1.0

// TLS while memory runs out.

#include <rondo/tls.hpp>

#include <array>
#include <utility>

#include "support/out_of_memory.hpp"
#include "tls/certificates.hpp"

using namespace rondo::test;
using rondo::task;

namespace {

using stream_over_unix = rondo::tls_stream<rondo::unix_stream>;

task<> talk(task<stream_over_unix> agreed) {
  stream_over_unix s = co_await std::move(agreed);
  co_await s.write("hello");
  std::array<char, 5> word;
  co_await s.read_exactly(word);
  co_await s.close();
}

/// The second connection resumes the session of the first, if there was memory to keep it.
task<> session(rondo::tls_context mine, rondo::tls_context theirs) {
  for (int i = 0; i < 2; ++i) {
    auto [a, b] = rondo::socket_pair();
    co_await rondo::when_all(talk(stream_over_unix::client(mine, std::move(a), "localhost")),
                             talk(stream_over_unix::server(theirs, std::move(b))));
  }
}

}  // namespace

ON_BOTH_RINGS("out of memory: two TLS connections", {
  certificates::get();
  fail_each_allocation([] { return session(client_context(), server_context()); });
})

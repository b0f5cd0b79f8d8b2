// SPDX-License-Identifier: BSL-1.0

#include <rondo/rondo.hpp>
#include <rondo/tls.hpp>
#include <system_error>
#include <utility>

rondo::task<bool> refused() {
  try {
    rondo::tls_context context;
    auto stream = co_await rondo::tcp_stream::connect(rondo::endpoint::parse("127.0.0.1:1"));
    auto secure = co_await rondo::start_tls(context, std::move(stream), "localhost");
  } catch (const std::system_error& e) {
    co_return e.code() == std::errc::connection_refused;
  }
  co_return false;
}

int main() { return rondo::run(refused()) ? 0 : 1; }

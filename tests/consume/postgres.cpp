// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres.hpp>
#include <rondo/rondo.hpp>
#include <string>

rondo::task<std::string> attempt() {
  try {
    auto c = co_await rondo::postgres::connect("host=127.0.0.1 port=1 user=me");
  } catch (const rondo::postgres::error& e) {
    co_return e.sqlstate();
  }
  co_return "";
}

int main() { return rondo::run(attempt()) == rondo::postgres::sqlstate::not_connected ? 0 : 1; }

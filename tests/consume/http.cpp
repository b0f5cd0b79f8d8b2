// SPDX-License-Identifier: BSL-1.0

#include <rondo/http.hpp>
#include <rondo/rondo.hpp>

rondo::task<int> answer() {
  rondo::http::session session;
  co_return 42;
}

int main() { return rondo::run(answer()) == 42 ? 0 : 1; }

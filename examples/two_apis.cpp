// SPDX-License-Identifier: BSL-1.0
//
// The first program: two JSON APIs at the same time.
//
//     ./two_apis http://127.0.0.1:8000/json/weather http://127.0.0.1:8000/json/prices
//     {"name":"weather"}
//     {"name":"prices"}
//
// smoke: {http}/json/weather {http}/json/prices
// prints: ^{"name":"weather"}$
// prints: ^{"name":"prices"}$

#include <iostream>
#include <rondo/http.hpp>
#include <rondo/rondo.hpp>

rondo::task<> fetch_both(std::string first, std::string second) {
  rondo::http::session session;
  auto [a, b] = co_await rondo::when_all(session.get(first), session.get(second));
  std::cout << a.raise_for_status().json() << '\n' << b.raise_for_status().json() << '\n';
}

int main(int argc, char** argv) {
  if (argc != 3) return std::cerr << "usage: two_apis URL URL\n", 2;
  return rondo::run_main(fetch_both(argv[1], argv[2]));
}

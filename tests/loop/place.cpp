// SPDX-License-Identifier: BSL-1.0

#include <rondo/loop/place.hpp>

#include "support/catch.hpp"

using rondo::detail::short_name;
using rondo::detail::span;
using namespace std::chrono_literals;

TEST_CASE("a function's name is short, whatever the compiler makes of it") {
  CHECK(short_name("fetch") == "fetch");
  CHECK(short_name("rondo::task<> fetch(int)") == "fetch");
  CHECK(short_name("rondo::task<std::pair<int, long> > app::fetch(std::string, int (*)(int))") ==
        "app::fetch");
  CHECK(short_name("rondo::task<T> fetch(T) [with T = int]") == "fetch");
  CHECK(short_name("task<> fetch(T, F) [T = int, F = (lambda at fetch.cpp:1:2)]") == "fetch");
  CHECK(short_name("auto cache::fetch(T) const [with T = int [3]]") == "cache::fetch");
  CHECK(short_name("void fetch(fetch(int)::_Z5fetchi.Frame*)") == "fetch");
  CHECK(short_name("void {anonymous}::fetch({anonymous}::fetch()::_ZN1.Frame*)") ==
        "{anonymous}::fetch");
  CHECK(short_name("void f(int)::<lambda(int)>::operator()(f(int)::<lambda(int)>::_Z.Frame*)") ==
        "f(int)::<lambda(int)>::operator()");
  CHECK(short_name("auto f(int)::(anonymous class)::operator()(int) const") ==
        "f(int)::(anonymous class)::operator()");
  CHECK(short_name("rondo::task<> session::get(int) const") == "session::get");
  CHECK(short_name("").empty());
  CHECK(short_name(")") == "");
}

TEST_CASE("a duration is written in milliseconds or seconds") {
  CHECK(span(0ns) == "0 ms");
  CHECK(span(153'400us) == "153 ms");
  CHECK(span(2'440ms) == "2.4 s");
  CHECK(span(1h) == "3600.0 s");
}

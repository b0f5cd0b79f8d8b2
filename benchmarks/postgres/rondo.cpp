// SPDX-License-Identifier: BSL-1.0

// rondo, as its users write it.

#include "question.hpp"

#include <rondo/postgres.hpp>
#include <rondo/rondo.hpp>
#include <string>

namespace {

namespace postgres = rondo::postgres;

rondo::task<> single(postgres::connection& c) {
  for (int i = 0; i < question::alone; ++i) {
    const auto rows = co_await c.query("select " + std::to_string(i));
    bench::check(rows[0].get<int>(0) == i, "the number");
  }
}

rondo::task<> pipeline(postgres::pipeline& p, const postgres::statement& it) {
  for (int b = 0; b < question::batches; ++b) {
    for (int i = 0; i < question::each; ++i) p.query(it, i);
    for (int i = 0; i < question::each; ++i) {
      const auto rows = co_await p.next();
      bench::check((*rows)[0].get<int>(0) == i, "the numbers, in order");
    }
  }
}

rondo::task<> measure() {
  auto c = co_await postgres::connect("");
  bench::row one = question::single("rondo");
  while (one.again()) {
    co_await single(c);
  }

  const auto it = co_await c.prepare(question::sql);
  auto p = co_await c.pipeline();
  bench::row many = question::pipeline("rondo");
  while (many.again()) {
    co_await pipeline(p, it);
  }
  co_await p.finish();
}

}  // namespace

int main() {
  question::need_server();
  rondo::run(measure());
}

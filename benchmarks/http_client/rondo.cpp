// SPDX-License-Identifier: BSL-1.0

// rondo, as its users write it.

#include "question.hpp"

#include <rondo/http.hpp>
#include <rondo/rondo.hpp>
#include <string>
#include <vector>

namespace {

rondo::task<> ask(rondo::http::session& session, const std::string& url) {
  for (int i = 0; i < question::requests / question::connections; ++i) {
    const auto answer = co_await session.get(url);
    bench::check(answer.status == 200 && answer.text() == question::answer, "the answer");
  }
}

rondo::task<> measure(bench::row& row, rondo::http::session& session, const std::string& url) {
  while (row.again()) {
    std::vector<rondo::task<>> all;
    for (int i = 0; i < question::connections; ++i) all.push_back(ask(session, url));
    co_await rondo::when_all(std::move(all));
  }
}

rondo::task<> measure_both(const std::string& url) {
  rondo::http::session session;
  bench::row get = question::get("rondo");
  co_await measure(get, session, url);
  bench::row get_cpu = question::get_cpu("rondo");
  co_await measure(get_cpu, session, url);
}

}  // namespace

int main() { rondo::run(measure_both(question::url())); }

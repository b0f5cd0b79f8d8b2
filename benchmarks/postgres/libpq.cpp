// SPDX-License-Identifier: BSL-1.0

// libpq's blocking calls, and its pipeline as its documentation has it. The limit.

#include "question.hpp"

#include <poll.h>

#include <charconv>
#include <cstdlib>

#include <libpq-fe.h>

namespace {

struct argument {
  explicit argument(int n) { *std::to_chars(text, text + sizeof text - 1, n).ptr = '\0'; }
  char text[16];
};

int number_in(PGresult* result) {
  bench::check(PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1, "one row");
  const int n = std::atoi(PQgetvalue(result, 0, 0));
  PQclear(result);
  return n;
}

void single(PGconn* c) {
  for (int i = 0; i < question::alone; ++i) {
    char sql[32] = "select ";
    *std::to_chars(sql + 7, sql + 31, i).ptr = '\0';
    bench::check(number_in(PQexec(c, sql)) == i, "the number");
  }
}

void wait_until_ready(PGconn* c) {
  while (PQisBusy(c) != 0) {
    const bool more = PQflush(c) == 1;
    pollfd p{PQsocket(c), static_cast<short>(more ? POLLIN | POLLOUT : POLLIN), 0};
    ::poll(&p, 1, -1);
    if ((p.revents & POLLIN) != 0) PQconsumeInput(c);
  }
}

void pipeline(PGconn* c) {
  for (int b = 0; b < question::batches; ++b) {
    for (int i = 0; i < question::each; ++i) {
      const argument a(i);
      const char* const value = a.text;
      PQsendQueryPrepared(c, "it", 1, &value, nullptr, nullptr, 0);
    }
    PQpipelineSync(c);
    for (int i = 0; i < question::each; ++i) {
      wait_until_ready(c);
      bench::check(number_in(PQgetResult(c)) == i, "the numbers, in order");
      bench::check(PQgetResult(c) == nullptr, "one result");
    }
    wait_until_ready(c);
    PGresult* const sync = PQgetResult(c);
    bench::check(PQresultStatus(sync) == PGRES_PIPELINE_SYNC, "a synchronisation point");
    PQclear(sync);
  }
}

}  // namespace

int main() {
  question::need_server();
  PGconn* const c = PQconnectdb("");
  if (PQstatus(c) != CONNECTION_OK) bench::skip(PQerrorMessage(c));
  bench::row one = question::single("libpq");
  while (one.again()) single(c);

  PQclear(PQprepare(c, "it", question::sql, 0, nullptr));
  PQsetnonblocking(c, 1);
  PQenterPipelineMode(c);
  bench::row many = question::pipeline("libpq");
  while (many.again()) pipeline(c);
  PQfinish(c);
}

// SPDX-License-Identifier: BSL-1.0

// Starts the clients; the server is go_server.go.

#include "../question.hpp"

#include "../../support/other_language.hpp"

int main() {
  bench::script server(__FILE__, "go_server.go");
  question::at_each_row([&](const char* row) {
    if (question::is_shared(row)) return;  // who reads has a buffer
    question::connections connections;
    server.run({row}, {&connections.warm.fds, &connections.all.fds});
  });
}

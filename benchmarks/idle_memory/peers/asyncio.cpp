// SPDX-License-Identifier: BSL-1.0

// Starts the clients; the server is python_server.py.

#include "../question.hpp"

#include "../../support/other_language.hpp"

int main() {
  bench::script server(__FILE__, "python_server.py");
  question::at_each_row([&](const char* row) {
    question::connections connections;
    server.run({row}, {&connections.warm.fds, &connections.all.fds});
  });
}

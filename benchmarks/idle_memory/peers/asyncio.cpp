// SPDX-License-Identifier: BSL-1.0

// Starts the clients; the server is python_server.py.

#include "../question.hpp"

int main() {
  question::at_each_row([](const char* row) {
    question::connections connections;
    bench::run_python(__FILE__, "python_server.py", {row},
                      {&connections.warm.fds, &connections.all.fds});
  });
}

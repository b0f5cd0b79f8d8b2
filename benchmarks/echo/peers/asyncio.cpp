// SPDX-License-Identifier: BSL-1.0

// Starts the clients; the server is python_server.py.

#include "../question.hpp"

int main() {
  for (const int connections : question::rows) {
    question::load load(connections);
    bench::run_python(__FILE__, "python_server.py", {"asyncio", question::name(connections)},
                      {&load.fds});
  }
}

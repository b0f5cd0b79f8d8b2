// SPDX-License-Identifier: BSL-1.0

// Starts the clients; the server is python_server.py.

#include "../other_server.hpp"

int main() { question::serve_by(__FILE__, "python_server.py", "uvloop"); }

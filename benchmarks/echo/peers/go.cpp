// SPDX-License-Identifier: BSL-1.0

// Starts the clients; the server is go_server.go.

#include "../other_server.hpp"

int main() { question::serve_by(__FILE__, "go_server.go", "go"); }

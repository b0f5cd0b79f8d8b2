// SPDX-License-Identifier: BSL-1.0

// Asio as it comes: epoll.

#include <asio.hpp>

#include "asio_server.hpp"

int main() { return answer("asio"); }

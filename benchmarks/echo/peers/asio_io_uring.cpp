// SPDX-License-Identifier: BSL-1.0

// Asio's other backend.

#define ASIO_HAS_IO_URING
#define ASIO_DISABLE_EPOLL

#include <asio.hpp>

#include "asio_server.hpp"

int main() { return answer("asio_io_uring"); }

// SPDX-License-Identifier: BSL-1.0

// The same on the epoll backend: for where io_uring is refused.

#include "rondo_server.hpp"

int main() { return answer("rondo_epoll", rondo::backend::epoll); }

// SPDX-License-Identifier: BSL-1.0

#include "rondo_server.hpp"

int main() { return answer("rondo", rondo::backend::io_uring); }

// SPDX-License-Identifier: BSL-1.0

// asio.hpp: header-only, on epoll.

#include "../question.hpp"

#include <asio/version.hpp>

int main() {
  question::ask("asio", __FILE__, "peers/asio.cpp",
                "-DASIO_HAS_CO_AWAIT -DASIO_HAS_STD_COROUTINE");  // for clang
}

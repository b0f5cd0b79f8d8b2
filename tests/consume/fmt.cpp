// SPDX-License-Identifier: BSL-1.0

#include <rondo/fmt.hpp>

int main() { return fmt::format("{}", rondo::endpoint::loopback(80)) == "127.0.0.1:80" ? 0 : 1; }

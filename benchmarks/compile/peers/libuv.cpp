// SPDX-License-Identifier: BSL-1.0

// uv.h, and a library that is compiled already.

#include "../question.hpp"

#include <uv/version.h>

int main() { question::ask("libuv", __FILE__, "peers/libuv.cpp", "-luv"); }

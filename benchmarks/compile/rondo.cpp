// SPDX-License-Identifier: BSL-1.0

// rondo/rondo.hpp: all of the core, and liburing.

#include "question.hpp"

int main() { question::ask("rondo", __FILE__, "rondo.cpp", "-luring"); }

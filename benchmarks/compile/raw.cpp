// SPDX-License-Identifier: BSL-1.0

// liburing alone. The limit.

#include "question.hpp"

int main() { question::ask("raw", __FILE__, "raw.cpp", "-luring"); }

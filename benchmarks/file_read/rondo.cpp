// SPDX-License-Identifier: BSL-1.0

// file::read_at in tasks, with the loop's default options.

#include "question.hpp"

#include "rondo_reads.hpp"

int main() { return rondo::run(ask("rondo")); }

// SPDX-License-Identifier: BSL-1.0

#include <rondo/rondo.hpp>

rondo::task<int> answer();  // in other.cpp: a second source file shows what is not inline

int main() { return rondo::run(answer()) == 42 ? 0 : 1; }

// SPDX-License-Identifier: BSL-1.0
//
// Sorts numbers by sleeping: one task a number, all at once, each as long as its number. It takes
// as long as the largest, not as all of them together.
//
//     ./sleep_sort 30 10 20
//     10 20 30
//     slept 60 units in 31 ms
//
// smoke: 30 10 20
// prints: 10 20 30\s+slept 60 units in [3-5]\d ms

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <rondo/rondo.hpp>
#include <utility>
#include <vector>

using namespace std::chrono;

rondo::task<> sleep_then_print(int number) {
  co_await rondo::sleep_for(milliseconds(number));
  std::printf("%d ", number);
}

rondo::task<> sleep_sort(std::vector<int> numbers) {
  int sum = 0;
  std::vector<rondo::task<>> tasks;
  for (const int number : numbers) {
    tasks.push_back(sleep_then_print(number));
    sum += number;
  }
  const auto start = steady_clock::now();
  co_await rondo::when_all(std::move(tasks));
  const auto took = duration_cast<milliseconds>(steady_clock::now() - start);
  std::printf("\nslept %d units in %d ms\n", sum, static_cast<int>(took.count()));
}

int main(int argc, char** argv) {
  std::vector<int> numbers;
  for (int i = 1; i < argc; ++i) numbers.push_back(std::atoi(argv[i]));
  return rondo::run_main(sleep_sort(std::move(numbers)));
}

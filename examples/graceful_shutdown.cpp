// SPDX-License-Identifier: BSL-1.0
//
// Workers that Ctrl-C ends in order: no new job is begun, those that were begun are finished, and
// what was done is saved before the program ends, with the exit status of an interrupted one.
//
//     ./graceful_shutdown done.txt           (then Ctrl-C)
//     ./graceful_shutdown done.txt --demo    presses Ctrl-C itself
//     begun 12 jobs, saved 12 in done.txt
//
// smoke: {program} {dir}/done.txt --demo; test $? -eq 130 && grep -c . {dir}/done.txt
// prints: ^begun (\d+) jobs, saved \1 in .*\s+^\1$

#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <rondo/rondo.hpp>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

struct progress {
  int begun = 0;
  int finished = 0;
  std::string lines;
};

rondo::task<std::string> job(int number) {
  co_await rondo::sleep_for(10ms * (number % 4 + 1));  // in several steps, in real life
  co_return "job " + std::to_string(number) + '\n';
}

rondo::task<> work(progress& p) {
  for (;;) {
    co_await rondo::checkpoint();  // Ctrl-C ends a worker here ...
    const int number = ++p.begun;
    p.lines += co_await rondo::shield(job(number));  // ... but not here
    ++p.finished;
  }
}

rondo::task<> workers(rondo::task_group& group, progress& p) {
  for (int i = 0; i < 4; ++i) group.spawn(work(p));
  co_return;  // the group goes on until its workers have ended
}

rondo::task<> save(const progress& p, std::string file) {
  co_await rondo::write_file(file, p.lines);
  std::printf("begun %d jobs, saved %d in %s\n", p.begun, p.finished, file.c_str());
}

rondo::task<> press_ctrl_c() {
  co_await rondo::sleep_for(70ms);
  std::raise(SIGINT);
}

rondo::task<> service(std::string file, bool demonstrate) {
  if (demonstrate) rondo::spawn(press_ctrl_c());
  progress p;
  co_await rondo::finally(rondo::with_task_group(workers, std::ref(p)),  // until it is canceled
                          save, std::ref(p), file);
}

int main(int argc, char** argv) {
  const bool demonstrate = argc == 3 && std::string_view(argv[2]) == "--demo";
  if (argc < 2) return std::fputs("usage: graceful_shutdown FILE [--demo]\n", stderr), 2;
  return rondo::run_main(service(argv[1], demonstrate));
}

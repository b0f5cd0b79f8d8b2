// SPDX-License-Identifier: BSL-1.0
//
// Several shell commands at the same time: what they say is shown line by line as it comes, and how
// they have ended. Ctrl-C kills those that still run.
//
//     ./run_commands "echo one" "sleep 1; echo two; exit 3" "no-such-program"
//     [1] one
//     [1] exit code 0
//     [3] /bin/sh: 1: no-such-program: not found
//     [3] exit code 127
//     [2] two
//     [2] exit code 3
//
// smoke: "echo one" "sleep 1; echo two; exit 3"
// prints: \[1\] one\n\[1\] exit code 0\n\[2\] two\n\[2\] exit code 3

#include <cstddef>
#include <cstdio>
#include <rondo/rondo.hpp>
#include <string>
#include <utility>
#include <vector>

rondo::task<> show(std::size_t number, rondo::pipe_reader& from) {
  rondo::buffered_reader lines(from);
  while (auto line = co_await lines.read_line()) std::printf("[%zu] %s\n", number, line->c_str());
}

rondo::task<> work(std::size_t number, rondo::process& program) {
  co_await rondo::when_all(show(number, program.stdout_()), show(number, program.stderr_()));
  const int code = co_await program.wait();
  std::printf("[%zu] exit code %d\n", number, code);
}

rondo::task<> run(std::size_t number, std::string line) {
  auto program = rondo::process::spawn(
      rondo::shell(line), {.in = rondo::stdio::null, .out = rondo::stdio::pipe, .err = rondo::stdio::pipe});
  co_await rondo::finally(work(number, program), [&program] { program.kill(); });
}

rondo::task<> run_all(std::vector<std::string> lines) {
  std::vector<rondo::task<>> all;
  for (std::size_t i = 0; i < lines.size(); ++i) all.push_back(run(i + 1, lines[i]));
  co_await rondo::when_all(std::move(all));
}

int main(int argc, char** argv) {
  return rondo::run_main(run_all(std::vector<std::string>(argv + 1, argv + argc)));
}

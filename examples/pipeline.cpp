// SPDX-License-Identifier: BSL-1.0
//
// pipeline: writes a file's lines, numbered and in capitals, to another file. Three tasks work at
// the same time and hand lines on over channels, which make the faster ones wait: however large the
// file is, only a few lines are in memory. Shows channel, async_generator, and that an error
// in one stage ends them all.
//
//     ./pipeline README.md out.txt
//     wrote 411 lines to out.txt
//
// smoke: {source} {dir}/out.txt
// prints: wrote [0-9]+ lines to .*/out.txt

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <rondo/rondo.hpp>
#include <string>

using lines = rondo::channel<std::string>;

rondo::async_generator<std::string> lines_of(rondo::file& in) {
  std::array<char, 4096> buffer;
  std::string line;
  while (const std::size_t n = co_await in.read(buffer)) {
    for (std::size_t i = 0; i < n; ++i) {
      if (buffer[i] != '\n') {
        line += buffer[i];
      } else {
        co_yield line;
        line.clear();
      }
    }
  }
  if (!line.empty()) co_yield line;
}

// [stages]
rondo::task<> read(std::string path, lines& out) {
  rondo::file in = co_await rondo::file::open(path);
  auto all = lines_of(in);
  while (auto line = co_await all.next()) co_await out.send(std::move(*line));
  out.close();                                  // what was sent is received, and then the end
}

rondo::task<> transform(lines& in, lines& out) {
  int number = 0;
  while (auto line = co_await in.receive()) {
    std::transform(line->begin(), line->end(), line->begin(), [](unsigned char c) {
      return static_cast<char>(std::toupper(c));
    });
    co_await out.send(std::to_string(++number) + ' ' + *line + '\n');
  }
  out.close();
}

rondo::task<int> write(lines& in, std::string path) {
  using rondo::open_mode;
  const auto mode = open_mode::write | open_mode::create | open_mode::truncate;
  rondo::file out = co_await rondo::file::open(path, mode);
  int count = 0;
  while (auto line = co_await in.receive()) {
    co_await out.write(*line);
    ++count;
  }
  co_await out.close();
  co_return count;
}

rondo::task<> copy_in_capitals(std::string from, std::string to) {
  lines plain(16), done(16);                    // room for 16 lines each: who is faster waits
  const auto results = co_await rondo::when_all(read(from, plain), transform(plain, done),
                                                write(done, to));
  std::printf("wrote %d lines to %s\n", std::get<2>(results), to.c_str());
}
// [stages]

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: pipeline FROM TO\n", stderr), 2;
  return rondo::run_main(copy_in_capitals(argv[1], argv[2]));
}

// SPDX-License-Identifier: BSL-1.0
//
// Copies files, four at a time, and shows how far those are that it has begun: copy_file with a
// function for its progress, and a line that is drawn again and again beside it.
//
//     ./copy_file big.iso other.iso /mnt/backup
//     copied 3.2 of 9.4 GB
//     ...
//     copied 2 files to /mnt/backup
//
// smoke: README.md LICENSE {dir}
// prints: copied 2 files to /

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <rondo/rondo.hpp>
#include <vector>

using namespace std::chrono_literals;

struct progress {
  std::uint64_t done = 0;
  std::uint64_t all = 0;
};

rondo::task<> copy_one(std::filesystem::path from, std::filesystem::path folder, progress& p) {
  const rondo::file_info info = co_await rondo::file_status(from);
  p.all += info.size();
  std::uint64_t before = 0;
  const auto advance = [&](std::uint64_t at) {  // in this file
    p.done += at - before;
    before = at;
  };
  const std::filesystem::path to = folder / from.filename();
  co_await rondo::copy_file(from, to, advance);
}

rondo::task<> draw(const progress& p) {
  rondo::interval ticks(200ms);
  for (;;) {
    co_await ticks.next();
    std::printf("copied %.1f of %.1f GB\n", static_cast<double>(p.done) / 1e9,
                static_cast<double>(p.all) / 1e9);
  }
}

rondo::task<> copy_all(std::vector<const char*> names, const char* folder) {
  progress p;
  std::vector<rondo::task<>> copies;
  for (const char* name : names) copies.push_back(copy_one(name, folder, p));
  // The copies win this race; the drawing ends with them.
  co_await rondo::when_any(
      rondo::when_all(std::move(copies), rondo::max_concurrency{4}), draw(p));
  std::printf("copied %zu files to %s\n", names.size(), folder);
}

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: copy_file FILE... FOLDER\n"), 2;
  return rondo::run_main(copy_all({argv + 1, argv + argc - 1}, argv[argc - 1]));
}

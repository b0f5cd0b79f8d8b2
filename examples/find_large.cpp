// SPDX-License-Identifier: BSL-1.0
//
// find_large: the largest files below a folder. Shows list_directory, a stream of entries, and work
// that finds more work: all folders of one depth are looked into at once, sixteen at a time.
//
//     ./find_large 3 /usr
//     126000 KB  /usr/lib/x86_64-linux-gnu/libLLVM-14.so.1
//     ...
//
// smoke: 3 examples
// prints: \d+ KB  examples/

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <rondo/rondo.hpp>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

struct findings {
  std::vector<std::pair<std::uint64_t, std::string>> files;  // size and path
  std::vector<std::string> folders;                          // to be looked into
};

rondo::task<> look_into(std::string folder, findings& found) {
  try {
    auto entries = rondo::list_directory(folder);
    while (auto entry = co_await entries.next()) {
      if (entry->is_directory()) found.folders.push_back(entry->path());
      if (!entry->is_regular_file()) continue;
      const rondo::file_info info = co_await rondo::symlink_status(entry->path());
      found.files.emplace_back(info.size(), entry->path());
    }
  } catch (const std::system_error& e) {  // not allowed, say, or gone meanwhile
    std::fprintf(stderr, "%s\n", e.what());
  }
}

rondo::task<> find_large(std::size_t count, const char* root) {
  findings found;
  found.folders.push_back(root);
  while (!found.folders.empty()) {
    std::vector<rondo::task<>> tasks;
    for (std::string& folder : std::exchange(found.folders, {})) {
      tasks.push_back(look_into(std::move(folder), found));
    }
    co_await rondo::when_all(std::move(tasks), rondo::max_concurrency{16});
  }
  std::sort(found.files.rbegin(), found.files.rend());
  found.files.resize(std::min(count, found.files.size()));
  for (const auto& [size, path] : found.files) {
    std::printf("%6llu KB  %s\n", static_cast<unsigned long long>(size / 1000), path.c_str());
  }
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: find_large COUNT FOLDER\n"), 2;
  return rondo::run_main(find_large(std::strtoul(argv[1], nullptr, 10), argv[2]));
}

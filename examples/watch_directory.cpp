// SPDX-License-Identifier: BSL-1.0
//
// Prints what happens in a folder, until Ctrl-C or SIGTERM. Two streams at once: one of events of
// the file system, one of signals. Losing the race against the other loses nothing, so the next
// round goes on where this one ended.
//
//     ./watch_directory .             (then, elsewhere: touch x; mv x y; rm y)
//     created x
//     written x
//     renamed x
//     renamed to y
//     removed y
//     ^C bye
//     ./watch_directory --demo        does all that by itself, in a folder of its own
//
// smoke: --demo
// prints: created x\nwritten x\nrenamed x\nrenamed to y\nremoved y\nbye

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <rondo/rondo.hpp>
#include <string>
#include <string_view>

void print(const rondo::file_event& event) {
  const char* const what = (event.mask & IN_CREATE) != 0       ? "created"
                           : (event.mask & IN_CLOSE_WRITE) != 0 ? "written"
                           : (event.mask & IN_MOVED_FROM) != 0  ? "renamed"
                           : (event.mask & IN_MOVED_TO) != 0    ? "renamed to"
                           : (event.mask & IN_DELETE) != 0      ? "removed"
                                                                : "many events were lost";
  std::printf("%s %s\n", what, event.name.c_str());
  std::fflush(stdout);
}

rondo::task<> follow(rondo::watch_stream changes, rondo::signal_stream ends) {
  for (;;) {
    auto next = co_await rondo::when_any(changes.next(), ends.next());
    if (next.index() == 1) break;
    const auto& change = std::get<0>(next);
    if (!change) break;  // the folder itself has gone
    print(*change);
  }
  std::puts("bye");
}

int main(int argc, char** argv) try {
  if (argc != 2) return std::fputs("usage: watch_directory FOLDER\n", stderr), 2;
  const bool demonstrate = std::string_view(argv[1]) == "--demo";
  char name[] = "/tmp/watch_directory-XXXXXX";
  const std::filesystem::path folder = demonstrate ? ::mkdtemp(name) : argv[1];
  auto changes = rondo::watch(folder, IN_CREATE | IN_CLOSE_WRITE | IN_MOVE | IN_DELETE);
  auto ends = rondo::signals({SIGINT, SIGTERM});
  if (demonstrate) {
    std::ofstream(folder / "x") << "hello";
    std::filesystem::rename(folder / "x", folder / "y");
    std::filesystem::remove_all(folder);  // its end is the stream's, too
  }
  return rondo::run_main(follow(std::move(changes), std::move(ends)));
} catch (const std::exception& e) {
  return std::fprintf(stderr, "error: %s\n", e.what()), 1;
}

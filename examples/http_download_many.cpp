// SPDX-License-Identifier: BSL-1.0
//
// Hundreds of files over HTTP, twenty at a time, with one progress bar. A file that fails is one line
// on stderr, and the others go on; each appears in the folder when it is complete.
//
//     ./http_download_many FOLDER URL...
//     ./http_download_many --demo        300 files of a server of its own, into a folder that goes
//     [##########..............................]  75 of 300 files, 7.4 MB
//     300 of 300 files, 29.5 MB, 0 failed
//
// smoke: --demo
// prints: ^\[#* *\.*\] +\d+ of 300 files, \d+\.\d MB$
// prints: ^300 of 300 files, 29\.5 MB, 0 failed$

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <rondo/http.hpp>
#include <rondo/rondo.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace http = rondo::http;

struct progress {
  std::size_t all = 0;
  std::size_t done = 0;
  std::size_t failed = 0;
  std::uint64_t bytes = 0;
};

// [download]
rondo::task<> download(http::session& session, std::string url, fs::path folder, progress& p) {
  std::uint64_t before = 0;
  const auto advance = [&](std::uint64_t received, std::uint64_t) {  // in this file
    p.bytes += received - before;
    before = received;
  };
  try {
    const fs::path to = folder / url.substr(url.rfind('/') + 1);
    co_await session.download(url, to, advance);
    ++p.done;
  } catch (const std::system_error& e) {  // http::error is one
    std::fprintf(stderr, "%s\n", e.what());
    ++p.failed;
  }
}
// [download]

double megabytes(const progress& p) { return static_cast<double>(p.bytes) / 1e6; }

rondo::task<> draw(const progress& p) {
  for (rondo::interval ticks(100ms);; co_await ticks.next()) {
    constexpr std::size_t width = 40;
    const std::size_t full = (p.done + p.failed) * width / p.all;
    const std::string bar = std::string(full, '#') + std::string(width - full, '.');
    std::printf("[%s] %3zu of %zu files, %.1f MB\n", bar.c_str(), p.done, p.all, megabytes(p));
  }
}

rondo::task<int> download_all(std::vector<std::string> urls, fs::path folder) {
  http::session session(http::session_options().max_connections(20));
  progress p;
  p.all = urls.size();
  std::vector<rondo::task<>> downloads;
  for (const std::string& url : urls) downloads.push_back(download(session, url, folder, p));
  // The downloads win this race; the drawing ends with them.
  co_await rondo::when_any(
      rondo::when_all(std::move(downloads), rondo::max_concurrency{20}), draw(p));
  std::printf("%zu of %zu files, %.1f MB, %zu failed\n", p.done, p.all, megabytes(p), p.failed);
  co_return p.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

// The demonstration's server: each file is its own name, again and again.
rondo::task<> answer(rondo::tcp_stream peer) {
  rondo::buffered_reader<rondo::tcp_stream&> in(peer);
  while (const auto request = co_await in.read_line()) {  // GET /file-7 HTTP/1.1
    while (const auto field = co_await in.read_line()) {
      if (field->empty()) break;
    }
    const std::string name = request->substr(4, request->rfind(' ') - 4);
    std::string body;
    for (int i = 0; body.size() < 98'304; ++i) body += name + "\n";
    body.resize(98'304);
    co_await rondo::sleep_for(10ms);
    co_await peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                        "\r\n\r\n" + body);
  }
}

rondo::task<> serve_files(rondo::tcp_listener listener) { co_await rondo::serve(listener, answer); }

rondo::task<int> demonstration() {
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const std::string server = "http://" + rondo::to_string(listener.local_endpoint());
  rondo::spawn(serve_files(std::move(listener)));  // ends when the program does
  std::vector<std::string> urls;
  for (int i = 0; i < 300; ++i) urls.push_back(server + "/file-" + std::to_string(i));

  std::string folder = (fs::temp_directory_path() / "http_download_many-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) throw std::system_error(errno, std::system_category());
  const int status = co_await download_all(std::move(urls), folder);
  fs::remove_all(folder);
  co_return status;
}

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--demo") return rondo::run_main(demonstration());
  if (argc < 3) return std::fprintf(stderr, "usage: http_download_many FOLDER URL...\n"), 2;
  return rondo::run_main(download_all({argv + 2, argv + argc}, argv[1]));
}

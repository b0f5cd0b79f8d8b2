// SPDX-License-Identifier: BSL-1.0
//
// Tells which TCP ports of this machine are open: a range of connection attempts, a hundred at a
// time, each with a limit of its own.
//
//     ./port_scan 1 10000
//     ./port_scan --demo     opens a port, and looks around it
//     port 43521 is open
//     201 ports, 1 open
//
// smoke: --demo
// prints: ^port \d+ is open$
// prints: ^201 ports, [1-9]\d* open$

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <rondo/rondo.hpp>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

rondo::task<bool> is_open(int port) {
  const auto where = rondo::endpoint::loopback(static_cast<std::uint16_t>(port));
  // A port that is closed is no error here, and neither is one that does not answer.
  const auto stream = co_await rondo::as_result(
      rondo::with_timeout(2s, rondo::tcp_stream::connect(where)));
  co_return stream.has_value();
}

rondo::task<> scan(int first, int last) {
  std::vector<rondo::task<bool>> attempts;
  for (int port = first; port <= last; ++port) attempts.push_back(is_open(port));
  int open = 0;
  const auto tell = [first, &open](rondo::completed<bool>& c) {
    if (!c.result.value()) return;
    std::printf("port %d is open\n", first + static_cast<int>(c.index));
    ++open;
  };
  co_await rondo::for_each_completed(std::move(attempts), tell, rondo::max_concurrency{100});
  std::printf("%d ports, %d open\n", last - first + 1, open);
}

rondo::task<> demo() {
  const auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const int port = listener.local_endpoint().port();
  co_await scan(port - 100, port + 100);
}

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--demo") return rondo::run_main(demo());
  if (argc != 3) return std::fputs("usage: port_scan FIRST LAST\n", stderr), 2;
  return rondo::run_main(scan(std::atoi(argv[1]), std::atoi(argv[2])));
}

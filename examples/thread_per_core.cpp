// SPDX-License-Identifier: BSL-1.0
//
// An echo server that uses every processor: a loop in a thread for each, which share nothing but the
// port. The kernel spreads the connections. With --demo, loop 0 asks the others in the end what they
// did.
//
//     ./thread_per_core 7000            (then: nc 127.0.0.1 7000; Ctrl-C ends it)
//     ./thread_per_core --demo 100      makes 100 connections of its own, and ends
//     loop 0 served 52 connections
//     loop 1 served 48 connections
//
// smoke: --demo 100
// prints: loop 0 served \d+ connections\n

#include <array>
#include <cstdio>
#include <cstdlib>
#include <rondo/rondo.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What one loop owns. Only its thread touches it, so nothing here is locked or atomic.
struct shard {
  rondo::tcp_listener listener;
  rondo::oneshot<> ended;
  int served = 0;
};

rondo::task<> echo(rondo::tcp_stream peer) {
  std::array<char, 4096> buffer;
  for (;;) {
    const std::size_t n = co_await peer.read(buffer);
    if (n == 0) break;
    co_await peer.write(std::string_view(buffer.data(), n));
  }
}

rondo::task<> serve(shard& mine) {
  for (;;) {
    rondo::tcp_stream peer = co_await mine.listener.accept();
    ++mine.served;
    rondo::spawn(echo(std::move(peer)));
  }
}

rondo::task<int> served(shard& its) { co_return its.served; }

rondo::task<> talk(rondo::endpoint server) {
  rondo::tcp_stream stream = co_await rondo::tcp_stream::connect(server);
  co_await stream.write("hello");
  std::array<char, 5> answer;
  co_await stream.read_exactly(answer);
}

rondo::task<> demo(rondo::loop_pool& pool, std::vector<shard>& shards, int connections) {
  std::vector<rondo::task<>> clients;
  const rondo::endpoint server = shards[0].listener.local_endpoint();
  for (int i = 0; i < connections; ++i) clients.push_back(talk(server));
  co_await rondo::when_all(std::move(clients));
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const int n = co_await rondo::on(pool.loop(i), served(shards[i]));
    std::printf("loop %zu served %d connections\n", i, n);
  }
  for (const shard& each : shards) each.ended.set_value();
}

rondo::task<> run_shard(rondo::loop_pool& pool, std::vector<shard>& shards, std::size_t i,
                        int connections) {
  if (i == 0 && connections != 0) {
    co_await rondo::when_any(serve(shards[i]), demo(pool, shards, connections));
  } else {
    co_await rondo::when_any(serve(shards[i]), shards[i].ended.wait());
  }
}

int main(int argc, char** argv) {
  const bool demonstrate = argc == 3 && std::string_view(argv[1]) == "--demo";
  const int connections = demonstrate ? std::atoi(argv[2]) : 0;
  auto at = rondo::endpoint::loopback(static_cast<std::uint16_t>(argc == 2 ? std::atoi(argv[1]) : 0));

  rondo::loop_pool pool;
  std::vector<shard> shards(pool.size());
  for (shard& each : shards) {
    each.listener = rondo::tcp_listener::bind(at, {.reuse_port = true});
    at = each.listener.local_endpoint();
  }
  try {
    pool.run([&](std::size_t i) { return run_shard(pool, shards, i, connections); });
  } catch (const rondo::interrupted&) {
    return 130;
  }
}

// SPDX-License-Identifier: BSL-1.0
//
// Asks several mirrors for the same file at once and takes the first good answer: the others are
// canceled. A mirror that fails only loses; the race as a whole has a limit.
//
//     ./race_mirrors
//     south was first, after 21 ms: the file
//     without it, nobody has answered within 50 ms
//
// smoke:
// prints: ^south was first, after \d+ ms: the file$
// prints: ^without it, nobody has answered within 50 ms$

#include <chrono>
#include <cstdio>
#include <functional>
#include <rondo/rondo.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono;

struct mirror {
  std::string name;
  milliseconds delay;
  bool broken = false;
  rondo::tcp_listener listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
};

rondo::task<> serve(mirror& m) {
  for (;;) {
    rondo::tcp_stream peer = co_await m.listener.accept();
    co_await rondo::sleep_for(m.delay);
    if (m.broken) continue;
    static_cast<void>(co_await rondo::as_result(peer.write("the file")));  // if it is still there
  }
}

rondo::task<std::string> fetch(mirror& m) {
  rondo::tcp_stream stream = co_await rondo::tcp_stream::connect(m.listener.local_endpoint());
  std::string text(100, '\0');
  text.resize(co_await stream.read(text));
  if (text.empty()) throw std::runtime_error(m.name + " hung up");
  co_return text;
}

auto fetch_from_any(std::vector<mirror>& mirrors) {
  std::vector<rondo::task<std::string>> attempts;
  for (mirror& m : mirrors) attempts.push_back(fetch(m));
  return rondo::first_success(std::move(attempts));
}

rondo::task<> race(rondo::task_group& group, std::vector<mirror>& mirrors) {
  for (mirror& m : mirrors) group.spawn(serve(m));
  const auto start = steady_clock::now();
  const auto first = co_await rondo::with_timeout(10s, fetch_from_any(mirrors));
  const auto took = duration_cast<milliseconds>(steady_clock::now() - start);
  std::printf("%s was first, after %d ms: %s\n", mirrors[first.index].name.c_str(),
              static_cast<int>(took.count()), first.value.c_str());

  mirrors[first.index].broken = true;
  const auto second = co_await rondo::try_for(50ms, fetch_from_any(mirrors));
  if (!second) std::puts("without it, nobody has answered within 50 ms");
  group.cancel();  // the mirrors
}

rondo::task<> demonstrate(std::vector<mirror> mirrors) {
  co_await rondo::with_task_group(race, std::ref(mirrors));
}

int main() {
  std::vector<mirror> mirrors;
  mirrors.push_back({"east", 1h});
  mirrors.push_back({"west", 0ms, true});
  mirrors.push_back({"south", 20ms});
  mirrors.push_back({"north", 2h});
  return rondo::run_main(demonstrate(std::move(mirrors)));
}

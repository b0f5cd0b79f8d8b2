// SPDX-License-Identifier: BSL-1.0
//
// Real-time analytics: events come in over UDP, "name value", and once a second it is printed how
// many there were of each name in the last ten seconds, and their mean. A plain thread, as a driver
// or an older library might be, brings events of its own through a mailbox.
//
//     ./live_stats 9000           (then: echo "cpu 42" | nc -u -w0 127.0.0.1 9000; Ctrl-C ends it)
//     ./live_stats --demo         sends itself events for a moment, and ends
//     cpu: 20 events, mean 42.0
//     thread: 5 events, mean 1.0
//
// smoke: --demo
// prints: cpu: 20 events, mean 42\.0\nthread: 5 events, mean 1\.0

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <rondo/rondo.hpp>
#include <string>
#include <string_view>
#include <thread>

using namespace std::chrono_literals;

class statistics {
 public:
  void add(std::string_view name, double value, rondo::time_point when) {
    events_[std::string(name)].push_back({when, value});
    ++total_;
  }
  int total() const { return total_; }
  void print(rondo::time_point now) {
    for (auto& [name, window] : events_) {
      while (!window.empty() && window.front().when < now - 10s) window.pop_front();
      double sum = 0;
      for (const event& e : window) sum += e.value;
      const auto count = static_cast<double>(window.size());
      std::printf("%s: %.0f events, mean %.1f\n", name.c_str(), count, count > 0 ? sum / count : 0);
    }
    std::fflush(stdout);
  }

 private:
  struct event {
    rondo::time_point when;
    double value;
  };
  std::map<std::string, std::deque<event>> events_;
  int total_ = 0;
};

rondo::task<> from_network(rondo::udp_socket& socket, statistics& all) {
  std::array<char, 512> buffer;
  for (;;) {
    const auto message = co_await socket.receive_from(buffer);
    const std::string_view text(buffer.data(), message.size);
    const std::size_t space = text.find(' ');
    double value = 0;
    if (space == text.npos) continue;
    std::from_chars(text.data() + space + 1, text.data() + text.size(), value);
    all.add(text.substr(0, space), value, rondo::event_loop::current().now());
  }
}
rondo::task<> from_threads(rondo::mailbox<double>& box, statistics& all) {
  while (const auto value = co_await box.next()) {
    all.add("thread", *value, rondo::event_loop::current().now());
  }
}
rondo::task<> report(statistics& all) {
  rondo::interval seconds(1s);
  while (const auto now = co_await seconds.next()) all.print(*now);
}

rondo::task<> demo(rondo::endpoint at, rondo::mailbox<double>& box, statistics& all) {
  const std::jthread device([&box] {
    for (int i = 0; i < 5; ++i) box.push(1);
  });
  auto socket = rondo::udp_socket::bind(rondo::endpoint::loopback(0));
  for (int i = 0; i < 20; ++i) co_await socket.send_to("cpu 42", at);
  while (all.total() < 25) co_await rondo::sleep_for(1ms);
  all.print(rondo::event_loop::current().now());
}

rondo::task<> run(std::uint16_t port, bool demonstrate) {
  auto socket = rondo::udp_socket::bind(rondo::endpoint::loopback(port));
  rondo::mailbox<double> box(rondo::event_loop::current(), 1000);
  statistics all;
  auto sources = rondo::when_all(from_network(socket, all), from_threads(box, all));
  if (demonstrate) {
    co_await rondo::when_any(std::move(sources), demo(socket.local_endpoint(), box, all));
  } else {
    co_await rondo::when_all(std::move(sources), report(all));
  }
}

int main(int argc, char** argv) {
  const bool demonstrate = argc == 2 && std::string_view(argv[1]) == "--demo";
  return rondo::run_main(
      run(static_cast<std::uint16_t>(argc == 2 ? std::atoi(argv[1]) : 0), demonstrate));
}

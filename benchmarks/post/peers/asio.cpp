// SPDX-License-Identifier: BSL-1.0

// asio::post between contexts, each of them run by one thread.

#include "../question.hpp"

#include <asio.hpp>

#include <thread>

namespace {

struct game {
  asio::io_context& here;
  asio::io_context& there;
  int left = 0;

  void ping() {
    asio::post(there, [this] { asio::post(here, [this] { pong(); }); });
  }
  void pong() {
    if (--left == 0)
      here.stop();
    else
      ping();
  }
};

void run(asio::io_context& context) {
  const auto work = asio::make_work_guard(context);
  context.restart();
  context.run();
}

void items(const question::place& place) {
  asio::io_context loop(1);
  const std::string name = question::name("items", place);
  bench::row row("post", name.c_str(), "asio", question::items);
  while (row.again()) {
    long sum = 0;
    int received = 0;
    std::thread sender([&] {
      bench::pin_this_thread(place.there);
      for (int i = 0; i < question::items; ++i) {
        asio::post(loop, [&, i] {
          sum += i;
          if (++received == question::items) loop.stop();
        });
      }
    });
    run(loop);
    sender.join();
    bench::check(sum == question::sum_to(question::items), "each number, once");
  }
}

void ping_pong(const question::place& place) {
  asio::io_context here(1);
  asio::io_context there(1);
  std::thread other([&] {
    bench::pin_this_thread(place.there);
    run(there);
  });
  game g{here, there};
  const std::string name = question::name("ping_pong", place);
  bench::row row("post", name.c_str(), "asio", question::trips);
  while (row.again()) {
    g.left = question::trips;
    g.ping();
    run(here);
  }
  asio::post(there, [&] { there.stop(); });
  other.join();
}

}  // namespace

int main() {
  question::at_each_place(items);
  question::at_each_place(ping_pong);
}

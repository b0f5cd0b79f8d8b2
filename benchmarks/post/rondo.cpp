// SPDX-License-Identifier: BSL-1.0

// event_loop::post, with default options.

#include "question.hpp"

#include <rondo/rondo.hpp>

#include <thread>

namespace {

rondo::task<> items(question::place place) {
  rondo::event_loop& loop = rondo::event_loop::current();
  const std::string name = question::name("items", place);
  bench::row row("post", name.c_str(), "rondo", question::items);
  while (row.again()) {
    long sum = 0;
    int received = 0;
    rondo::oneshot<int> ended;
    std::thread sender([&] {
      bench::pin_this_thread(place.there);
      for (int i = 0; i < question::items; ++i) {
        loop.post([&, i] {
          sum += i;
          if (++received == question::items) ended.set_value(0);
        });
      }
    });
    co_await ended.wait();
    bench::check(sum == question::sum_to(question::items), "each number, once");
    sender.join();
  }
}

struct game {
  rondo::event_loop& here;
  rondo::event_loop& there;
  rondo::oneshot<int>* ended = nullptr;
  int left = 0;

  void ping() {
    there.post([this] { here.post([this] { pong(); }); });
  }
  void pong() {
    if (--left == 0)
      ended->set_value(0);
    else
      ping();
  }
};

rondo::task<> play(question::place place, rondo::event_loop& other) {
  game g{rondo::event_loop::current(), other};
  const std::string name = question::name("ping_pong", place);
  bench::row row("post", name.c_str(), "rondo", question::trips);
  while (row.again()) {
    rondo::oneshot<int> ended;
    g.ended = &ended;
    g.left = question::trips;
    g.ping();
    co_await ended.wait();
  }
}

}  // namespace

int main() {
  question::at_each_place([](const question::place& place) { rondo::run(items(place)); });
  question::at_each_place([](const question::place& place) {
    rondo::event_loop other;
    rondo::oneshot<int> stop;
    std::thread thread([&] {
      bench::pin_this_thread(place.there);
      other.run(stop.wait());
    });
    rondo::run(play(place, other));
    stop.set_value(0);
    thread.join();
  });
}

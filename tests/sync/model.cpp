// SPDX-License-Identifier: BSL-1.0

// Random sequences of everything that can be done to a channel, compared with a model of the rules
// after each step; and a million items through every kind of channel, under orders and
// cancellations that are drawn from a seed. RONDO_TEST_SEED=n replays one sequence.

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <rondo/rondo.hpp>
#include <rondo/testing.hpp>

#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;

namespace {

/// By value, and in the order of arrival among equals; a channel of fifo values has equals only.
struct item {
  int rank;
  int number;
  friend bool operator==(const item&, const item&) = default;
};
struct by_rank {
  bool operator()(const item& a, const item& b) const { return a.rank < b.rank; }
};

/// The rules, as simply as they can be written.
class model {
 public:
  explicit model(std::size_t capacity) : capacity_(capacity) {}

  void send(int id, item value) {
    if (closed_) {
      ends[id] = "closed";
    } else if (accept(value)) {
      ends[id] = "sent";
    } else {
      senders_.push_back({id, value});
    }
  }
  void receive(int id) {
    if (const auto value = try_receive()) {
      ends[id] = "got " + std::to_string(value->number);
    } else if (closed_) {
      ends[id] = "end";
    } else {
      receivers_.push_back(id);
    }
  }
  bool try_send(item value) { return !closed_ && accept(value); }
  std::optional<item> try_receive() {
    if (!store_.empty()) {
      const item first = store_.front();
      store_.pop_front();
      if (store_.size() < capacity_) admit_sender();
      return first;
    }
    if (senders_.empty()) return std::nullopt;
    const auto [id, value] = senders_.front();
    senders_.pop_front();
    ends[id] = "sent";
    return value;
  }
  void cancel(int id) {
    if (std::erase(receivers_, id) +
        std::erase_if(senders_, [&](auto& s) { return s.first == id; })) {
      ends[id] = "canceled";
    }
  }
  void put_back(item value) {
    if (!receivers_.empty()) {
      deliver(value);
    } else {
      const auto at = std::find_if(store_.begin(), store_.end(),
                                   [&](const item& other) { return other.rank <= value.rank; });
      store_.insert(at, value);
    }
  }
  void close() {
    closed_ = true;
    for (const auto& [id, value] : senders_) ends[id] = "closed";
    for (const int id : receivers_) ends[id] = "end";
    senders_.clear();
    receivers_.clear();
  }
  [[nodiscard]] std::size_t size() const { return store_.size(); }
  [[nodiscard]] bool closed() const { return closed_; }

  std::map<int, std::string> ends;

 private:
  bool accept(item value) {
    if (!receivers_.empty()) {
      deliver(value);
      return true;
    }
    if (store_.size() >= capacity_) return false;
    insert(value);
    return true;
  }
  void deliver(item value) {
    ends[receivers_.front()] = "got " + std::to_string(value.number);
    receivers_.pop_front();
  }
  void admit_sender() {
    if (senders_.empty()) return;
    const auto [id, value] = senders_.front();
    senders_.pop_front();
    ends[id] = "sent";
    insert(value);
  }
  void insert(item value) {
    const auto at = std::find_if(store_.begin(), store_.end(),
                                 [&](const item& other) { return other.rank < value.rank; });
    store_.insert(at, value);
  }

  std::size_t capacity_;
  bool closed_ = false;
  std::deque<item> store_;
  std::deque<std::pair<int, item>> senders_;
  std::deque<int> receivers_;
};

/// A channel, and what is under way in it.
template <typename Channel>
class tried {
  using sending = waiting<decltype(std::declval<Channel&>().send(item{}))>;
  using receiving = waiting<decltype(std::declval<Channel&>().receive())>;

 public:
  tried(std::size_t capacity, unsigned seed, bool ranks)
      : channel_(capacity), model_(capacity), random_(seed), ranks_(ranks) {}
  ~tried() {
    channel_.close();
    loop_.run_until_idle();
  }

  /// Empty, or what differs.
  std::string step() {
    const unsigned what = draw(100);
    if (what < 30) {
      const item value = next_item();
      model_.send(next_, value);
      sends_[next_++] = std::make_unique<sending>(loop_, channel_.send(value));
    } else if (what < 60) {
      model_.receive(next_);
      receives_[next_++] = std::make_unique<receiving>(loop_, channel_.receive());
    } else if (what < 66) {
      const item value = next_item();
      if (channel_.try_send(value) != model_.try_send(value)) return "try_send";
    } else if (what < 72) {
      if (channel_.try_receive() != model_.try_receive()) return "try_receive";
    } else if (what < 86) {
      cancel_one();
    } else if (what < 99) {
      discard_one();
    } else if (draw(4) == 0) {
      channel_.close();
      model_.close();
    }
    loop_.run_until_idle();
    return compare();
  }

 private:
  unsigned draw(unsigned below) { return static_cast<unsigned>(random_() % below); }
  item next_item() {
    const item made{ranks_ ? static_cast<int>(draw(3)) : 0, numbers_++};
    rank_of_[made.number] = made.rank;
    return made;
  }

  void cancel_one() {
    const int id = static_cast<int>(draw(static_cast<unsigned>(next_) + 1));
    const bool pending = !model_.ends.contains(id);
    if (const auto s = sends_.find(id); s != sends_.end() && pending) s->second->cancel();
    if (const auto r = receives_.find(id); r != receives_.end() && pending) r->second->cancel();
    if (pending) model_.cancel(id);
  }
  /// A receive that has a value goes without having given it.
  void discard_one() {
    for (auto it = receives_.begin(); it != receives_.end(); ++it) {
      const auto end = model_.ends.find(it->first);
      if (end == model_.ends.end() || !end->second.starts_with("got ")) continue;
      const int number = std::stoi(end->second.substr(4));
      model_.ends.erase(end);
      model_.put_back({rank_of_[number], number});
      receives_.erase(it);
      return;
    }
  }
  std::string compare() {
    if (channel_.size() != model_.size()) return "size";
    if (channel_.closed() != model_.closed()) return "closed";
    for (const auto& [id, s] : sends_) {
      if (s->done() != model_.ends.contains(id)) return "send " + std::to_string(id);
    }
    for (const auto& [id, r] : receives_) {
      if (r->done() != model_.ends.contains(id)) return "receive " + std::to_string(id);
    }
    // Now and then everything that has ended is taken.
    if (draw(8) != 0) return "";
    return take_ended();
  }
  std::string take_ended() {
    for (auto it = sends_.begin(); it != sends_.end();) {
      if (!it->second->done()) {
        ++it;
        continue;
      }
      std::string how = "sent";
      try {
        it->second->take();
      } catch (const channel_closed&) {
        how = "closed";
      } catch (const operation_canceled&) {
        how = "canceled";
      }
      if (how != model_.ends[it->first]) return how + " instead of " + model_.ends[it->first];
      it = sends_.erase(it);
    }
    for (auto it = receives_.begin(); it != receives_.end();) {
      if (!it->second->done()) {
        ++it;
        continue;
      }
      std::string how = "end";
      try {
        if (const auto value = it->second->take()) how = "got " + std::to_string(value->number);
      } catch (const operation_canceled&) {
        how = "canceled";
      }
      if (how != model_.ends[it->first]) return how + " instead of " + model_.ends[it->first];
      it = receives_.erase(it);
    }
    return "";
  }

  manual_loop loop_;
  Channel channel_;
  model model_;
  std::minstd_rand random_;
  bool ranks_;
  int next_ = 0;
  int numbers_ = 0;
  std::map<int, std::unique_ptr<sending>> sends_;
  std::map<int, std::unique_ptr<receiving>> receives_;
  std::map<int, int> rank_of_;
};

unsigned only_seed() {
  const char* const text = std::getenv("RONDO_TEST_SEED");
  return text != nullptr ? static_cast<unsigned>(std::atoi(text)) : 0;
}

template <typename Channel>
void compare_with_model(bool ranks) {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    if (only_seed() != 0 && seed != only_seed()) continue;
    for (const std::size_t capacity : {0U, 1U, 3U}) {
      tried<Channel> t(capacity, seed, ranks);
      for (int i = 0; i < 150; ++i) {
        const std::string difference = t.step();
        INFO("RONDO_TEST_SEED=" << seed << ", capacity " << capacity << ", step " << i);
        INFO(difference);
        REQUIRE(difference.empty());
      }
    }
  }
}

// ---- A million items ----------------------------------------------------------------------------

struct message {
  int producer;
  int number;
};
struct by_number {  // whatever is there with the lowest number first
  bool operator()(const message& a, const message& b) const { return a.number > b.number; }
};

struct traffic {
  int producers;
  int each;
  std::vector<std::vector<bool>> seen;
  std::size_t received = 0;
  bool in_order = true;
  bool twice = false;
  int canceled = 0;

  traffic(int p, int n) : producers(p), each(n), seen(static_cast<std::size_t>(p)) {
    for (auto& s : seen) s.resize(static_cast<std::size_t>(n));
  }
  void note(const message& m, std::vector<int>& last) {
    auto& newest = last[static_cast<std::size_t>(m.producer)];
    in_order = in_order && m.number > newest;
    newest = m.number;
    auto flag = seen[static_cast<std::size_t>(m.producer)][static_cast<std::size_t>(m.number)];
    twice = twice || flag;
    flag = true;
    ++received;
  }
};

/// impatience: how many of a hundred sends and receives are given up after a while, and tried
/// again.
template <typename Channel>
task<> produce(Channel& c, traffic& t, int me, unsigned impatience) {
  std::minstd_rand random(static_cast<unsigned>(me + 1));
  for (int i = 0; i < t.each;) {
    if (impatience == 0 || random() % 100 >= impatience) {
      co_await c.send(message{me, i});
      ++i;
      continue;
    }
    const auto ended =
        co_await when_any(c.send(message{me, i}), yields(static_cast<int>(random() % 3)));
    if (ended.index() == 0) ++i;
    if (ended.index() == 1) ++t.canceled;
  }
}
template <typename Channel>
task<> produce_all(Channel& c, traffic& t, unsigned impatience) {
  std::vector<task<>> all;
  for (int i = 0; i < t.producers; ++i) all.push_back(produce(c, t, i, impatience));
  co_await when_all(std::move(all));
  c.close();
}
template <typename Channel>
task<> consume(Channel& c, traffic& t, unsigned impatience) {
  std::minstd_rand random(99);
  std::vector<int> last(static_cast<std::size_t>(t.producers), -1);
  for (;;) {
    if (impatience == 0 || random() % 100 >= impatience) {
      const auto m = co_await c.receive();
      if (!m) co_return;
      t.note(*m, last);
      continue;
    }
    const auto ended = co_await when_any(c.receive(), yields(static_cast<int>(random() % 3)));
    if (ended.index() == 1) {
      ++t.canceled;
      continue;
    }
    if (!std::get<0>(ended)) co_return;
    t.note(*std::get<0>(ended), last);
  }
}
template <typename Channel>
task<> run_traffic(Channel& c, traffic& t, int consumers, unsigned impatience) {
  std::vector<task<>> all;
  all.push_back(produce_all(c, t, impatience));
  for (int i = 0; i < consumers; ++i) all.push_back(consume(c, t, impatience));
  co_await when_all(std::move(all));
}

void check(const traffic& t, bool ordered = true) {
  CHECK(t.received == static_cast<std::size_t>(t.producers) * static_cast<std::size_t>(t.each));
  CHECK_FALSE(t.twice);
  if (ordered) CHECK(t.in_order);
}

}  // namespace

TEST_CASE("whatever is done to a channel, it does what the model does") {
  compare_with_model<channel<item>>(false);
}

TEST_CASE("whatever is done to a priority_channel, it does what the model does") {
  compare_with_model<priority_channel<item, by_rank>>(true);
}

TEST_CASE("a million items go through a channel of each capacity, once each and in order") {
  for (const std::size_t capacity : {0U, 1U, 7U, 1024U}) {
    INFO(capacity);
    channel<message> c(capacity);
    traffic t(2, 500'000);
    rondo::run(run_traffic(c, t, 2, 0));
    check(t);
  }
}

TEST_CASE("a million items go through a priority_channel, once each and in order") {
  for (const std::size_t capacity : {1U, 64U}) {
    INFO(capacity);
    priority_channel<message, by_number> c(capacity);
    traffic t(2, 500'000);
    rondo::run(run_traffic(c, t, 1, 0));
    check(t);
  }
}

TEST_CASE("a million items of a broadcast reach each subscriber, or are counted as missed") {
  broadcast<int> b(64);
  const int total = 1'000'000;
  const auto hear = [](broadcast<int>::subscription from, std::uint64_t& heard,
                       std::uint64_t& missed) -> task<> {
    std::optional<int> last;
    for (;;) {
      std::optional<int> v;
      try {
        v = co_await from.next();
      } catch (const lagged& e) {
        missed += e.missed();
        if (last) *last += static_cast<int>(e.missed());
        continue;
      }
      if (!v) co_return;
      if (last && *v != *last + 1) detail::fail("out of order");
      last = *v;
      ++heard;
    }
  };
  const auto say = [](broadcast<int>& to, int n) -> task<> {
    for (int i = 0; i < n; ++i) {
      to.send(i);
      if (i % 50 == 0 || i % 1000 == 1) co_await yield();
    }
    to.close();
  };
  std::uint64_t heard[2] = {};
  std::uint64_t missed[2] = {};
  rondo::run([&]() -> task<> {
    co_await when_all(hear(b.subscribe(), heard[0], missed[0]),
                      hear(b.subscribe(), heard[1], missed[1]), say(b, total));
  }());
  for (int i = 0; i < 2; ++i) CHECK(heard[i] + missed[i] == total);
}

TEST_CASE("under seeded orders and cancellations no item is lost or comes twice") {
  int canceled = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    INFO(seed);
    const auto options = testing::faults(seed).options();
    for (const std::size_t capacity : {0U, 1U, 5U}) {
      INFO(capacity);
      channel<message> c(capacity);
      traffic t(3, 200);
      rondo::run(run_traffic(c, t, 3, 40), options);
      check(t);
      canceled += t.canceled;
      priority_channel<message, by_number> p(capacity);
      traffic u(3, 200);
      rondo::run(run_traffic(p, u, 3, 40), options);
      check(u, false);
    }
  }
  CHECK(canceled > 0);
}

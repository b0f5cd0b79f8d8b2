// SPDX-License-Identifier: BSL-1.0

// Random trees on a loop that is driven by hand: gates instead of descriptors, and time passes when
// the test says so. What happens is fully determined, so the model predicts every line of the log.

#include <rondo/rondo.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "random/model.hpp"
#include "random/performer.hpp"
#include "random/running_tree.hpp"
#include "random/tree.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;

namespace rondo::test::random {
namespace {

/// Gives the number of its gate when that is open. Tells at once if it is open already.
class gate_state;
struct gate_place {
  bool open = false;
  gate_state* waiting = nullptr;
};
class gate_description : public detail::only_in_rondo {
 public:
  using state_type = gate_state;
  gate_description(gate_place& g, int n) noexcept : place(&g), number(n) {}
  gate_place* place;
  int number;
};
class gate_state : detail::leaf, detail::ready_node {
 public:
  explicit gate_state(gate_description&& d) noexcept
      : leaf{&kind}, place_(*d.place), number_(d.number) {}

  bool start(detail::scope& line, detail::continuation told) noexcept {
    line_ = &line;
    waiter = told;
    if (line.canceled()) {
      canceled_ = true;
      line.refuse(*this);
      return true;
    }
    if (place_.open) return false;
    line.enter(*this);
    place_.waiting = this;
    return true;
  }
  detail::outcome how() const noexcept {
    return canceled_ ? detail::outcome::canceled : detail::outcome::value;
  }
  int take() {
    if (canceled_) throw operation_canceled();
    return number_;
  }
  void opened() noexcept {
    line_->leave();
    line_->loop().complete(*this);
  }

 private:
  static void cancel_wait(leaf& self) noexcept {
    auto& s = static_cast<gate_state&>(self);
    s.place_.waiting = nullptr;
    s.canceled_ = true;
    s.line_->leave();
    s.line_->loop().push(s);
  }
  static constexpr detail::leaf_kind kind{"gate", &cancel_wait};

  gate_place& place_;
  int number_;
  detail::scope* line_ = nullptr;
  bool canceled_ = false;
};

/// Which limit it was: they are hours apart.
int timeout_number(const timeout_error& e, time_point begun) {
  const auto passed = std::chrono::floor<std::chrono::hours>(e.deadline() - begun + 30min);
  return timeouts + static_cast<int>(passed.count());
}

loop_options reporting_to(std::vector<std::string>& reports, const time_point& begun) {
  loop_options options;
  options.entries = 8;
  options.ignore_sigpipe = false;
  options.on_unhandled = [&reports, &begun](const unhandled_error& e) {
    static constexpr const char* kinds[] = {"spawned", "post", "suppressed"};
    std::string what = "canceled";
    try {
      if (e.error) std::rethrow_exception(e.error);
    } catch (const oops& error) {
      what = "!" + std::to_string(error.number);
    } catch (const timeout_error& error) {
      what = "!" + std::to_string(timeout_number(error, begun));
    } catch (const std::exception&) {
      what = "!" + std::to_string(nobody_takes_part);
    } catch (const operation_canceled&) {
    }
    const auto k = static_cast<std::size_t>(e.what);
    reports.push_back((k < std::size(kinds) ? kinds[k] : "another kind:") + (" " + what));
  };
  return options;
}

/// A loop that looks at nothing outside: the test opens gates and lets time pass.
class stepped_loop {
 public:
  void run_until_idle() {
    while (loop.has_ready()) loop.run_once();
  }
  bool pass_time() {
    if (loop.timers().empty()) return false;
    loop.timers().expire(loop.timers().earliest());
    return true;
  }
  /// The count that makes one operation in 128 wait a turn begins anew.
  void align() {
    while (!loop.ready_at_once(detail::continuation())) {
    }
  }

  std::vector<std::string> reports;
  time_point begun;  // of the tree that runs
  event_loop loop{reporting_to(reports, begun)};
};

/// A tree, while it runs.
class play_of_steps : detail::listener {
 public:
  play_of_steps(const tree& t, stepped_loop& steps)
      : listener{&play_of_steps::root_told},
        loop_(steps),
        gates_(static_cast<std::size_t>(t.size)),
        performer_(*this),
        director_(t, *this),
        line_(steps.loop),
        root_(performer_.run(t.root)) {
    begin_.waiter = detail::continuation(static_cast<listener&>(*this));
  }

  story run() {
    loop_.align();
    loop_.reports.clear();
    loop_.begun = std::chrono::steady_clock::now();
    loop_.loop.push(begin_);  // in a turn, like everything
    do {
      loop_.run_until_idle();
    } while (director_.at_rest());
    if (!done_) story_.log += "the root has not ended";
    story_.reports = std::exchange(loop_.reports, {});
    return std::move(story_);
  }

  // For the director.
  void open(int id) {
    gate_place& g = gates_[static_cast<std::size_t>(id)];
    g.open = true;
    if (g.waiting != nullptr) std::exchange(g.waiting, nullptr)->opened();
  }
  bool pass_time() { return loop_.pass_time(); }
  void cancel_root() { line_.cancel(); }
  void cancel_spawned(int id) {
    const auto found = handles.find(id);
    if (found != handles.end()) found->second();
  }

  // For the performer.
  auto gate(int id) { return gate_description(gates_[static_cast<std::size_t>(id)], id); }
  void received(int) {}
  std::chrono::nanoseconds duration(int hours) { return std::chrono::hours(hours); }
  task<int> transfer(const node&) { std::abort(); }
  void started(const node& n) { log("+" + std::to_string(n.id)); }
  void ended(const node& n, end e, bool) { log("-" + std::to_string(n.id) + text(e)); }
  void canceled_since(const node&) {}  // the model knows
  void noted(const node& n, int index) {
    log("*" + std::to_string(n.id) + "[" + std::to_string(index) + "]");
  }
  int number_of(const timeout_error& e) { return timeout_number(e, loop_.begun); }
  std::map<int, std::function<void()>> handles;

 private:
  /// Told through the queue to begin, and then by the root.
  static void root_told(listener& self) noexcept {
    auto& p = static_cast<play_of_steps&>(self);
    if (std::exchange(p.begun_already_, true)) {
      p.done_ = true;
    } else {
      const detail::loop_base::running_in now(p.loop_.loop, p.line_);
      p.done_ = !p.root_.start(p.line_, self);
    }
  }
  void log(const std::string& entry) {
    story_.log += entry + " ";
    director_.logged();
  }

  stepped_loop& loop_;
  std::vector<gate_place> gates_;
  performer<play_of_steps> performer_;
  story story_;
  director<play_of_steps> director_;
  detail::scope line_;
  detail::task_state<int> root_;
  detail::ready_node begin_;
  bool begun_already_ = false;
  bool done_ = false;
};

std::string list(const std::vector<std::string>& reports) {
  std::string all;
  for (const std::string& r : reports) all += r + "; ";
  return all;
}

/// What a tree did that it should not have done; empty if nothing.
std::string compare(const tree& t, stepped_loop& loop) {
  story expected = model(t).run();
  const std::size_t before = blocks_in_use();
  story seen = play_of_steps(t, loop).run();
  // Nobody says in which order reports come.
  std::sort(expected.reports.begin(), expected.reports.end());
  std::sort(seen.reports.begin(), seen.reports.end());
  if (seen.log != expected.log || seen.reports != expected.reports) {
    return "expected " + expected.log + "\n  reports " + list(expected.reports) + "\nseen     " +
           seen.log + "\n  reports " + list(seen.reports);
  }
  if (loop.loop.run_once()) return "the loop has something left to do";
  seen = story();
  if (blocks_in_use() <= before) return "";
  const std::size_t again = blocks_in_use();  // the loop's own lists have grown, perhaps
  play_of_steps(t, loop).run();
  return blocks_in_use() == again ? "" : "the heap grows with each run";
}

}  // namespace

static void play_by_hand(const seeds& which) {
  stepped_loop loop;
  for (std::uint64_t seed = which.first; seed != which.first + which.count; ++seed) {
    const tree t = tree::make(seed, leaves::gates);
    const running_tree named(t);
    const std::string wrong = compare(t, loop);
    if (wrong.empty() && which.count != 1) continue;
    WARN(describe(t) << wrong);
    REQUIRE(wrong.empty());
  }
}

// In parts that run side by side.
#define PLAY_BY_HAND(part)                                                                       \
  TEST_CASE("a random tree of combinators does what the rules say, step by step: part " #part) { \
    play_by_hand(seeds(30, (part - 1) * std::uint64_t{1'000'000'000} + 1));                      \
  }
PLAY_BY_HAND(1)
PLAY_BY_HAND(2)
PLAY_BY_HAND(3)

}  // namespace rondo::test::random

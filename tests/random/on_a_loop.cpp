// SPDX-License-Identifier: BSL-1.0

// Random trees on a loop with pipes, sockets, files and timers. When things happen is up to the
// kernel, so the ends that were recorded are checked against each other, and nothing may be left.

#include <rondo/rondo.hpp>
#include <rondo/testing.hpp>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "random/performer.hpp"
#include "random/running_tree.hpp"
#include "random/tree.hpp"
#include "support/catch.hpp"
#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;

namespace rondo::test::random {
namespace {

/// What a node's task did.
struct record {
  int starts = 0;
  int ends = 0;
  int started_at = 0;  // in the order of all starts and ends
  int ended_at = 0;
  end how_it_ended;
  bool canceled = false;  // its line was, when it ended

  [[nodiscard]] bool is(how h) const { return ends != 0 && how_it_ended.ended == h; }
};

/// A tree, while it runs.
class play_of_a_loop {
 public:
  play_of_a_loop(const tree& t, event_loop& loop, file& scratch, bool faulty)
      : tree_(t),
        loop_(loop),
        scratch_(scratch),
        faulty_(faulty),
        records_(static_cast<std::size_t>(t.size)),
        gates_(static_cast<std::size_t>(t.size)),
        performer_(*this),
        director_(t, *this) {
    open_gates(t.root);
  }

  /// Gives what was wrong.
  std::string run() {
    loop_.run(everything());
    check(tree_.root);
    for (std::size_t id = 0; id < gates_.size(); ++id) check_bytes(id);
    if (loop_.stats().timers != 0) wrong_ += "a timer is left\n";
    if (loop_.run_once()) wrong_ += "the loop has something left to do\n";
    return wrong_;
  }

  // For the director.
  void open(int id) {
    gate_ends& g = gates_[static_cast<std::size_t>(id)];
    if (!g.in) return;
    g.fed = ::write(g.in.native_handle(), "abc", 3) == 3;
    if (!g.fed) wrong_ += "a gate cannot be fed\n";
    g.in = descriptor();  // whoever reads again gets nothing, and need not wait
  }
  bool pass_time() { return false; }
  void cancel_root() { root_.cancel(); }
  void cancel_spawned(int id) {
    const auto found = handles.find(id);
    if (found != handles.end()) found->second();
  }

  // For the performer.
  auto gate(int id) {
    gate_ends& g = gates_[static_cast<std::size_t>(id)];
    return io::read(g.out.native_handle(), mutable_buffer(g.room.data(), g.room.size()));
  }
  void received(int id) { gates_[static_cast<std::size_t>(id)].received = true; }
  std::chrono::nanoseconds duration(int number) { return number % 8 * 30us; }
  int number_of(const timeout_error&) { return timeouts; }
  std::map<int, std::function<void()>> handles;

  void started(const node& n) {
    record& r = record_of(n);
    ++r.starts;
    r.started_at = ++clock_;
    director_.logged();
  }
  void ended(const node& n, end e, bool canceled) {
    record& r = record_of(n);
    ++r.ends;
    r.ended_at = ++clock_;
    r.how_it_ended = e;
    r.canceled = canceled;
    director_.logged();
  }
  /// Between its note and its end: somebody else's cancellation has become its own.
  void canceled_since(const node& n) {
    end& e = record_of(n).how_it_ended;
    if (e.ended == how::error && e.number == -1) e.ended = how::canceled;
  }
  void noted(const node&, int) { director_.logged(); }

  task<int> transfer(const node& n) {
    const std::string text = "node " + std::to_string(n.id);
    std::array<char, 16> read{};
    const mutable_buffer whole(read.data(), text.size());
    if (n.variant == 0) {
      const auto place = static_cast<std::uint64_t>(n.id) * 16;
      co_await scratch_.write_at(text, place);
      co_await scratch_.read_exactly_at(whole, place);
    } else if (n.variant == 1) {
      sockets pair;
      tcp_stream a = tcp_stream::adopt(pair.a.release());
      tcp_stream b = tcp_stream::adopt(pair.b.release());
      co_await when_all(a.write(text), b.read_exactly(whole));
    } else {
      file f = co_await file::open("/proc/self/comm", open_mode::read);
      co_await f.close();
      co_return n.id;
    }
    if (std::string(read.data(), text.size()) != text) wrong_ += "a transfer gave other bytes\n";
    co_return n.id;
  }

 private:
  struct gate_ends {
    descriptor out{};
    descriptor in{};
    bool fed = false;
    bool received = false;
    bool plain = false;
    std::array<char, 8> room{};
  };

  /// A pipe or a pair of sockets for each node that may read.
  void open_gates(const node& n) {
    gate_ends& g = gates_[static_cast<std::size_t>(n.id)];
    const bool waits = n.what == kind::waits || n.what == kind::waits_and_fails ||
                       n.what == kind::swallows || n.what == kind::spoils;
    if (waits || (n.what == kind::each && n.variant == waiting)) {
      g.plain = n.plain;
      if (n.id % 2 == 0) {
        pipe_ends p;
        g.out = std::move(p.reader);
        g.in = std::move(p.writer);
      } else {
        sockets s;
        g.out = std::move(s.a);
        g.in = std::move(s.b);
      }
    }
    for (const node& child : n.children) open_gates(child);
  }

  task<> everything() {
    root_ = spawn(performer_.run(tree_.root));
    // Many gates are not fed before everybody is told to end; what is in a shield then needs them.
    for (int step = 0; director_.at_rest(); ++step) {
      if (step % 4 == 3) {
        co_await sleep_for(20us);
      } else {
        co_await as_result(io::nop());
      }
      if (step == 16 + static_cast<int>(tree_.seed % 16)) root_.cancel();
    }
    co_await root_.wait();
  }

  record& record_of(const node& n) { return records_[static_cast<std::size_t>(n.id)]; }

  // The rules, as far as the ends of children tell what the parent's has to be.

  void expect(bool right, const node& n, const std::string& rule) {
    if (right) return;
    wrong_ += std::to_string(n.id) + " " + text(record_of(n).how_it_ended) + ": " + rule + "\n";
  }
  static bool same(end a, end b) {
    if (a.is_cancellation()) return b.is_cancellation();
    return a.ended == b.ended && a.number == b.number;
  }

  void check(const node& n) {
    if (!n.plain) {
      const record& r = record_of(n);
      expect(r.starts <= 1 && r.ends == r.starts, n, "what starts ends, once");
      for (const node& c : n.children) {
        const record& child = record_of(c);
        const bool detached = n.what == kind::spawn && &c == &n.children[0];
        if (c.plain || child.starts == 0) continue;
        expect(r.starts != 0 && child.started_at > r.started_at, c, "started by its parent");
        expect(detached || child.ended_at < r.ended_at, c, "ends before its parent");
      }
      const bool known = faulty_ || r.how_it_ended.number != unknown_error || r.is(how::value);
      expect(known, n, "an error that nobody made");
      if (r.ends == 1) check_rule(n, r.how_it_ended);
    }
    for (const node& c : n.children) check(c);
  }

  void check_rule(const node& n, end e) {
    std::vector<const record*> children;
    for (const node& c : n.children) {
      if (c.plain) return;  // nobody has recorded how it ended
      children.push_back(&record_of(c));
    }
    const auto child_end = [&] { return children.front()->how_it_ended; };
    const auto count = [&](how h) {
      return std::count_if(children.begin(), children.end(), [h](auto* c) { return c->is(h); });
    };
    const auto all_are_values = [&] { return count(how::value) == std::ssize(children); };
    const auto error_of_a_child = [&] {
      return std::any_of(children.begin(), children.end(), [&](auto* c) {
        return c->is(how::error) && same(c->how_it_ended, e);
      });
    };
    switch (n.what) {
      case kind::all: {
        int sum = 0;
        for (const record* c : children) sum = mix(sum, c->how_it_ended.number);
        if (all_are_values()) return expect(same(e, {how::value, sum}), n, "all of their values");
        check_others(n, earliest(children, how::error), children);
        if (count(how::error) == 0) return expect(e.is_cancellation(), n, "canceled, as they are");
        if (n.variant == lanes) return expect(error_of_a_child(), n, "the error of a child");
        return expect(same(e, earliest(children, how::error)->how_it_ended), n, "the first error");
      }
      case kind::settled: {
        int sum = 0;
        for (const record* c : children) {
          const bool was_left = n.variant == lanes && c->starts == 0;  // when it was canceled
          sum = mix(sum, code(was_left ? end{how::canceled, -1} : c->how_it_ended));
        }
        return expect(same(e, {how::value, sum}), n, "how each ended");
      }
      case kind::any:
      case kind::first:
        return check_race(n, e, children);
      case kind::each:
        for (const record* c : children) expect(!e.is_value() || c->ends == 1, n, "sees all ends");
        return;
      case kind::group:
        if (count(how::error) != 0) return expect(error_of_a_child(), n, "the error of a child");
        if (e.is_value()) expect(children.back()->is(how::value), n, "the value of the body");
        return;
      case kind::sequence:
        if (!e.is_value()) return expect(same(e, latest(children)->how_it_ended), n, "the last");
        return expect(all_are_values(), n, "all of them gave values");
      case kind::finally: {
        expect(children[1]->starts == 1 && !children[1]->canceled, n, "cleans up, in a shield");
        const end cleanup = children[1]->how_it_ended;
        // Whether a cancellation was the line's own is asked after the cleanup.
        if (child_end().is_cancellation() && same(e, cleanup)) return;
        const bool kept = cleanup.is_value() || child_end().ended == how::error;
        return expect(same(e, kept ? child_end() : cleanup), n, "its body's");
      }
      case kind::shield:
        expect(!children[0]->canceled, n, "no cancellation inside");
        return expect(same(e, child_end()), n, "what the child gave");
      case kind::as_result:
        return expect(same(e, {how::value, code(child_end())}), n, "what the child gave");
      case kind::timeout:
      case kind::try_for:
        if (!child_end().is_cancellation()) return expect(same(e, child_end()), n, "the child's");
        return expect(e.is_cancellation() || e.number == timeouts || e.number == no_value, n,
                      "a cancellation or the limit");
      case kind::spawn:
        return expect(!e.is_value() || all_are_values(), n, "both of their values");
      default:
        return;
    }
  }

  void check_race(const node& n, end e, const std::vector<const record*>& children) {
    if (children.empty()) return expect(e.number == nobody_takes_part, n, "nobody takes part");
    const record* decisive = earliest(children, how::value);
    const record* const failed = earliest(children, how::error);
    if (n.what == kind::any && failed && (!decisive || failed->ended_at < decisive->ended_at)) {
      decisive = failed;
    }
    if (!decisive && earliest(children, how::canceled)) {
      return expect(e.is_cancellation(), n, "canceled, as they are");
    }
    if (decisive) check_others(n, decisive, children);
    if (!decisive) decisive = latest(children);
    end expected = decisive->how_it_ended;
    if (expected.is_value()) {
      const auto place = std::find(children.begin(), children.end(), decisive) - children.begin();
      expected.number = mix(static_cast<int>(place), expected.number);
    }
    expect(same(e, expected), n, "what the winner gave: " + text(expected));
  }

  /// Those who run when it is decided are canceled.
  void check_others(const node& n, const record* decisive, const std::vector<const record*>& all) {
    for (const record* c : all) {
      const bool late = decisive && c->starts != 0 && c->ended_at > decisive->ended_at;
      expect(!late || c->canceled, n, "cancels the others");
    }
  }

  static const record* earliest(const std::vector<const record*>& all, how h) {
    const record* found = nullptr;
    for (const record* r : all) {
      if (r->is(h) && (!found || r->ended_at < found->ended_at)) found = r;
    }
    return found;
  }
  static const record* latest(const std::vector<const record*>& all) {
    return *std::max_element(all.begin(), all.end(),
                             [](auto* a, auto* b) { return a->ended_at < b->ended_at; });
  }

  /// Bytes are read by the task that waits for them, or are still there.
  void check_bytes(std::size_t id) {
    const gate_ends& g = gates_[id];
    if (!g.fed || g.plain) return;
    int left = 0;
    ::ioctl(g.out.native_handle(), FIONREAD, &left);
    if ((left == 3) == g.received) wrong_ += "the bytes of " + std::to_string(id) + " are lost\n";
  }

  const tree& tree_;
  event_loop& loop_;
  file& scratch_;
  bool faulty_;  // operations fail, too
  std::vector<record> records_;
  std::vector<gate_ends> gates_;
  performer<play_of_a_loop> performer_;
  director<play_of_a_loop> director_;
  join_handle<int> root_;
  std::string wrong_;
  int clock_ = 0;
};

}  // namespace

namespace {

/// Plays trees, each on a loop of its own.
void play_trees(const seeds& which, const std::function<loop_options(std::uint64_t)>& faults_of) {
  const temporary_folder folder;
  const std::string path = folder / "scratch";
  file scratch = file::adopt(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  std::string wrong;
  const auto run = [&](const tree& t) {
    loop_options options = faults_of ? faults_of(t.seed) : loop_options();
    options.on_unhandled = [&wrong](const unhandled_error& e) {
      using enum unhandled_error::kind;
      if (e.what != suppressed && e.what != spawned) wrong += e.message + "\n";
    };
    event_loop loop(std::move(options));
    wrong += play_of_a_loop(t, loop, scratch, faults_of != nullptr).run();
  };
  run(tree::make(which.first, leaves::kernel));  // what a process keeps for good
  for (std::uint64_t seed = which.first; seed != which.first + which.count; ++seed) {
    const tree t = tree::make(seed, leaves::kernel);
    const running_tree named(t);
    const std::size_t blocks = blocks_in_use();
    const std::size_t descriptors = rondo_test::open_descriptors();
    run(t);
    const std::size_t kept = blocks_in_use();
    if (wrong.empty() && kept != blocks) {
      run(t);  // a loop may keep what it needed for the first time; then it needs no more
      if (wrong.empty() && blocks_in_use() != kept) wrong += "the heap has grown\n";
    }
    if (rondo_test::open_descriptors() != descriptors) wrong += "a descriptor is left\n";
    if (wrong.empty() && which.count != 1) continue;
    WARN(describe(t) << wrong);
    REQUIRE(wrong.empty());
  }
  CHECK(wrong.empty());
}

/// A fault of some kind for every few operations, all kinds over the seeds.
loop_options faults_for(std::uint64_t seed) {
  testing::faults f(seed);
  f.short_transfers(seed % 3 == 0 ? 40 : 5).late_completions(seed % 5 == 0 ? 60 : 10);
  f.full_queues(20).refused_calls(seed % 7 == 0 ? 40 : 5).errors(seed % 2 == 0 ? 3 : 0);
  if (seed % 11 == 0) f.small_completion_queue();
  loop_options few;
  few.entries = seed % 4 == 0 ? 2 : 16;
  return f.options(few);
}

}  // namespace

ON_BOTH_RINGS(
    "a random tree of combinators over pipes, sockets, files and timers keeps to the rules",
    { play_trees(seeds(10, 1), nullptr); })

// 100,000 in all, in parts that run side by side.
#define PLAY_TREES_WITH_FAULTS(part)                                                         \
  ON_BOTH_RINGS("a random tree keeps to the rules while faults are injected: part " #part, { \
    play_trees(seeds(10, part * std::uint64_t{1'000'000'000} + 1), &faults_for);             \
  })
PLAY_TREES_WITH_FAULTS(1)
PLAY_TREES_WITH_FAULTS(2)
PLAY_TREES_WITH_FAULTS(3)
PLAY_TREES_WITH_FAULTS(4)
PLAY_TREES_WITH_FAULTS(5)

}  // namespace rondo::test::random

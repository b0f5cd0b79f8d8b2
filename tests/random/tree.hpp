// SPDX-License-Identifier: BSL-1.0
#pragma once

// Random trees of tasks and combinators, each made from one number, and how something ended.
//
//     const tree t = tree::make(seed, leaves::gates);
//     std::puts(describe(t).c_str());
//
// A tree says what runs (`root`) and what happens to it meanwhile (`events`): gates are opened,
// time passes, the root or something spawned is canceled. It is plain data: by_hand.cpp runs it and
// compares with model.hpp, on_a_loop.cpp runs it with real descriptors.
//
//     RONDO_TEST_SEED=7     runs and shows just that tree, as each test makes it
//     RONDO_TEST_TREES=n    how many there are in all

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace rondo::test::random {

// How something ended.

enum class how : unsigned char { value, error, canceled };

/// Errors are told apart by their number: the id of the node that threw, or for a timeout
/// `timeouts` and its limit. Below zero: an operation_canceled; as an `error` it was not meant for
/// the line.
struct end {
  how ended = how::value;
  int number = 0;
  int origin = -1;            // the id of the node, where the number does not say it
  bool limit_passed = false;  // until it is taken a cancellation from further out beats it

  [[nodiscard]] bool is_value() const { return ended == how::value; }
  [[nodiscard]] bool is_cancellation() const { return !is_value() && number < 0; }
};
inline constexpr int timeouts = 1000;
inline constexpr int no_value = -777;  // what an empty optional counts as

inline std::string text(end e) {
  if (e.is_cancellation()) return "canceled";
  return (e.is_value() ? "=" : "!") + std::to_string(e.number);
}

/// Values of children, made one value.
inline int mix(int a, int b) {
  return static_cast<int>((static_cast<unsigned>(a) * 31 + static_cast<unsigned>(b)) & 0xffffff);
}
/// What a result counts as.
inline int code(end e) {
  if (e.is_cancellation()) return 3;
  return mix(e.is_value() ? 1 : 2, e.number);
}

// What runs.

enum class kind : unsigned char {
  // leaves
  value, fails, yields, sleeps, waits, waits_and_fails, swallows, spoils, cancels, transfers,
  // and what has children
  sequence, insists, all, settled, any, first, each, group, timeout, try_for, shield, finally,
  as_result, spawn,
};
inline constexpr const char* names[] = {
    "value",    "fails", "yields",  "sleeps", "waits", "waits_and_fails", "swallows", "spoils",
    "cancels",  "transfers",
    "sequence", "insists", "all",   "settled", "any",  "first", "each", "group", "timeout",
    "try_for",  "shield", "finally", "as_result", "spawn"};

/// How a combinator is given its children.
enum shape : int { range, arguments, lanes, mixed };  // mixed: an operation and a task

/// The body of a group: the last child, and then ...
enum body : int { returns, joins, awaits_first, cancels_group, cancels_first, bodies };

/// Whether a limit is moved by the body under it.
enum moving : int { moved = 1 };

/// What for_each_completed calls.
enum sink : int { plain_function, yielding, waiting, throwing, sinks };

struct node {
  int id = 0;
  kind what = kind::value;
  bool plain = false;  // awaited as it is, not wrapped in a task
  int variant = 0;     // shape, body, sink, ...
  int number = 0;      // a limit in hours, lanes, turns, the id of a target
  std::vector<node> children{};
};

/// The limit that counts, in hours: no two nodes have the same.
inline int limit_of(const node& n) {
  if (n.what != kind::timeout || n.variant != moved) return n.number;
  return 64 * 600 + (n.number == 0 ? 1 + n.id : n.number);
}

struct event {
  enum type : unsigned char { open, time, cancel_root, cancel } what;
  int target = 0;
  int after = 0;  // that many log entries since the last event; 0: when nobody can go on
};

/// What the leaves of a tree wait for: gates opened one by one, or the kernel.
enum class leaves : unsigned char { gates, kernel };

struct tree {
  std::uint64_t seed = 0;
  node root;
  std::vector<event> events;
  int size = 0;

  static tree make(std::uint64_t seed, leaves l);
};

class generator {
 public:
  generator(std::uint64_t seed, leaves l) : random_(seed), leaves_(l) {
    t_.seed = seed;
    budget_ = 3 + below(22);
  }

  tree make() {
    t_.root = some_node(4);
    t_.size = next_id_;
    make_events();
    return std::move(t_);
  }

 private:
  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  int below(std::size_t n) { return below(static_cast<int>(n)); }
  int some_target() { return targets_[static_cast<std::size_t>(below(targets_.size()))]; }
  bool one_in(int n) { return below(n) == 0; }

  node fresh(kind what) {
    node n;
    n.id = next_id_++;
    n.what = what;
    return n;
  }
  /// Different for each node, so it is known who is due first.
  int hours(const node& n) { return 1 + n.id + 64 * below(500); }

  node some_node(int depth) {
    if (depth <= 0 || next_id_ >= budget_ || (depth < 4 && one_in(4))) return leaf();
    static constexpr kind inner[] = {
        kind::sequence, kind::insists, kind::all,     kind::all,    kind::settled, kind::any,
        kind::any,      kind::first,   kind::each,    kind::group,  kind::group,   kind::timeout,
        kind::timeout,  kind::try_for, kind::shield,  kind::finally, kind::as_result, kind::spawn};
    node n = fresh(inner[below(std::size(inner))]);
    switch (n.what) {
      case kind::all:
      case kind::settled:
      case kind::any:
      case kind::first:
        combinator(n, depth);
        break;
      case kind::each:
        n.variant = below(sinks);
        n.number = below(4);  // at most that many at once; 0: all
        add(n, below(4), depth);
        break;
      case kind::group:
        n.variant = below(bodies);
        add(n, 1 + below(3), depth);
        break;
      case kind::timeout:
      case kind::try_for:
      case kind::shield:
      case kind::as_result:
        n.number = one_in(6) ? 0 : hours(n);
        if (one_in(3)) {
          n.children.push_back(plain(kind::waits));
        } else if (one_in(4)) {
          node both = plain(one_in(2) ? kind::any : kind::all);
          both.variant = mixed;
          both.children.push_back(plain(kind::waits));
          add(both, 1, depth - 1);
          n.children.push_back(std::move(both));
        } else {
          n.variant = n.what == kind::timeout && one_in(2) ? moved : 0;
          add(n, 1, depth);
        }
        break;
      default:
        n.variant = below(2);
        add(n, n.what == kind::sequence ? 1 + below(3) : 2, depth);
    }
    if (n.what == kind::spawn) targets_.push_back(n.id);
    return n;
  }

  void combinator(node& n, int depth) {
    n.variant = below(4);
    if (n.variant == lanes && n.what != kind::all && n.what != kind::settled) n.variant = range;
    if (n.variant == mixed) {
      static constexpr kind operations[] = {kind::waits,   kind::yields,  kind::sleeps,
                                            kind::timeout, kind::try_for, kind::shield};
      node op = plain(operations[below(std::size(operations))]);
      if (op.what == kind::timeout || op.what == kind::try_for || op.what == kind::shield) {
        op.children.push_back(plain(kind::waits));
      }
      const bool op_is_second = op.what == kind::sleeps || op.what == kind::shield;
      n.children.push_back(std::move(op));
      add(n, 1, depth);
      if (op_is_second) std::swap(n.children[0], n.children[1]);
      return;
    }
    n.number = 1 + below(3);
    const bool may_be_empty = n.variant == range || n.variant == lanes;
    const int least = n.variant == arguments ? 2 : may_be_empty && one_in(20) ? 0 : 1;
    add(n, std::max(least, n.variant == arguments ? 2 + below(2) : least == 0 ? 0 : 1 + below(4)),
        depth);
  }

  void add(node& n, int count, int depth) {
    for (int i = 0; i < count; ++i) n.children.push_back(some_node(depth - 1));
  }

  node plain(kind what) {
    node n = fresh(what);
    n.plain = true;
    n.number = one_in(6) ? 0 : hours(n);
    return n;
  }

  node leaf() {
    static constexpr kind by_hand[] = {kind::value,    kind::fails,  kind::yields, kind::sleeps,
                                       kind::waits,    kind::waits,  kind::waits,
                                       kind::waits_and_fails, kind::swallows, kind::spoils,
                                       kind::cancels};
    node n = fresh(by_hand[below(std::size(by_hand))]);
    if (leaves_ == leaves::kernel && one_in(4)) n.what = kind::transfers;
    n.number = 1 + below(3);
    if (n.what == kind::sleeps) n.number = one_in(8) ? 0 : hours(n);
    if (n.what == kind::cancels) n.number = targets_.empty() ? -1 : some_target();
    if (n.what == kind::transfers) n.variant = below(3);
    return n;
  }

  void make_events() {
    const auto when = [this] { return one_in(2) ? 0 : 1 + below(6); };
    for (int i = below(t_.size + 4); i > 0; --i) {
      const int dice = below(16);
      if (dice == 0) {
        t_.events.push_back({event::cancel_root, 0, when()});
      } else if (dice < 3 && !targets_.empty()) {
        t_.events.push_back({event::cancel, some_target(), when()});
      } else if (dice < 6) {
        t_.events.push_back({event::time, 0, 0});
      } else {
        t_.events.push_back({event::open, below(t_.size), when()});
      }
    }
    std::vector<event> rest;  // so that every tree comes to its end
    for (int id = 0; id < t_.size; ++id) rest.push_back({event::open, id, 0});
    for (std::size_t i = rest.size(); i > 1; --i) {
      std::swap(rest[i - 1], rest[static_cast<std::size_t>(below(i))]);
    }
    t_.events.insert(t_.events.end(), rest.begin(), rest.end());
  }

  std::mt19937_64 random_;
  leaves leaves_;
  tree t_;
  std::vector<int> targets_;
  int budget_ = 0;
  int next_id_ = 0;
};

inline tree tree::make(std::uint64_t seed, leaves l) { return generator(seed, l).make(); }

// For the one who looks at a failure.

inline void describe(const node& n, std::size_t depth, std::string& out) {
  out += std::string(2 * depth, ' ') + std::to_string(n.id) + " " +
         names[static_cast<std::size_t>(n.what)];
  out += " variant " + std::to_string(n.variant) + " number " + std::to_string(n.number);
  out += n.plain ? " (operation)\n" : "\n";
  for (const node& child : n.children) describe(child, depth + 1, out);
}
inline std::string describe(const tree& t) {
  std::string out = "RONDO_TEST_SEED=" + std::to_string(t.seed) + "\n";
  describe(t.root, 1, out);
  out += "  events:";
  for (const event& e : t.events) {
    static constexpr const char* what[] = {"open", "time", "cancel root", "cancel"};
    out += std::string(" ") + what[e.what];
    if (e.what == event::open || e.what == event::cancel) out += " " + std::to_string(e.target);
    out += e.after != 0 ? " after " + std::to_string(e.after) + ";" : ";";
  }
  return out + "\n";
}

/// A number from the environment, or the default.
inline std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* const given = std::getenv(name);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

/// Which trees to run: the one of RONDO_TEST_SEED, or `share` of RONDO_TEST_TREES (of 100,000).
struct seeds {
  std::uint64_t first = 1;
  std::uint64_t count = 0;

  seeds(std::uint64_t share_in_percent, std::uint64_t offset) {
    std::uint64_t trees = 100'000;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    trees = 10'000;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    trees = 10'000;
#endif
#endif
    const std::uint64_t one = setting("RONDO_TEST_SEED", 0);
    count = setting("RONDO_TEST_TREES", trees) * share_in_percent / 100;
    first = offset;
    if (one != 0) {
      first = one;
      count = 1;
    }
  }
};

/// When the events of a tree happen. Whoever runs it tells about each log entry, and asks at rest.
template <typename World>
class director {
 public:
  director(const tree& t, World& world) : events_(t.events), world_(world) {}

  void logged() {
    if (next_ == events_.size() || events_[next_].after == 0) return;
    if (++entries_ >= events_[next_].after) happen();
  }
  /// Nobody can go on. False: nothing will happen any more.
  bool at_rest() {
    if (next_ != events_.size()) {
      happen();
      return true;
    }
    return world_.pass_time();
  }

 private:
  void happen() {
    const event& e = events_[next_++];
    entries_ = 0;
    switch (e.what) {
      case event::open: return world_.open(e.target);
      case event::time: return static_cast<void>(world_.pass_time());
      case event::cancel_root: return world_.cancel_root();
      case event::cancel: return world_.cancel_spawned(e.target);
    }
  }

  const std::vector<event>& events_;
  World& world_;
  std::size_t next_ = 0;
  int entries_ = 0;
};

/// What came of a tree.
struct story {
  std::string log;
  std::vector<std::string> reports;  // of errors that nobody awaits
};

}  // namespace rondo::test::random

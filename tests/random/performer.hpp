// SPDX-License-Identifier: BSL-1.0
#pragma once

// Runs a tree with the library: a coroutine for each node, which awaits a combinator over the tasks
// of its children, or over an operation and a task.
//
// World is where that happens:
//     auto gate(int id);                                 // the operation that a leaf waits for
//     void received(int id);                             // what it gave has arrived
//     std::chrono::nanoseconds duration(int number);     // of a sleep or a limit
//     task<int> transfer(const node&);
//     void started(const node&);  void ended(const node&, end, bool canceled);
//     void noted(const node&, int index);                // for_each_completed calls
//     void cancel_spawned(int id);
//     std::map<int, std::function<void()>> handles;      // how to cancel what was spawned
//     int number_of(const timeout_error&);

#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <rondo/rondo.hpp>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "random/tree.hpp"
#include "support/heap.hpp"

namespace rondo::test::random {

struct oops : std::exception {
  explicit oops(int n) noexcept : number(n) {}
  int number;
};
inline constexpr int nobody_takes_part = 999;
inline constexpr int unknown_error = 998;

/// Those on the heap that are neither free nor kept for coroutine frames to come.
inline std::size_t blocks_in_use() {
  if (!rondo_test::heap_is_counted()) return 0;
  std::size_t kept = 0;
  for (const auto* list : detail::frames.free) {
    for (; list != nullptr; list = list->next) ++kept;
  }
  return rondo_test::live_blocks() - kept;
}

template <typename World>
class performer {
 public:
  explicit performer(World& world) : w(world) {}

  task<int> run(const node& n) {
    w.started(n);
    std::exception_ptr error;
    int value = 0;
    try {
      value = co_await perform(n);
    } catch (...) {
      error = std::current_exception();
    }
    const bool canceled = co_await cancellation_requested();
    w.ended(n, error ? end_of(error, canceled) : end{how::value, value}, canceled);
    const bool now_canceled = co_await cancellation_requested();
    if (now_canceled && !canceled) w.canceled_since(n);
    if (error) std::rethrow_exception(error);
    co_return value;
  }

  end end_of(const std::exception_ptr& error, bool canceled) {
    try {
      std::rethrow_exception(error);
    } catch (const operation_canceled&) {
      return {canceled ? how::canceled : how::error, -1};
    } catch (const oops& e) {
      return {how::error, e.number};
    } catch (const timeout_error& e) {
      return {how::error, w.number_of(e)};
    } catch (const std::invalid_argument&) {
      return {how::error, nobody_takes_part};
    } catch (...) {
      return {how::error, unknown_error};
    }
  }

 private:
  task<int> perform(const node& n) {
    switch (n.what) {
      case kind::value:
      case kind::fails:
      case kind::cancels:
        return at_once(n);
      case kind::yields:
        return yields(n);
      case kind::sleeps:
        return sleeps(n);
      case kind::waits:
      case kind::waits_and_fails:
        return waits(n);
      case kind::swallows:
      case kind::spoils:
        return answers_a_cancellation(n);
      case kind::transfers:
        return w.transfer(n);
      case kind::sequence:
        return sequence(n);
      case kind::insists:
        return insists(n);
      case kind::all:
        return combinator<kind::all>(n);
      case kind::settled:
        return combinator<kind::settled>(n);
      case kind::any:
        return combinator<kind::any>(n);
      case kind::first:
        return combinator<kind::first>(n);
      case kind::each:
        return each(n);
      case kind::group:
        return group(n);
      case kind::timeout:
      case kind::try_for:
      case kind::shield:
      case kind::as_result:
        return around_child(n, n.children[0]);
      case kind::finally:
        return finally_(n);
      case kind::spawn:
        return spawns(n);
    }
    std::abort();
  }

  // Leaves.

  task<int> at_once(const node& n) {
    if (n.what == kind::fails) throw oops(n.id);
    if (n.what == kind::cancels) w.cancel_spawned(n.number);
    co_return n.number;
  }
  task<int> yields(const node& n) {
    for (int i = 0; i < n.number; ++i) co_await yield();
    co_return n.number;
  }
  task<int> sleeps(const node& n) {
    co_await sleep_for(w.duration(n.number));
    co_return n.number;
  }
  task<int> waits(const node& n) {
    const int value = as_int(co_await w.gate(n.id));
    w.received(n.id);
    if (n.what == kind::waits_and_fails) throw oops(n.id);
    co_return value;
  }
  task<int> answers_a_cancellation(const node& n) {
    int value = n.number;
    try {
      value = as_int(co_await w.gate(n.id));
      w.received(n.id);
    } catch (const operation_canceled&) {
      if (n.what == kind::spoils) throw oops(n.id);
    }
    co_return value;
  }

  // One after the other.

  task<int> sequence(const node& n) {
    int value = 0;
    for (const node& child : n.children) value = mix(value, co_await run(child));
    co_return value;
  }
  /// Goes on after a cancellation.
  task<int> insists(const node& n) {
    int value = 0;
    try {
      value = co_await run(n.children[0]);
    } catch (const operation_canceled&) {
    }
    co_return mix(value, co_await run(n.children[1]));
  }
  task<int> finally_(const node& n) {
    if (n.variant == 0) {
      co_return co_await rondo::finally(run(n.children[0]), run(n.children[1]));
    }
    const auto clean = [this](const node* c) { return run(*c); };
    co_return co_await rondo::finally(run(n.children[0]), clean, &n.children[1]);
  }

  // Around one child, which is a task, an operation or a combinator.

  task<int> around_child(const node& n, const node& c) {
    if (!c.plain && n.what == kind::timeout && n.variant == moved) return moves_its_limit(n);
    if (!c.plain) return around(n, run(c));
    if (c.what == kind::any) {
      return around(n, when_any(w.gate(c.children[0].id), run(c.children[1])));
    }
    if (c.what == kind::all) {
      return around(n, when_all(w.gate(c.children[0].id), run(c.children[1])));
    }
    return around(n, w.gate(c.id));
  }
  task<int> moves_its_limit(const node& n) {
    const auto body = [this](timeout_scope& t, const node* which) -> task<int> {
      t.reschedule(std::chrono::steady_clock::now() + w.duration(limit_of(*which)));
      co_return co_await run(which->children[0]);
    };
    co_return co_await with_timeout(w.duration(n.number), body, &n);
  }

  template <typename A>
  task<int> around(const node& n, A child) {
    switch (n.what) {
      case kind::timeout: {
        auto value = co_await with_timeout(w.duration(n.number), std::move(child));
        co_return as_int(value);
      }
      case kind::try_for: {
        auto value = co_await try_for(w.duration(n.number), std::move(child));
        co_return as_int(value);
      }
      case kind::shield: {
        auto value = co_await rondo::shield(std::move(child));
        co_return as_int(value);
      }
      default: {
        auto r = co_await rondo::as_result(std::move(child));
        co_return code(end_of_result(r));
      }
    }
  }

  // Several at once.

  std::vector<task<int>> tasks(const node& n) {
    std::vector<task<int>> all;
    for (const node& child : n.children) all.push_back(run(child));
    return all;
  }

  template <kind K>
  task<int> combinator(const node& n) {
    const auto& c = n.children;
    switch (n.variant) {
      case arguments:
        if (c.size() == 2) return over_arguments<K>(run(c[0]), run(c[1]));
        return over_arguments<K>(run(c[0]), run(c[1]), run(c[2]));
      case mixed:
        if (c[1].what == kind::sleeps && c[1].plain) {
          return over_arguments<K>(run(c[0]), sleep_for(w.duration(c[1].number)));
        }
        if (c[1].plain) {
          return over_arguments<K>(run(c[0]), rondo::shield(w.gate(c[1].children[0].id)));
        }
        if (c[0].what == kind::waits) return over_arguments<K>(w.gate(c[0].id), run(c[1]));
        if (c[0].what == kind::yields) return over_arguments<K>(yield(), run(c[1]));
        if (c[0].what == kind::timeout) {
          return over_arguments<K>(
              with_timeout(w.duration(c[0].number), w.gate(c[0].children[0].id)), run(c[1]));
        }
        return over_arguments<K>(try_for(w.duration(c[0].number), w.gate(c[0].children[0].id)),
                                 run(c[1]));
      default:
        return over_a_range<K>(n);
    }
  }

  template <kind K, typename... A>
  task<int> over_arguments(A... each) {
    const auto as_number = [](auto& v) { return as_int(v); };
    int value = 0;
    if constexpr (K == kind::all) {
      auto all = co_await when_all(std::move(each)...);
      std::apply([&](auto&... v) { ((value = mix(value, as_int(v))), ...); }, all);
    } else if constexpr (K == kind::settled) {
      auto all = co_await when_all_settled(std::move(each)...);
      std::apply([&](auto&... r) { ((value = mix(value, code(end_of_result(r)))), ...); }, all);
    } else if constexpr (K == kind::any) {
      auto one = co_await when_any(std::move(each)...);
      value = mix(static_cast<int>(one.index()), std::visit(as_number, one));
    } else {
      auto one = co_await first_success(std::move(each)...);
      value = mix(static_cast<int>(one.index()), std::visit(as_number, one));
    }
    co_return value;
  }

  template <kind K>
  task<int> over_a_range(const node& n) {
    int value = 0;
    auto children = tasks(n);
    const max_concurrency limit{static_cast<std::size_t>(n.number)};
    if constexpr (K == kind::all) {
      std::vector<int> all;
      if (n.variant == lanes) {
        all = co_await when_all(std::move(children), limit);
      } else {
        all = co_await when_all(std::move(children));
      }
      for (const int v : all) value = mix(value, v);
    } else if constexpr (K == kind::settled) {
      std::vector<result<int>> all;
      if (n.variant == lanes) {
        all = co_await when_all_settled(std::move(children), limit);
      } else {
        all = co_await when_all_settled(std::move(children));
      }
      for (auto& r : all) value = mix(value, code(end_of_result(r)));
    } else if constexpr (K == kind::any) {
      auto one = co_await when_any(std::move(children));
      value = mix(static_cast<int>(one.index), one.value);
    } else {
      auto one = co_await first_success(std::move(children));
      value = mix(static_cast<int>(one.index), one.value);
    }
    co_return value;
  }

  task<int> each(const node& n) {
    int value = 0;
    int calls = 0;
    const auto see = [&](completed<int>& c) {
      w.noted(n, static_cast<int>(c.index));
      value = mix(value, mix(static_cast<int>(c.index), code(end_of_result(c.result))));
      if (n.variant == throwing && ++calls == 2) throw oops(n.id);
    };
    const auto see_in_a_task = [&](completed<int>& c) -> task<> {
      see(c);
      if (n.variant == yielding) {
        co_await yield();
      } else {
        co_await w.gate(n.id);
        w.received(n.id);
      }
    };
    const max_concurrency limit{static_cast<std::size_t>(n.number)};
    if (n.variant == yielding || n.variant == waiting) {
      if (n.number == 0) {
        co_await for_each_completed(tasks(n), see_in_a_task);
      } else {
        co_await for_each_completed(tasks(n), see_in_a_task, limit);
      }
    } else if (n.number == 0) {
      co_await for_each_completed(tasks(n), see);
    } else {
      co_await for_each_completed(tasks(n), see, limit);
    }
    co_return value;
  }

  task<int> group(const node& n) {
    const auto body = [this, &n](task_group& g) -> task<int> {
      child<int> first;
      for (std::size_t i = 0; i + 1 < n.children.size(); ++i) {
        child<int> c = g.spawn(run(n.children[i]));
        if (i == 0) first = std::move(c);
      }
      int value = 0;
      if (n.variant == cancels_first) first.cancel();
      value = co_await run(n.children.back());
      if (n.variant == joins) co_await g.join();
      if (n.variant == awaits_first && n.children.size() > 1) {
        const int& given = co_await first;
        value = mix(value, given);
      }
      if (n.variant == cancels_group) g.cancel();
      co_return value;
    };
    co_return co_await with_task_group(body);
  }

  struct known {
    known(World& world, int i, std::function<void()> cancel) : w(world), id(i) {
      w.handles[id] = std::move(cancel);
    }
    known(const known&) = delete;
    known& operator=(const known&) = delete;
    ~known() { w.handles.erase(id); }
    World& w;
    int id;
  };

  task<int> spawns(const node& n) {
    join_handle<int> handle = rondo::spawn(run(n.children[0]));
    const known here(w, n.id, [&handle] { handle.cancel(); });
    int value = co_await run(n.children[1]);
    if (n.variant == 1) handle.cancel();
    const int joined = co_await handle;
    co_return mix(value, joined);
  }

  // What things give.

  static int as_int(std::monostate) { return 0; }
  static int as_int(int value) { return value; }
  static int as_int(std::size_t value) { return static_cast<int>(value); }
  static int as_int(bool value) { return value; }
  template <typename A, typename B>
  static int as_int(const std::tuple<A, B>& both) {
    return mix(mix(0, as_int(std::get<0>(both))), as_int(std::get<1>(both)));
  }
  template <typename A, typename B>
  static int as_int(const std::variant<A, B>& one) {
    const auto as_number = [](const auto& v) { return as_int(v); };
    return mix(static_cast<int>(one.index()), std::visit(as_number, one));
  }
  template <typename T>
  static int as_int(const std::optional<T>& value) {
    return value ? as_int(*value) : no_value;
  }
  template <typename T>
  end end_of_result(result<T>& r) {
    if (!r) return end_of(r.exception(), true);
    if constexpr (std::is_void_v<T>) {
      return {how::value, 0};
    } else {
      return {how::value, as_int(*r)};
    }
  }

  World& w;
};

}  // namespace rondo::test::random

// SPDX-License-Identifier: BSL-1.0
#pragma once

// What must come of a tree: the rules of api.md in a few plain functions, without rondo.
//
// A *line* is canceled as a whole, and is suspended on at most one thing, its leaf. A node is a
// task, a small coroutine that notes when it starts and ends, or an operation. Both are started
// with a `waiter`, and give their end at once or tell the waiter later: a coroutine in a turn of
// its own, a combinator at the moment of the end. Turns are first come, first served.

#include <coroutine>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "random/tree.hpp"

namespace rondo::test::random {

class model {
 public:
  explicit model(const tree& t)
      : tree_(t), gates_(static_cast<std::size_t>(t.size)), director_(t, *this) {}

  story run() {
    if (start(tree_.root, root_, {[this](end) { done_ = true; }, false})) done_ = true;
    for (;;) {
      while (!turns_.empty()) {
        const auto turn = std::move(turns_.front());
        turns_.pop_front();
        turn();
      }
      if (!director_.at_rest()) break;
    }
    for (const auto& s : spawned_) {
      if (s->ended && !s->taken && s->ended->ended == how::error) report("spawned", *s->ended);
    }
    if (!done_) story_.log += "the root has not ended";
    return std::move(story_);
  }

  // For the director.

  void open(int id) {
    gate& g = gates_[static_cast<std::size_t>(id)];
    g.open = true;
    if (g.waiting) std::exchange(g.waiting, nullptr)();
  }
  bool pass_time() {
    if (timers_.empty()) return false;
    const auto due = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    due();
    return true;
  }
  void cancel_root() { cancel(root_); }
  void cancel_spawned(int id) {
    const auto found = handles_.find(id);
    if (found != handles_.end()) cancel(*found->second);
  }

 private:
  using action = std::function<void()>;

  struct line {
    bool canceled = false;
    action leaf{};  // what a cancellation asks
  };
  struct waiter {
    std::function<void(end)> tell;
    bool coroutine = true;
  };
  struct gate {
    bool open = false;
    action waiting{};
  };
  struct spawned {
    line own{};
    bool leaving = false;  // has ended, and in its next turn lets go of what it holds
    std::optional<end> ended{};
    bool taken = false;
    std::map<int, action> waiting{};  // those who wait for the end, in their order
  };

  // Turns and cancellations.

  void later(const waiter& w, end e) {
    turns_.push_back([tell = w.tell, e] { tell(e); });
  }
  void complete(const waiter& w, end e) {
    if (w.coroutine) return later(w, e);
    const auto tell = w.tell;
    tell(e);
  }
  /// Tasks that have ended are gone, and count as that, in a turn for all who wait for it.
  void leave(action gone) {
    leaving_.push_back(std::move(gone));
    if (std::exchange(leave_queued_, true)) return;
    turns_.push_back([this] {
      leave_queued_ = false;
      while (!leaving_.empty()) {
        const auto one = std::move(leaving_.front());
        leaving_.pop_front();
        one();
      }
    });
  }
  /// Whether a child of a combinator does so: a task, or what is around one.
  static bool leaves(const node& n) {
    if (!n.plain) return true;
    const bool around = n.what == kind::timeout || n.what == kind::try_for ||
                        n.what == kind::shield || n.what == kind::as_result;
    return around && leaves(n.children[0]);
  }
  /// Outer lines first: each in its turn, when there are several.
  void cancel(line& l) {
    if (std::exchange(l.canceled, true) || !l.leaf) return;
    to_cancel_.push_back(&l);
    if (to_cancel_.size() > 1) return;
    while (!to_cancel_.empty()) {
      if (const auto leaf = to_cancel_.front()->leaf) leaf();
      to_cancel_.pop_front();
    }
  }
  void cancel(spawned& s) {
    if (!s.leaving) cancel(s.own);
  }
  end canceled() { return {how::canceled, --cancellations_}; }
  /// A cancellation counts as one only in a line that was canceled.
  static end in(const line& l, end e) {
    if (e.is_cancellation()) e.ended = l.canceled ? how::canceled : how::error;
    e.limit_passed = false;
    return e;
  }

  void log(const std::string& entry) {
    story_.log += entry + " ";
    director_.logged();
  }
  void report(const std::string& what, end e) { story_.reports.push_back(what + " " + text(e)); }

  // Tasks.

  struct co {
    struct promise_type {
      waiter told;
      end result;
      co get_return_object() { return {handle::from_promise(*this)}; }
      std::suspend_always initial_suspend() noexcept { return {}; }
      auto final_suspend() noexcept {
        struct tells {
          bool await_ready() noexcept { return false; }
          void await_suspend(handle h) noexcept {
            if (!h.promise().told.tell) return;  // whoever started it looks for itself
            const auto tell = std::move(h.promise().told.tell);
            const end e = h.promise().result;
            h.destroy();
            tell(e);
          }
          void await_resume() noexcept {}
        };
        return tells{};
      }
      void return_value(end e) { result = e; }
      void unhandled_exception() { std::terminate(); }
    };
    using handle = std::coroutine_handle<promise_type>;
    handle coroutine;
  };

  std::optional<end> start(co c, waiter w) {
    c.coroutine.resume();
    if (!c.coroutine.done()) {
      c.coroutine.promise().told = std::move(w);
      return std::nullopt;
    }
    const end e = c.coroutine.promise().result;
    c.coroutine.destroy();
    return e;
  }

  /// `const end e = co_await until(start)`, where start takes a waiter.
  template <typename Start>
  struct until {
    explicit until(Start s) : start(std::move(s)) {}
    Start start;
    end e{};
    bool await_ready() { return false; }
    bool await_suspend(std::coroutine_handle<> h) {
      const auto now = start(waiter{[this, h](end x) {
                                      e = x;
                                      h.resume();
                                    },
                                    true});
      if (now) e = *now;
      return !now;
    }
    end await_resume() { return e; }
  };

  std::optional<end> start(const node& n, line& l, waiter w) {
    if (n.plain) return operation(n, l, std::move(w));
    return start(task(n, l), std::move(w));
  }

  co task(const node& n, line& l) {
    log("+" + std::to_string(n.id));
    const auto perform = [&](waiter w) { return start(body_of(n, l), std::move(w)); };
    const end e = in(l, co_await until(perform));
    log("-" + std::to_string(n.id) + text(e));
    co_return e;
  }

  co body_of(const node& n, line& l) {
    const auto op = [&](waiter w) { return operation(n, l, std::move(w)); };
    end e{how::value, n.number};
    switch (n.what) {
      case kind::value:
        break;
      case kind::fails:
        e = {how::error, n.id};
        break;
      case kind::cancels:
        cancel_spawned(n.number);
        break;
      case kind::yields:
        for (int i = 0; i < n.number && e.is_value(); ++i) {
          e = co_await until(op);
          if (l.canceled) e = canceled();
          if (e.is_value()) e.number = n.number;
        }
        break;
      case kind::sleeps:
        e = co_await until(op);
        if (e.is_value()) e.number = n.number;
        break;
      case kind::waits_and_fails:
        e = co_await until(op);
        if (e.is_value()) e = {how::error, n.id};
        break;
      case kind::swallows:
      case kind::spoils:
        e = co_await until(op);
        if (!e.is_value() && n.what == kind::swallows) e = {how::value, n.number};
        if (!e.is_value() && n.what == kind::spoils) e = {how::error, n.id};
        break;
      case kind::sequence:
      case kind::insists:
        e.number = 0;
        for (std::size_t i = 0; i < n.children.size() && e.is_value(); ++i) {
          const auto child = [&](waiter w) { return start(n.children[i], l, std::move(w)); };
          end next = co_await until(child);
          const bool may_be_canceled = n.what == kind::insists && i == 0;
          if (may_be_canceled && next.is_cancellation()) next = {how::value, 0};
          if (next.is_value() && !may_be_canceled) next.number = mix(e.number, next.number);
          e = next;
        }
        break;
      case kind::finally: {
        const auto work = [&](waiter w) { return start(n.children[0], l, std::move(w)); };
        e = co_await until(work);
        const end judged = in(l, e);  // as things stand before the cleanup
        const auto clean = [&](waiter w) { return shield(n.children[1], l, std::move(w)); };
        const end after = co_await until(clean);
        if (after.is_value()) break;
        if (judged.ended == how::error) {
          report("suppressed", after);
        } else {
          e = after;
        }
        break;
      }
      case kind::each: {
        const auto all = [&](waiter w) { return start(each(n, l), std::move(w)); };
        e = co_await until(all);
        break;
      }
      case kind::spawn: {
        const auto both = [&](waiter w) { return start(spawns(n, l), std::move(w)); };
        e = co_await until(both);
        break;
      }
      case kind::timeout:
      case kind::try_for:
        e = co_await until(op);
        // A cancellation from further out that came meanwhile beats the limit.
        if (e.limit_passed && l.canceled) e = canceled();
        break;
      default:
        e = co_await until(op);
    }
    co_return e;
  }

  // Operations.

  std::optional<end> operation(const node& n, line& l, waiter w) {
    switch (n.what) {
      case kind::yields:
        turns_.push_back([this, &l, tell = w.tell] {
          tell(l.canceled ? canceled() : end{how::value, 0});
        });
        return std::nullopt;
      case kind::sleeps:
        return sleep(n, l, std::move(w));
      case kind::timeout:
      case kind::try_for:
        return limited(n, l, std::move(w));
      case kind::shield:
        return shield(n.children[0], l, std::move(w));
      case kind::as_result: {
        const auto tell = [told = w.tell](end e) { told({how::value, code(e)}); };
        const auto now = start(n.children[0], l, {tell, w.coroutine});
        if (!now) return now;
        return end{how::value, code(*now)};
      }
      case kind::all:
      case kind::settled:
        if (n.variant == lanes) return in_lanes(n, l, std::move(w));
        return family(n, l, std::move(w));
      case kind::any:
      case kind::first:
        return family(n, l, std::move(w));
      case kind::group:
        return group(n, l, std::move(w));
      default:
        return wait_for_gate(n.id, l, std::move(w));
    }
  }

  /// Suspends the line on something that a cancellation takes back.
  void suspend(line& l, const waiter& w, action take_back) {
    l.leaf = [this, &l, w, take_back = std::move(take_back)] {
      take_back();
      l.leaf = nullptr;
      later(w, canceled());
    };
  }

  std::optional<end> wait_for_gate(int id, line& l, waiter w) {
    gate& g = gates_[static_cast<std::size_t>(id)];
    if (l.canceled) return later(w, canceled()), std::nullopt;
    if (g.open) return end{how::value, id};
    suspend(l, w, [&g] { g.waiting = nullptr; });
    g.waiting = [this, &l, w, id] {
      l.leaf = nullptr;
      complete(w, {how::value, id});
    };
    return std::nullopt;
  }

  std::optional<end> sleep(const node& n, line& l, waiter w) {
    if (l.canceled) return later(w, canceled()), std::nullopt;
    if (n.number == 0) return later(w, {how::value, 0}), std::nullopt;
    suspend(l, w, [this, &n] { timers_.erase(n.number); });
    timers_[n.number] = [this, &l, w] {
      l.leaf = nullptr;
      complete(w, {how::value, 0});
    };
    return std::nullopt;
  }

  std::optional<end> limited(const node& n, line& l, waiter w) {
    struct limit {
      line inner;
      bool passed = false;
    };
    const auto s = std::make_shared<limit>();
    s->inner.canceled = l.canceled;
    const int hours = limit_of(n);
    const auto end_now = [this, s, &n, &l, hours](end e) {
      l.leaf = nullptr;
      timers_.erase(hours);
      if (!s->passed || l.canceled || in(s->inner, e).ended != how::canceled) return e;
      if (n.what == kind::try_for) return end{how::value, no_value, n.id, true};
      return end{how::error, timeouts + hours, n.id, true};
    };
    l.leaf = [this, s] { cancel(s->inner); };
    const auto now = start(n.children[0], s->inner,
                           {[this, w, end_now](end e) { complete(w, end_now(e)); }, false});
    if (now) return end_now(*now);
    const auto due = [this, s] {
      s->passed = true;
      cancel(s->inner);
    };
    if (hours == 0) {
      due();
    } else {
      timers_[hours] = due;
    }
    return std::nullopt;
  }

  std::optional<end> shield(const node& child, line& l, waiter w) {
    const auto inner = std::make_shared<line>();
    l.leaf = [] {};
    const auto now = start(child, *inner, {[this, w, inner, &l](end e) {
                                             l.leaf = nullptr;
                                             complete(w, e);
                                           },
                                           false});
    if (now) l.leaf = nullptr;
    return now;
  }

  // Children that run at once.

  struct member {
    const node* what = nullptr;
    line own{};
    bool started = false;
    std::optional<end> ended{};
    std::size_t index = 0;
    [[nodiscard]] bool runs() const { return started && !ended; }
  };
  struct team {
    line& parent;
    waiter told;
    std::vector<member> members{};
    std::size_t pending = 1;
    const member* decisive = nullptr;
    bool decided = false;

    // For lanes.
    const node* of = nullptr;
    std::size_t pulled = 0;
    std::vector<end> kept{};
    std::optional<end> failure{};
  };
  using team_ptr = std::shared_ptr<team>;

  void cancel(team& t) {
    for (member& m : t.members) {
      if (m.runs()) cancel(m.own);
    }
  }

  std::optional<end> family(const node& n, line& l, waiter w) {
    const bool race = n.what == kind::any || n.what == kind::first;
    if (race && n.children.empty()) return end{how::error, 999, n.id};
    const auto t = std::make_shared<team>(team{l, std::move(w)});
    for (const node& child : n.children) t->members.push_back({&child});
    l.leaf = [this, t] { cancel(*t); };
    for (member& m : t->members) {
      if (t->decided) break;
      m.started = true;
      m.own.canceled = l.canceled;
      ++t->pending;
      const auto ended = [this, t, &n, &m](end e) {
        member_ended(n, *t, m, e);
        const auto gone = [this, t, &n] {
          if (--t->pending != 0) return;
          t->parent.leaf = nullptr;
          complete(t->told, sum_up(n, *t));
        };
        leaves(*m.what) ? leave(gone) : gone();
      };
      const auto now = start(*m.what, m.own, {ended, false});
      if (!now) continue;
      --t->pending;
      member_ended(n, *t, m, *now);
    }
    if (--t->pending != 0) return std::nullopt;
    l.leaf = nullptr;
    return sum_up(n, *t);
  }

  void member_ended(const node& n, team& t, member& m, end e) {
    e = in(m.own, e);
    m.ended = e;
    if (n.what == kind::settled) return;
    const bool failed = e.ended == how::error;
    const bool gave_up = t.decisive && t.decisive->ended->ended == how::canceled;
    if (n.what == kind::all) {  // the first error, or without one the first cancellation
      if (e.is_value()) return;
      if (!t.decisive || (gave_up && failed)) t.decisive = &m;
    } else if (t.decided) {
      return;
    } else if (n.what == kind::any) {
      t.decisive = &m;
      if (e.ended == how::canceled) return;
    } else {  // the last error, unless somebody was canceled
      if (!failed || !gave_up) t.decisive = &m;
      if (!e.is_value()) return;
    }
    if (!std::exchange(t.decided, true)) cancel(t);
  }

  end sum_up(const node& n, team& t) {
    for (const member& m : t.members) {
      const bool lost = m.ended && m.ended->ended == how::error && &m != t.decisive;
      if (lost && n.what != kind::settled) report("suppressed", *m.ended);
    }
    if (n.what == kind::all || n.what == kind::settled) {
      if (t.decisive) return *t.decisive->ended;
      end sum;
      for (const member& m : t.members) {
        sum.number = mix(sum.number, n.what == kind::all ? m.ended->number : code(*m.ended));
      }
      return sum;
    }
    end e = *t.decisive->ended;
    if (e.is_value()) e.number = mix(static_cast<int>(t.decisive - t.members.data()), e.number);
    return e;
  }

  std::optional<end> in_lanes(const node& n, line& l, waiter w) {
    const auto t = std::make_shared<team>(team{l, std::move(w)});
    t->of = &n;
    t->kept.resize(n.children.size());
    t->members.resize(std::min(n.children.size(), static_cast<std::size_t>(n.number)));
    l.leaf = [this, t] { cancel(*t); };
    for (member& lane : t->members) {
      ++t->pending;
      go_on(t, lane);
    }
    if (--t->pending != 0) return std::nullopt;
    l.leaf = nullptr;
    return lanes_end(*t);
  }
  /// Runs one child after the other, until one has to wait.
  void go_on(const team_ptr& t, member& lane) {
    while (!t->decided && t->pulled != t->of->children.size()) {
      if (t->parent.canceled) {
        give_up(*t);
        break;
      }
      lane.index = t->pulled++;
      lane.started = true;
      lane.ended.reset();
      lane.own.canceled = t->parent.canceled;
      const auto ended = [this, t, &lane](end e) {
        lane.ended = in(lane.own, e);
        if (!e.is_value() && t->of->what == kind::all) stop(*t);
        turns_.push_back([this, t, &lane] {
          keep(*t, lane);
          go_on(t, lane);
        });
      };
      const auto now = start(t->of->children[lane.index], lane.own, {ended, false});
      if (!now) return;
      lane.ended = in(lane.own, *now);
      keep(*t, lane);
    }
    if (--t->pending != 0) return;
    t->parent.leaf = nullptr;
    complete(t->told, lanes_end(*t));
  }
  /// Canceled from outside, it starts nothing more.
  void give_up(team& t) {
    if (t.of->what == kind::settled) {
      while (t.pulled != t.kept.size()) t.kept[t.pulled++] = canceled();
      t.decided = true;
    } else {
      if (!t.failure) t.failure = canceled();
      stop(t);
    }
  }
  void keep(team& t, member& lane) {
    const end e = *lane.ended;
    t.kept[lane.index] = e;
    if (t.of->what == kind::settled || e.is_value()) return;
    if (!t.failure || (t.failure->ended == how::canceled && e.ended == how::error)) {
      t.failure = e;
    } else if (e.ended == how::error) {
      report("suppressed", e);
    }
    stop(t);
  }
  void stop(team& t) {
    if (!std::exchange(t.decided, true)) cancel(t);
  }
  end lanes_end(const team& t) {
    if (t.failure) return *t.failure;
    end sum;
    for (const end& e : t.kept) {
      sum.number = mix(sum.number, t.of->what == kind::all ? e.number : code(e));
    }
    return sum;
  }

  // for_each_completed. Its children have lines of their own, which the caller's cancellation
  // reaches through the loop that takes the ends.

  struct stream {
    const node& of;
    std::deque<member> lanes{};
    std::deque<member*> ended{};
    std::size_t pulled = 0;
    std::size_t running = 0;
    bool begun = false;
    bool exhausted = false;
    action waiting{};
  };

  void pull(const std::shared_ptr<stream>& s, member& m) {
    if (s->exhausted || s->pulled == s->of.children.size()) return;
    m.index = s->pulled++;
    m.started = true;
    m.ended.reset();
    m.own.canceled = false;
    ++s->running;
    const auto ended = [s, &m](end e) {
      m.ended = in(m.own, e);
      --s->running;
      s->ended.push_back(&m);
      if (s->waiting) std::exchange(s->waiting, nullptr)();
    };
    const auto now = start(s->of.children[m.index], m.own, {ended, false});
    if (now) ended(*now);
  }

  co each(const node& n, line& l) {
    const auto s = std::make_shared<stream>(stream{n});
    const std::size_t count = n.children.size();
    s->lanes.resize(n.number == 0 ? count : std::min(count, static_cast<std::size_t>(n.number)));

    end value{how::value, 0};
    end failure{how::value, 0};
    int calls = 0;
    const auto next = [&](waiter w) -> std::optional<end> {
      if (l.canceled) return later(w, canceled()), std::nullopt;
      if (!std::exchange(s->begun, true)) {
        for (member& m : s->lanes) pull(s, m);
      }
      if (!s->ended.empty() || s->running == 0) return end{};
      if (l.canceled) return later(w, canceled()), std::nullopt;  // by what was started
      suspend(l, w, [s] { s->waiting = nullptr; });
      s->waiting = [this, w, &l] {
        l.leaf = nullptr;
        complete(w, {});
      };
      return std::nullopt;
    };
    for (;;) {
      failure = co_await until(next);
      if (!failure.is_value() || s->ended.empty()) break;
      member& m = *s->ended.front();
      s->ended.pop_front();
      const int index = static_cast<int>(m.index);
      const end e = *m.ended;
      pull(s, m);
      log("*" + std::to_string(n.id) + "[" + std::to_string(index) + "]");
      value.number = mix(value.number, mix(index, code(e)));
      if (n.variant == throwing && ++calls == 2) failure = {how::error, n.id};
      if (n.variant == yielding) {
        const auto turn = [&](waiter w) { return later(w, {}), std::optional<end>(); };
        failure = co_await until(turn);
        if (l.canceled) failure = canceled();
      }
      if (n.variant == random::waiting) {
        const auto opened = [&](waiter w) { return wait_for_gate(n.id, l, std::move(w)); };
        failure = co_await until(opened);
      }
      if (!failure.is_value()) break;
    }
    const auto close = [&](waiter w) -> std::optional<end> {
      s->exhausted = true;
      for (member& m : s->lanes) {
        if (m.runs()) cancel(m.own);
      }
      if (s->running == 0) return end{};
      l.leaf = [] {};
      one_ended(s, l, w);
      return std::nullopt;
    };
    co_await until(close);
    for (const member* m : s->ended) {
      if (m->ended->ended == how::error) report("suppressed", *m->ended);
    }
    co_return failure.is_value() ? value : failure;
  }
  void one_ended(const std::shared_ptr<stream>& s, line& l, waiter w) {
    s->waiting = [this, s, &l, w] {
      if (s->running != 0) return one_ended(s, l, w);
      l.leaf = nullptr;
      complete(w, {});
    };
  }

  // What runs on its own.

  struct crew {  // a group
    line& parent;
    waiter told;
    line body{};
    std::optional<end> body_ended{};
    std::vector<std::shared_ptr<spawned>> children{};
    std::size_t size = 0;
    std::size_t pending = 1;
    std::vector<end> errors{};
    action joined{};
    bool canceled = false;  // from inside
    bool lost = false;
  };
  using crew_ptr = std::shared_ptr<crew>;

  /// `co_await handle`: a task that was canceled is an error for whoever waits.
  std::optional<end> wait_for(const std::shared_ptr<spawned>& s, line& l, waiter w) {
    const auto seen = [](end e) {
      if (e.is_cancellation()) e.ended = how::error;
      return e;
    };
    if (l.canceled) return later(w, canceled()), std::nullopt;
    if (s->ended) return seen(*s->ended);
    const int place = s->waiting.empty() ? 0 : s->waiting.rbegin()->first + 1;
    suspend(l, w, [s, place] { s->waiting.erase(place); });
    s->waiting[place] = [this, s, &l, w, seen] {
      l.leaf = nullptr;
      complete(w, seen(*s->ended));
    };
    return std::nullopt;
  }
  /// Starts a task that nobody awaits: `ended(end)` is told where its coroutine is gone.
  template <typename F>
  void start_alone(const node& n, const std::shared_ptr<spawned>& s, F ended) {
    const auto leave = [s](end e) {
      s->leaving = true;
      return in(s->own, e);
    };
    const auto now = start(n, s->own, {[this, leave, ended](end e) {
                                         turns_.push_back([ended, last = leave(e)] { ended(last); });
                                       },
                                       false});
    if (now) ended(leave(*now));
  }
  static void tell_those_who_wait(spawned& s) {
    const auto waiting = std::move(s.waiting);
    for (const auto& [place, tell] : waiting) tell();
  }

  co spawns(const node& n, line& l) {
    const auto s = std::make_shared<spawned>();
    spawned_.push_back(s);
    handles_[n.id] = s.get();
    turns_.push_back([this, s, &n] {
      start_alone(n.children[0], s, [s](end e) {
        s->ended = e;
        tell_those_who_wait(*s);
      });
    });
    const auto beside = [&](waiter w) { return start(n.children[1], l, std::move(w)); };
    end e = co_await until(beside);
    if (e.is_value()) {
      const int value = e.number;
      if (n.variant == 1) cancel(*s);
      const auto join = [&](waiter w) { return wait_for(s, l, std::move(w)); };
      e = co_await until(join);
      s->taken = e.ended != how::canceled;
      if (e.is_value()) e.number = mix(value, e.number);
    }
    handles_.erase(n.id);
    co_return e;
  }

  void cancel(crew& g) {
    cancel(g.body);
    for (const auto& s : g.children) cancel(*s);
  }
  void cancel_from_inside(crew& g) {
    if (!std::exchange(g.canceled, true)) cancel(g);
  }
  void note(crew& g, end e) {
    if (e.ended != how::error) return;
    for (const end& known : g.errors) {
      if (known.number == e.number && known.origin == e.origin) return;
    }
    g.errors.push_back(e);
    cancel_from_inside(g);
  }
  void one_less(crew& g) {
    if (--g.pending != 0) return;
    g.parent.leaf = nullptr;
    complete(g.told, group_end(g));
  }
  end group_end(crew& g) {
    for (std::size_t i = 1; i < g.errors.size(); ++i) report("suppressed", g.errors[i]);
    if (!g.errors.empty()) return g.errors[0];
    if (g.lost) return canceled();
    return *g.body_ended;
  }

  std::optional<end> group(const node& n, line& l, waiter w) {
    const auto g = std::make_shared<crew>(crew{l, std::move(w)});
    l.leaf = [this, g] { cancel(*g); };
    g->body.canceled = l.canceled;
    const auto ended = [this, g](end e) {
      g->body_ended = in(g->body, e);
      note(*g, *g->body_ended);
    };
    const auto now = start(group_body(n, g), {[this, g, ended](end e) {
                                                ended(e);
                                                leave([this, g] { one_less(*g); });
                                              },
                                              false});
    if (!now) return std::nullopt;
    ended(*now);
    if (--g->pending != 0) return std::nullopt;
    l.leaf = nullptr;
    return group_end(*g);
  }

  void spawn_in(const crew_ptr& g, const node& child) {
    const auto s = std::make_shared<spawned>();
    s->own.canceled = g->parent.canceled || g->canceled;
    g->children.push_back(s);
    ++g->size;
    ++g->pending;
    const auto ended = [this, g, s](end e) {
      s->ended = e;
      note(*g, *s->ended);
      if (s->ended->ended == how::canceled && g->parent.canceled) g->lost = true;
      if (--g->size == 0 && g->joined) std::exchange(g->joined, nullptr)();
      one_less(*g);
      tell_those_who_wait(*s);
    };
    turns_.push_back([this, g, s, ended, &child] {
      if (!g->errors.empty()) {
        s->own.canceled = true;  // it is not started at all
        s->leaving = true;
        return ended(canceled());
      }
      start_alone(child, s, ended);
    });
  }

  co group_body(const node& n, crew_ptr g) {
    line& l = g->body;
    for (std::size_t i = 0; i + 1 < n.children.size(); ++i) spawn_in(g, n.children[i]);
    if (n.variant == cancels_first && !g->children.empty()) cancel(*g->children[0]);
    const auto last = [&](waiter w) { return start(n.children.back(), l, std::move(w)); };
    end e = co_await until(last);
    if (!e.is_value()) co_return e;
    if (n.variant == joins) {
      const auto join = [&](waiter w) -> std::optional<end> {
        if (l.canceled) return later(w, canceled()), std::nullopt;
        if (g->size == 0) return end{};
        suspend(l, w, [g] { g->joined = nullptr; });
        g->joined = [this, w, &l] {
          l.leaf = nullptr;
          complete(w, {});
        };
        return std::nullopt;
      };
      const end joined = co_await until(join);
      if (!joined.is_value()) e = joined;
    }
    if (n.variant == awaits_first && !g->children.empty()) {
      const auto wait = [&](waiter w) { return wait_for(g->children[0], l, std::move(w)); };
      const end first = co_await until(wait);
      e = first.is_value() ? end{how::value, mix(e.number, first.number)} : first;
    }
    if (n.variant == cancels_group) cancel_from_inside(*g);
    co_return e;
  }

  const tree& tree_;
  std::vector<gate> gates_;
  std::map<int, action> timers_;
  std::deque<action> turns_;
  std::deque<action> leaving_;
  bool leave_queued_ = false;
  std::deque<line*> to_cancel_;
  std::map<int, spawned*> handles_;
  std::vector<std::shared_ptr<spawned>> spawned_;
  story story_;
  director<model> director_;
  line root_;
  int cancellations_ = 0;
  bool done_ = false;
};

}  // namespace rondo::test::random

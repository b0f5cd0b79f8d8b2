// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Combinators whose children are known from the start: given as arguments, or as a range. The two
// shapes are here, once; what a combinator makes of its children's ends is its *rule*:
//
//     static constexpr const char* name;    // what people call the combinator
//     static void check_size(std::size_t);  // for a range: throws if it cannot work with so many
//     bool decided() const;                 // no more children are started
//     bool note(child_base&, outcome);      // a child has ended; true: cancel the others
//     outcome how() const;                  // once all have ended
//     auto take(children&, scope&);         // the value, or throws; children: a tuple, or `slots`
//
// A rule for a range may want each value as soon as it is there:
//     void expect(std::size_t);             // so many may come
//     void keep(child&) noexcept;           // a value that is there before any child sleeps
//
// when_all (compose/when_all.hpp) and when_any (compose/when_any.hpp) are rules, and nothing more.

#include <cstddef>
#include <exception>
#include <iterator>
#include <ranges>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include <rondo/compose/combinator.hpp>
#include <rondo/compose/given_range.hpp>
#include <rondo/detail/slots.hpp>

namespace rondo::detail {

// Arguments.

template <typename Rule, typename... A>
class arguments_state;

template <typename Rule, typename... A>
class [[nodiscard("a combinator does nothing until it is awaited")]] arguments_description
    : public only_in_rondo {
 public:
  using state_type = arguments_state<Rule, A...>;
  explicit arguments_description(A&&... awaitables) : awaitables_(std::forward<A>(awaitables)...) {}

 private:
  friend state_type;
  std::tuple<A...> awaitables_;
};

template <typename Rule, typename... A>
class arguments_state : public combinator {
 public:
  explicit arguments_state(arguments_description<Rule, A...>&& description)
      : arguments_state(std::move(description), std::index_sequence_for<A...>()) {}

  [[nodiscard]] bool start(scope& parent, continuation told) noexcept {
    if (!begin(parent, told)) return true;
    start_children();
    return still_running();
  }
  [[nodiscard]] outcome how() const noexcept { return rule_.how(); }
  auto take() { return rule_.take(children_, line()); }

  void child_ended(child_base& c, outcome how) noexcept {
    if (rule_.note(c, how)) [[unlikely]] leaf::cancel();
  }

 private:
  template <std::size_t... I>
  arguments_state(arguments_description<Rule, A...>&& description, std::index_sequence<I...>)
      : combinator(kind, &arguments_state::start_later),
        children_(static_cast<A&&>(std::get<I>(description.awaitables_))...) {}

  void start_children() noexcept {
    const auto start_one = [this](auto& c) {
      if (rule_.decided() || start_child(c)) return;
      child_ended(c, c.state.how());
      c.let_go();
    };
    std::apply([&](auto&... c) { (start_one(c), ...); }, children_);
  }
  static void start_later(listener& self) noexcept {
    auto& state = static_cast<arguments_state&>(self);
    const auto running = state.begin_later();
    state.start_children();
    state.end_later_start();
  }
  static void cancel_children(leaf& self) noexcept {
    auto& state = static_cast<arguments_state&>(self);
    std::apply([](auto&... c) { ((c.started() ? c.line.cancel() : void()), ...); },
               state.children_);
  }
  static void show_children(leaf& self, observer& to) {
    auto& state = static_cast<arguments_state&>(self);
    std::apply([&to](auto&... c) { ((c.runs() ? to.child(c.line) : void()), ...); },
               state.children_);
  }
  static constexpr leaf_kind kind{Rule::name, &cancel_children, &show_children};

  std::tuple<branch<arguments_state, held_state_for<A>>...> children_;
  Rule rule_;
};

// A range.

template <typename Rule, typename R>
class range_state;

template <typename Rule, typename R>
class [[nodiscard("a combinator does nothing until it is awaited")]] range_description
    : public only_in_rondo {
 public:
  using state_type = range_state<Rule, R>;
  explicit range_description(R&& range) : range_(std::forward<R>(range)) {}

 private:
  friend state_type;
  R range_;
};

/// Whether children of a range can follow one another in one slot for as long as they end at once:
/// the rule keeps each one's value.
template <typename Rule, typename Child, typename R>
concept one_by_one = requires(Rule& rule, Child& child, std::ranges::iterator_t<R> it,
                              std::ranges::sentinel_t<R> end) {
  rule.keep(child);
  requires Child::state_type::takes_without_throwing;
  { *it } noexcept;
  { ++it } noexcept;
  { it != end } noexcept;
};

template <typename Rule, typename R>
class range_state : public combinator {
  using element = element_of<R>;
  using child = branch<range_state, held_state_for<element>>;
  static constexpr bool share_a_slot = one_by_one<Rule, child, std::remove_reference_t<R>>;

 public:
  explicit range_state(range_description<Rule, R>&& description)
      : combinator(kind, &range_state::start_later),
        children_(count(description.range_)),
        range_(description.range_) {
    Rule::check_size(children_.capacity());
    if constexpr (share_a_slot) {
      rule_.expect(children_.capacity());
    } else {
      for (auto it = std::begin(description.range_); !children_.full(); ++it) {
        children_.emplace_back(static_cast<element>(*it));
      }
    }
  }

  range_state(const range_state&) = delete;
  range_state& operator=(const range_state&) = delete;
  ~range_state() {
    if constexpr (share_a_slot) {
      if (rule_.decided()) [[unlikely]] drop_the_rest<R>(range_.all);
    }
  }

  [[nodiscard]] bool start(scope& parent, continuation told) noexcept {
    if (!begin(parent, told)) return true;
    start_children();
    return still_running();
  }
  [[nodiscard]] outcome how() const noexcept { return rule_.how(); }
  auto take() { return rule_.take(children_, line()); }

  void child_ended(child_base& c, outcome how) noexcept {
    if (rule_.note(c, how)) [[unlikely]] leaf::cancel();
  }

 private:
  static std::size_t count(std::remove_reference_t<R>& range) {
    if constexpr (std::ranges::sized_range<R>) {
      return std::ranges::size(range);
    } else {
      static_assert(std::ranges::forward_range<R>,
                    "a combinator needs to know how many there are: collect them in a vector, or "
                    "give max_concurrency");
      return static_cast<std::size_t>(std::distance(std::begin(range), std::end(range)));
    }
  }

  void start_children() noexcept {
    if constexpr (share_a_slot) {
      start_one_by_one();
    } else {
      for (auto& c : children_) {
        if (rule_.decided()) break;
        if (start_child(c)) continue;
        child_ended(c, c.state.how());
        c.let_go();
      }
    }
  }
  void start_one_by_one() noexcept {
    child* free = nullptr;  // a slot whose child has ended, and whose value is kept
    for (auto it = std::begin(range_.all), end = std::end(range_.all); it != end; ++it) {
      if (rule_.decided()) break;
      if (free == nullptr) {
        free = &children_.emplace_back(static_cast<element>(*it));
        open_child(*free);
      } else {
        free->state.renew(static_cast<element>(*it));
        free->line.reopen();
        // What a child's destructor has canceled has not reached the line that had ended.
        if (line().canceled()) [[unlikely]] free->line.cancel();
      }
      child& c = *free;
      if (run_child(c)) {
        free = nullptr;
      } else if (const outcome how = c.state.how();
                 how == outcome::value && children_.size() == 1) {
        rule_.keep(c);  // in order: nobody before it sleeps
      } else {
        child_ended(c, how);
        c.let_go();
        free = nullptr;
      }
    }
    if (free != nullptr) children_.pop_back();
  }
  static void start_later(listener& self) noexcept {
    auto& state = static_cast<range_state&>(self);
    const auto running = state.begin_later();
    state.start_children();
    state.end_later_start();
  }
  static void cancel_children(leaf& self) noexcept {
    for (auto& c : static_cast<range_state&>(self).children_) {
      if (c.started()) c.line.cancel();
    }
  }
  static void show_children(leaf& self, observer& to) {
    auto& state = static_cast<range_state&>(self);
    for (auto& c : state.children_) {
      if (c.runs()) to.child(c.line);
    }
  }
  static constexpr leaf_kind kind{Rule::name, &cancel_children, &show_children};

  struct kept_range {
    explicit kept_range(std::remove_reference_t<R>& range) : all(std::forward<R>(range)) {}
    R all;
  };
  struct no_range {
    explicit no_range(std::remove_reference_t<R>&) noexcept {}
  };

  slots<child> children_;
  [[no_unique_address]] std::conditional_t<share_a_slot, kept_range, no_range> range_;
  Rule rule_;
};

// What the rules share.

/// Calls f(child) for each.
template <typename... C, typename F>
void for_each_child(std::tuple<C...>& children, F f) {
  std::apply([&f](auto&... c) { (f(c), ...); }, children);
}
template <typename C, typename F>
void for_each_child(slots<C>& children, F f) {
  for (auto& c : children) f(c);
}

/// Reports the errors of the children that lost against the one that counts, if one does.
template <typename Children>
void report_others(Children& children, const child_base* counts, scope& line) noexcept {
  for_each_child(children, [&](auto& c) {
    if (&c == counts || !c.started() || c.state.how() != outcome::error) return;
    try {
      static_cast<void>(c.state.take());
    } catch (...) {
      line.loop().report({unhandled_error::kind::suppressed, {}, std::current_exception(), {}});
    }
  });
}

template <typename Children>
[[noreturn]] void throw_error_of(const child_base* which, Children& children) {
  for_each_child(children, [which](auto& c) {
    if (&c == which) static_cast<void>(c.state.take());
  });
  // It was there when the child ended; what it was an error of has been closed since.
  throw std::system_error(make_error_code(errc::closed), "rondo: closed before its error was taken");
}

}  // namespace rondo::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A range with at most n children at a time.
//
//     co_await when_all(std::views::transform(urls, fetch), max_concurrency{8});
//
// There are n lanes. A lane pulls an element from the range, runs it, keeps how it ended, and goes
// on, so a view that makes a million tasks on demand never holds more than n of them. Pulling and
// keeping run the user's code; a lane does so when it is started and from the ready queue, never
// while completions are being recorded.

#include <algorithm>
#include <cstddef>
#include <exception>
#include <iterator>
#include <limits>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <utility>
#include <vector>

#include <rondo/compose/as_result.hpp>
#include <rondo/compose/combinator.hpp>
#include <rondo/compose/given_range.hpp>
#include <rondo/detail/slots.hpp>

namespace rondo {

/// How many children of a range run at once: `when_all(range, max_concurrency{8})`.
struct max_concurrency {
  std::size_t value;
};

namespace detail {

template <template <typename> typename Keep, typename R>
class lanes_state;

template <template <typename> typename Keep, typename R>
class [[nodiscard("a combinator does nothing until it is awaited")]] lanes_description
    : public only_in_rondo {
 public:
  using state_type = lanes_state<Keep, R>;
  lanes_description(R&& range, max_concurrency limit)
      : range_(std::forward<R>(range)), limit_(limit.value) {
    if (limit_ == 0) throw std::invalid_argument("max_concurrency{0} would never end");
  }

 private:
  friend state_type;
  R range_;
  std::size_t limit_;
};

/// What arrives in any order, in the order of the range.
template <typename T>
class in_order {
 public:
  std::size_t add() {
    items_.emplace_back();
    return items_.size() - 1;
  }
  std::vector<T> take() {
    std::vector<T> all;
    all.reserve(items_.size());
    for (auto& item : items_) all.push_back(std::move(*item));
    return all;
  }

 protected:
  std::vector<std::optional<T>> items_;
};

/// How when_all keeps its children's ends: values; an error ends everything.
template <typename T>
class keep_values : public in_order<slot<T>> {
 public:
  static constexpr const char* name = "when_all";
  static constexpr bool errors_count = true;
  template <typename State>
  void set(std::size_t index, State& state) {
    this->items_[index].emplace(state.take());
  }
};
template <>
class keep_values<void> {
 public:
  static constexpr const char* name = "when_all";
  static constexpr bool errors_count = true;
  std::size_t add() noexcept { return 0; }
  template <typename State>
  void set(std::size_t, State& state) {
    state.take();
  }
  void take() noexcept {}
};

/// How when_all_settled does.
template <typename T>
class keep_results : public in_order<result<T>> {
 public:
  static constexpr const char* name = "when_all_settled";
  static constexpr bool errors_count = false;
  template <typename State>
  void set(std::size_t index, State& state) {
    this->items_[index].emplace(take_result(state));
  }
  /// Of those that are not started any more.
  void fill_up(std::size_t size) {
    while (this->items_.size() < size) {
      this->items_.emplace_back(std::in_place, unexpect, make_error_code(errc::canceled));
    }
  }
};

template <template <typename> typename Keep, typename R>
class lanes_state : public combinator {
  using element = element_of<R>;
  using state_type = state_for<element>;
  using kept = Keep<await_result_t<element>>;

  struct lane : child_base, ready_node {
    explicit lane(lanes_state& o) noexcept : child_base(&lane::child_ended) { owner = &o; }

    lanes_state& all() noexcept { return static_cast<lanes_state&>(*owner); }

    static void child_ended(listener& self) noexcept {
      auto& l = static_cast<lane&>(self);
      l.line.end();
      loop_base& loop = l.line.loop();
      if (loop.defer_end(l.line, l)) return;
      l.all().child_ended(l);
    }
    struct resumer : listener {
      lane* of;
    };
    static void go_on(listener& self) noexcept {
      auto& l = *static_cast<resumer&>(self).of;
      const loop_base::running_in now(l.all().line().loop(), l.all().line());
      l.all().keep(l);
      l.all().run(l);
    }

    resumer next{{&lane::go_on}, this};
    std::optional<state_type> state;
    std::size_t index = 0;  // of the element that runs in this lane
  };

 public:
  explicit lanes_state(lanes_description<Keep, R>&& description)
      : combinator(kind, &lanes_state::start_later),
        range_(std::forward<R>(description.range_)),
        next_(std::begin(range_)),
        lanes_(lanes_needed(range_, description.limit_)) {
    while (!lanes_.full()) lanes_.emplace_back(*this);
  }
  lanes_state(const lanes_state&) = delete;
  lanes_state& operator=(const lanes_state&) = delete;
  ~lanes_state() {
    if (failing_) [[unlikely]] drop_the_rest<R>(range_);
  }

  [[nodiscard]] bool start(scope& parent, continuation told) noexcept {
    if (!begin(parent, told)) return true;
    start_lanes();
    return still_running();
  }
  [[nodiscard]] outcome how() const noexcept { return how_; }
  auto take() {
    if (error_) [[unlikely]] std::rethrow_exception(error_);
    return values_.take();
  }

 private:
  static std::size_t lanes_needed(std::remove_reference_t<R>& range, std::size_t limit) {
    if constexpr (std::ranges::sized_range<R>) {
      return std::min<std::size_t>(limit, std::ranges::size(range));
    } else {
      return limit;
    }
  }

  void start_lanes() noexcept {
    for (auto& l : lanes_) {
      one_more();
      run(l);
    }
  }
  static void start_later(listener& self) noexcept {
    auto& state = static_cast<lanes_state&>(self);
    const auto running = state.begin_later();
    state.start_lanes();
    state.end_later_start();
  }
  static void cancel_children(leaf& self) noexcept {
    for (auto& l : static_cast<lanes_state&>(self).lanes_) {
      if (l.state) l.line.cancel();
    }
  }
  static void show_children(leaf& self, observer& to) {
    auto& state = static_cast<lanes_state&>(self);
    for (auto& l : state.lanes_) {
      if (l.state && !l.line.ended()) to.child(l.line);
    }
  }
  static constexpr leaf_kind kind{kept::name, &cancel_children, &show_children};

  /// Pulls and runs elements until one sleeps or nothing is left.
  void run(lane& l) noexcept {
    while (!failing_ && pull(l)) {
      l.line.open(line());
      const bool sleeps = start(l);
      line().loop().settle();
      if (sleeps) return;
      keep(l);
    }
    one_less();
  }
  [[nodiscard]] bool start(lane& l) noexcept {
    loop_base& loop = line().loop();
    const loop_base::running_in now(loop, l.line);
    if (l.state->start(l.line, static_cast<listener&>(l))) return true;
    l.line.end();
    if (loop.defer_end(l.line, l)) return true;
    if (!loop.ready_at_once(continuation())) [[likely]] return false;
    child_ended(l);  // the next one waits a turn, for the sake of others
    return true;
  }

  bool pull(lane& l) noexcept {
    try {
      if (next_ == std::end(range_)) return false;
      if (line().canceled()) [[unlikely]] return give_up();
      l.index = values_.add();
      l.state.emplace(static_cast<element>(*next_));
      ++next_;
      return true;
    } catch (...) {
      l.state.reset();
      const auto error = std::current_exception();
      const bool canceled = line().canceled() && is_cancellation(error);
      fail(error, canceled ? outcome::canceled : outcome::error);
      return false;
    }
  }

  /// Canceled from outside: nothing more is started.
  [[gnu::cold]] bool give_up() {
    if constexpr (kept::errors_count) {
      throw operation_canceled();
    } else {
      failing_ = true;
      if constexpr (std::ranges::sized_range<R>) values_.fill_up(std::ranges::size(range_));
      return false;
    }
  }

  /// Told while completions are recorded: others are canceled now, the rest waits for its turn.
  void child_ended(lane& l) noexcept {
    if (kept::errors_count && l.state->how() != outcome::value) stop();
    l.waiter = continuation(static_cast<listener&>(l.next));
    line().loop().push(l);
  }

  /// Keeps the value of a child that has ended, or its error.
  void keep(lane& l) noexcept {
    const outcome how = l.state->how();
    try {
      values_.set(l.index, *l.state);
    } catch (...) {
      fail(std::current_exception(), how == outcome::canceled ? how : outcome::error);
    }
    l.state.reset();
  }

  void fail(std::exception_ptr error, outcome how) noexcept {
    if (!error_ || (how_ == outcome::canceled && how == outcome::error)) {
      error_ = std::move(error);
      how_ = how;
    } else if (how == outcome::error) {
      line().loop().report({unhandled_error::kind::suppressed, {}, std::move(error), {}});
    }
    stop();
  }
  void stop() noexcept {
    if (!std::exchange(failing_, true)) leaf::cancel();
  }

  R range_;
  std::ranges::iterator_t<std::remove_reference_t<R>> next_;
  slots<lane> lanes_;
  kept values_;
  std::exception_ptr error_;
  outcome how_ = outcome::value;
  bool failing_ = false;  // nothing more is pulled
};

}  // namespace detail
}  // namespace rondo

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// with_task_group: a place for tasks whose number is not known from the start. (asyncio:
// TaskGroup.)
//
//     co_await with_task_group([](task_group& group, tcp_listener& listener) -> task<> {
//       for (;;) {
//         tcp_stream peer = co_await listener.accept();
//         group.spawn(serve(std::move(peer)));
//       }
//     }, std::ref(listener));
//
// It does not return before the body and every child have ended. The first error cancels all of
// them and is thrown when they have ended.
//
// Mind this: the *body* may end before its children do. What children use is declared before the
// call, or the body ends with `co_await group.join()`.

#include <cstddef>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <rondo/compose/combinator.hpp>
#include <rondo/core/closure.hpp>
#include <rondo/core/spawned.hpp>

namespace rondo {

class task_group;

namespace detail {
template <typename T>
class child_state;
template <typename T>
class last_child_state;
class group_join;
template <typename F, typename... Args>
class group_state;

template <typename F, typename... Args>
class [[nodiscard("with_task_group does nothing until it is awaited")]] group_description
    : public only_in_rondo {
 public:
  using state_type = group_state<F, Args...>;
  group_description(F&& body, Args&&... args) : call_{std::move(body), {std::move(args)...}} {}

 private:
  friend state_type;
  kept_call<F, Args...> call_;
};
}  // namespace detail

/// A child of a group, for those who want its value. `co_await c` waits for it, inside the group or
/// after it, and gives a reference to its value, as often as you like, or rethrows its error. Its
/// error has ended the group as well. Dropping the handle changes nothing.
///
/// Of a handle that is given away the value is taken: `co_await group.spawn(f())`, or
/// `when_all(group.spawn(f()), ...)`. Nobody else waits for the child then.
///
/// Canceled: waiting ends, the child goes on.
/// Thread: the loop's.
template <typename T = void>
class child : public detail::only_in_rondo {
 public:
  using state_type = detail::child_state<T>;
  using given_away_state_type = detail::last_child_state<T>;

  child() noexcept = default;
  child(child&& other) noexcept : spawned_(std::exchange(other.spawned_, nullptr)) {}
  child& operator=(child&& other) noexcept {
    child(std::move(other)).swap(*this);
    return *this;
  }
  ~child() {
    if (spawned_ != nullptr) spawned_->release();
  }
  void swap(child& other) noexcept { std::swap(spawned_, other.spawned_); }

  [[nodiscard]] bool done() const noexcept { return spawned_ == nullptr || spawned_->done(); }
  /// The value of a child that is done. Throws: its error; operation_canceled if it was canceled;
  /// std::logic_error if it is not done.
  std::add_lvalue_reference_t<T> value() const {
    if (!get().done()) throw std::logic_error("rondo: the child is not done: co_await it first");
    return get().value();
  }
  /// Asks this child to end. That it was canceled is no error of the group.
  void cancel() noexcept {
    if (spawned_ != nullptr) spawned_->cancel();
  }
  [[nodiscard]] std::string_view name() const noexcept {
    return spawned_ != nullptr ? spawned_->name() : std::string_view();
  }

 private:
  friend task_group;
  friend state_type;
  friend given_away_state_type;
  explicit child(detail::spawned<T>& s) noexcept : spawned_(&s) {}
  detail::spawned<T>& get() const {
    if (spawned_ == nullptr) throw std::logic_error("rondo: an empty child was used");
    return *spawned_;
  }

  detail::spawned<T>* spawned_ = nullptr;
};

/// Where a body's children live. Exists as long as the with_task_group that made it.
class task_group : detail::combinator, detail::spawner, public detail::spawns<task_group, child> {
 public:
  class [[nodiscard("join does nothing until it is awaited")]] join_description
      : public detail::only_in_rondo {
   public:
    using state_type = detail::group_join;

   private:
    friend task_group;
    friend state_type;
    explicit join_description(task_group& group) noexcept : group_(&group) {}
    task_group* group_;
  };

  // spawn(task), spawn(operation), spawn(callable, arguments...), and all with spawn_options: see
  // core/spawned.hpp.
  // In a group that is being canceled the task starts canceled; after an error it does not start.

  /// Waits until no child is left. Children may be spawned meanwhile.
  [[nodiscard]] join_description join() noexcept { return join_description(*this); }

  /// Asks all children and the body to end; a child that has not begun begins canceled.
  /// with_task_group then returns the body's value if there is one, and otherwise, for a body of
  /// void, nothing.
  void cancel() noexcept {
    if (!std::exchange(failing_, true)) leaf::cancel();
  }

  /// How many children have not ended.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// The errors so far, of the body and of children, in the order in which they came.
  [[nodiscard]] const std::vector<std::exception_ptr>& errors() const noexcept { return errors_; }

 private:
  friend detail::group_join;
  template <typename F, typename... Args>
  friend class detail::group_state;
  template <typename Group, typename State>
  friend struct detail::branch;

  task_group(const detail::leaf_kind& kind, void (*start_later)(listener&) noexcept) noexcept
      : combinator(kind, start_later), spawner(hears::each_end) {}

  friend detail::spawns<task_group, child>;
  template <typename T>
  child<T> adopt(detail::spawned<T>& s) {
    s.line.open(line());
    s.take_context(detail::current_context());
    if (failing_) s.line.cancel();
    ++size_;
    one_more();
    s.take_once();  // errors go to the group
    s.launch(*this, children_);
    return child<T>(s);
  }

  void ended(detail::spawned_base& s) noexcept override;
  void note(detail::outcome how, std::exception_ptr error) noexcept;
  void fail() noexcept {
    start_no_more();
    cancel();
  }

  detail::spawner::tasks children_;
  detail::wait_list joiners_;
  std::vector<std::exception_ptr> errors_;
  std::size_t size_ = 0;
  bool failing_ = false;    // everybody is being canceled, from inside
  bool lost_ = false;       // a child was canceled from outside
  bool no_memory_ = false;  // for errors_
};

/// Calls `body(task_group&, args...)`, which gives a task, and awaits it and all children of the
/// group. The body and its arguments are copied and kept until then.
///
/// Gives: what the body gives.
/// Throws: the first error of the body or a child, when all have ended; further errors are reported
/// as suppressed. operation_canceled, if the group was canceled by cancel() and the body has no
/// value.
/// Canceled: cancels and waits for all.
template <typename F, typename... Args>
  requires std::invocable<std::decay_t<F>&, task_group&, std::decay_t<Args>...>
auto with_task_group(F&& body, Args&&... args) {
  detail::mind_closure<F>();
  return detail::group_description<std::decay_t<F>, std::decay_t<Args>...>(
      std::decay_t<F>(std::forward<F>(body)), std::decay_t<Args>(std::forward<Args>(args))...);
}

// Implementation

inline void task_group::note(detail::outcome how, std::exception_ptr error) noexcept {
  if (how != detail::outcome::error) return;
  // An error that passes from a child through the body is one error.
  for (const auto& known : errors_) {
    if (known == error) return;
  }
  try {
    errors_.push_back(std::move(error));
  } catch (const std::bad_alloc&) {
    no_memory_ = true;
  }
  fail();
}

inline void task_group::ended(detail::spawned_base& s) noexcept {
  const detail::outcome how = s.how();
  note(how, s.error());
  if (how == detail::outcome::canceled && line().canceled()) lost_ = true;
  if (--size_ == 0) joiners_.wake_all();
  one_less();
}

namespace detail {

/// `group.join()`.
class group_join : public place_in_list {
 public:
  explicit group_join(task_group::join_description&& j) noexcept : group_(*j.group_) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    return group_.size() == 0 ? pass(line, told) : wait_in(group_.joiners_, line, told, kind);
  }

 private:
  static constexpr leaf_kind kind{"task_group::join", &end_canceled};

  task_group& group_;
};

/// `co_await c`.
template <typename T>
class child_state : protected spawned_wait {
 public:
  explicit child_state(child<T>& c) : child_state(c.get()) {}

  using spawned_wait::start;
  [[nodiscard]] outcome how() const noexcept {
    if (spawned_wait::how() == outcome::canceled) return outcome::canceled;
    return spawned_.how() == outcome::value ? outcome::value : outcome::error;
  }
  std::add_lvalue_reference_t<T> take() {
    spawned_wait::take();
    return spawned_.value();
  }

 protected:
  explicit child_state(spawned<T>& s) noexcept : spawned_wait(s), spawned_(s) {}
  spawned<T>& spawned_;
};

/// `co_await std::move(c)`: nobody can ask for the value any more.
template <typename T>
class last_child_state : public child_state<T> {
 public:
  explicit last_child_state(child<T>&& c) : child_state<T>(c.get()) { child<T>().swap(c); }

  T take() {
    spawned_wait::take();
    return this->spawned_.take();
  }
};

template <typename F, typename... Args>
class group_state : task_group {
  using value_type = task_value<F, task_group&, Args...>;
  using body_type = branch<group_state, held_task<value_type>>;

 public:
  explicit group_state(group_description<F, Args...>&& d)
      : task_group(kind, &group_state::start_later),
        call_(std::move(d.call_)),
        body_(call_.call(static_cast<task_group&>(*this))) {}

  [[nodiscard]] bool start(scope& parent, continuation told) noexcept {
    if (!begin(parent, told)) return true;
    start_body();
    return still_running();
  }

  [[nodiscard]] outcome how() const noexcept {
    if (!errors_.empty() || no_memory_) return outcome::error;
    if (lost_) return outcome::canceled;
    const bool given_up = std::is_void_v<value_type> && failing_ && !line().canceled();
    return given_up ? outcome::value : body_.state.how();
  }
  value_type take() {
    if (how() == outcome::value) [[likely]] {
      if constexpr (std::is_void_v<value_type>) {
        return;  // the body's value, or nothing at all
      } else {
        return body_.take();
      }
    }
    if (how() == outcome::canceled) throw operation_canceled();
    if (errors_.empty()) throw std::bad_alloc();
    for (std::size_t i = 1; i < errors_.size(); ++i) {
      line().loop().report({unhandled_error::kind::suppressed, {}, errors_[i], {}});
    }
    std::rethrow_exception(errors_.front());
  }

  void child_ended(child_base&, outcome how) noexcept {
    note(how, how == outcome::error ? body_.state.error() : nullptr);
  }

 private:
  friend body_type;

  void start_body() noexcept {
    if (start_child(body_)) return;
    child_ended(body_, body_.state.how());
    body_.let_go();
  }
  static void start_later(listener& self) noexcept {
    auto& state = static_cast<group_state&>(self);
    const auto running = state.begin_later();
    state.start_body();
    state.end_later_start();
  }
  static void cancel_all(leaf& self) noexcept {
    auto& state = static_cast<group_state&>(self);
    if (state.body_.started()) state.body_.line.cancel();
    state.children_.for_each([](spawned_base& each) { each.cancel(); });
  }
  static void show_all(leaf& self, observer& to) {
    auto& state = static_cast<group_state&>(self);
    if (state.body_.runs()) to.child(state.body_.line, "the body");
    state.children_.for_each([&to](spawned_base& each) { to.child(each.line, each.name()); });
  }
  static constexpr leaf_kind kind{"with_task_group", &cancel_all, &show_all};

  kept_call<F, Args...> call_;
  body_type body_;
};

}  // namespace detail
}  // namespace rondo

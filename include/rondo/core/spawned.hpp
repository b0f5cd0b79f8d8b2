// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A task that runs on its own, and what is left of it when it has ended: one block, shared by
// whoever owns it while it runs (the loop, a task_group), by handles, and by those who wait for it.
// It frees itself when the last of them has left, and reports an error that nobody has asked for.
//
//   made -> queued -> running -> leaving -> done -> freed
//                `------------------^         an owner that is failing does not start it any more
//
// Who is leaving lets go of the coroutine, and of what that was given, before anybody is told of its
// end: whoever waits for it finds what it held in place.

#include <exception>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <rondo/core/context.hpp>
#include <rondo/core/held_task.hpp>
#include <rondo/core/observer.hpp>
#include <rondo/core/roll_call.hpp>
#include <rondo/core/task.hpp>
#include <rondo/core/wait_list.hpp>
#include <rondo/detail/intrusive_list.hpp>

namespace rondo {

/// A trivial aggregate: safe inside a co_await expression on every compiler. The name is copied.
struct spawn_options {
  std::string_view name{};
};
static_assert(std::is_trivially_destructible_v<spawn_options>);

namespace detail {

class spawned_base;

/// Who has a list of tasks that run on their own.
class spawner {
 public:
  using tasks = intrusive_list<spawned_base>;

 protected:
  /// hears: which ends it is told about, before anybody else is.
  enum class hears : bool { errors, each_end };
  explicit spawner(hears about) noexcept : each_end_(about == hears::each_end) {}
  ~spawner() = default;

  /// A task whose turn comes is not started any more; it counts as canceled.
  void start_no_more() noexcept { stopped_ = true; }

 private:
  friend spawned_base;
  virtual void ended(spawned_base&) noexcept = 0;

  bool each_end_;
  bool stopped_ = false;
};

class spawned_base : public list_hook, public listener, public ready_node {
 public:
  spawned_base(const spawned_base&) = delete;
  spawned_base& operator=(const spawned_base&) = delete;

  [[nodiscard]] bool done() const noexcept { return phase_ == phase::done; }
  [[nodiscard]] std::string_view name() const noexcept { return line.name(); }
  /// Once it is done. One that was not started any more counts as canceled.
  [[nodiscard]] outcome how() const noexcept { return how_; }
  /// Null if there is none.
  [[nodiscard]] virtual std::exception_ptr error() const noexcept = 0;

  void cancel() noexcept {
    if (done()) return;
    if (auto* const asked = line.loop().roll_call_held()) [[unlikely]] asked->here(name());
    line.cancel();
  }

  /// Puts it in its owner's list, and starts it on the next turn. Its line is open.
  void launch(spawner& owner, spawner::tasks& list) noexcept {
    owner_ = &owner;
    list.push_back(*this);
    line.loop().push(*this);
    line.loop().rouse();
  }
  /// Sees the context variables of whoever spawned it, for as long as it runs.
  void take_context(context_node* node) noexcept {
    if (node == nullptr) return;
    line.set_context(context_holder::share(node).release());
    shares_context_ = true;
  }

  void add_ref() noexcept { ++refs_; }
  void release() noexcept {
    if (--refs_ != 0) return;
    if (how_ == outcome::error) [[unlikely]] report_unclaimed();
    delete this;
  }

  /// Those who wait for the end.
  [[nodiscard]] wait_list& waiting() noexcept { return waiting_; }

  /// Somebody has taken the value or the error: nothing is left to report. False: it was taken
  /// before.
  bool take_once() noexcept {
    if (how_ == outcome::error) forget();
    const bool first = !taken_;
    taken_ = true;
    return first;
  }
  /// Reports its error, once, if nobody has taken it. Afterwards the loop is not needed any more.
  [[gnu::cold, gnu::noinline]] void report_unclaimed() noexcept {
    forget();
    if (taken_ || reported_) return;
    reported_ = true;
    line.loop().report({unhandled_error::kind::spawned, name(), error(), {}});
  }

  scope line;

 protected:
  /// step: what the ready queue calls; see spawned::step.
  spawned_base(void (*step)(listener&) noexcept, std::string_view name) : listener{step} {
    waiter = continuation(static_cast<listener&>(*this));
    if (!name.empty()) [[unlikely]] take_name(name);
  }
  virtual ~spawned_base() {
    delete[] line.name().data();
    if (shares_context_) const context_holder its(line.context());
  }

  [[nodiscard]] bool was_started() const noexcept { return started_; }
  [[nodiscard]] bool queued() const noexcept { return phase_ == phase::queued; }
  [[nodiscard]] bool leaving() const noexcept { return phase_ == phase::leaving; }
  /// Its turn has come: whether it is to be started.
  [[nodiscard]] bool begin() noexcept {
    started_ = !owner_->stopped_;
    phase_ = phase::running;
    return started_;
  }
  /// The coroutine has ended.
  void leave() noexcept {
    line.end();
    phase_ = phase::leaving;
  }
  /// What it has left behind has not ended, and will tell.
  void wait_on() noexcept { phase_ = phase::running; }
  /// Nothing of it is left; `this` may be gone after that.
  void end(outcome how) noexcept {
    how_ = how;
    phase_ = phase::done;
    unlink();  // from its owner's list
    if (owner_->each_end_ || how == outcome::error) owner_->ended(*this);
    waiting_.wake_all();
    release();
  }

 private:
  [[gnu::cold, gnu::noinline]] void take_name(std::string_view name) {
    char* const copy = new char[name.size() + 1]{};
    name.copy(copy, name.size());
    line.set_name(copy);
  }
  /// Leaves the list of those whose errors its owner would report.
  void forget() noexcept {
    if (done() && linked()) unlink();
  }

  enum class phase : unsigned char { queued, running, leaving, done };

  spawner* owner_ = nullptr;
  wait_list waiting_;
  unsigned refs_ = 2;  // the owner's and the handle's
  phase phase_ = phase::queued;
  outcome how_ = outcome::canceled;
  bool started_ : 1 = false;
  bool taken_ : 1 = false;
  bool reported_ : 1 = false;
  bool shares_context_ : 1 = false;  // of the line
};

template <typename T>
class spawned : public spawned_base {
 public:
  spawned(task<T>&& t, std::string_view name)
      : spawned(std::move(t), name, &spawned::template step<spawned>) {}

  /// Gives the value away. For those who have called take_once.
  T take() {
    check();
    return state_.take();
  }
  /// The value, where it is.
  std::add_lvalue_reference_t<T> value() {
    check();
    return state_.value();
  }
  [[nodiscard]] std::exception_ptr error() const noexcept override {
    return how() == outcome::error ? state_.error() : nullptr;
  }

  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* block, std::size_t size) noexcept { free_frame(block, size); }

 protected:
  spawned(task<T>&& t, std::string_view name, void (*its_step)(listener&) noexcept)
      : spawned_base(its_step, name), state_(std::move(t)) {}

  /// Told through the ready queue to start; by the coroutine that it has ended; and, because that is
  /// on the stack then, through the queue once more. Self: what is to let go of what it was given.
  template <typename Self>
  static void step(listener& self) noexcept {
    auto& s = static_cast<Self&>(static_cast<spawned_base&>(self));
    loop_base& loop = s.line.loop();
    if (s.queued()) {
      if (s.begin()) {
        loop.starts(s.line);
        const loop_base::running_in now(loop, s.line);
        if (s.state_.start(s.line, static_cast<listener&>(s))) return;
      }
      s.leave();
    } else if (!s.leaving()) {
      s.leave();
      return loop.push(s);
    }
    {
      const loop_base::running_in now(loop, s.line);
      s.let_go();
    }
    if (loop.defer_end(s.line, s)) [[unlikely]] return s.wait_on();
    s.end(s.was_started() ? s.state_.how() : outcome::canceled);
  }
  void let_go() noexcept {
    if (was_started()) state_.let_go();
  }

 private:
  void check() const {
    if (!was_started()) throw operation_canceled();
  }

  held_task<T> state_;
};

/// What the callable and its arguments are kept in: before the task, so they outlive it.
template <typename F, typename... Args>
struct kept_call {
  F f;
  std::tuple<Args...> args;
  template <typename... First>
  auto call(First&... first) {
    // std::apply takes pointers to members, too.
    return std::apply(
        [&](Args&... each) {
          return std::apply(f, std::tuple<First&..., Args&&...>(first..., std::move(each)...));
        },
        args);
  }
};

template <typename F, typename... Args>
struct kept_until_the_end {
  std::optional<kept_call<F, Args...>> call;
};

template <typename T, typename F, typename... Args>
class spawned_call final : private kept_until_the_end<F, Args...>, public spawned<T> {
 public:
  static_assert(alignof(kept_call<F, Args...>) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__,
                "spawn: a callable and its arguments are not aligned further than new aligns; hold "
                "such a one in a std::unique_ptr");
  spawned_call(std::string_view name, F&& callable, Args&&... args)
      : kept_until_the_end<F, Args...>{kept_call<F, Args...>{std::move(callable), {std::move(args)...}}},
        spawned<T>(this->call->call(), name, &spawned<T>::template step<spawned_call>) {}

  using spawned<T>::operator new;
  using spawned<T>::operator delete;

 private:
  friend spawned<T>;
  void let_go() noexcept {
    spawned<T>::let_go();
    if constexpr (held_task<T>::takes_without_throwing) this->call.reset();  // the coroutine is gone
  }
};

/// T, for a callable that gives a task<T>.
template <typename T>
struct task_value_impl {
  static_assert(!std::is_same_v<T, T>,
                "what is to be spawned, and the body of a task group, gives a rondo::task");
};
template <typename T>
struct task_value_impl<task<T>> {
  using type = T;
};
template <typename F, typename... Args>
using task_value = typename task_value_impl<std::invoke_result_t<F&, Args...>>::type;

/// Waiting for the end of a spawned task. Consumes nothing; canceled, the task goes on.
class spawned_wait : public place_in_list {
 public:
  explicit spawned_wait(spawned_base& s) noexcept : spawned_(s) { s.add_ref(); }
  ~spawned_wait() { spawned_.release(); }

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    return spawned_.done() ? pass(line, told) : wait_in(spawned_.waiting(), line, told, kind);
  }

 private:
  static void show_name(leaf& self, observer& to) {
    auto& state = static_cast<spawned_wait&>(self);
    to.particular(state.spawned_.name());
  }
  static constexpr leaf_kind kind{"the end of a task", &end_canceled, &show_name};

  spawned_base& spawned_;
};

/// Calls adopt(spawned) of whoever spawns, in each form that a task is given to it.
template <typename Spawner, template <typename> typename Handle>
class spawns {
 public:
  /// Starts a task on the next turn.
  template <typename T>
  Handle<T> spawn(task<T> t, spawn_options options = {}) {
    return self().adopt(*new spawned<T>(std::move(t), options.name));
  }
  /// The same for an operation: `spawn(sleep_for(1s))`. Keep alive: what it refers to, as a stream
  /// or a buffer, until it has ended.
  template <becomes_task A>
  auto spawn(A&& operation, spawn_options options = {}) {
    return spawn(task<await_result_t<A>>(std::move(operation)), options);
  }
  /// The same for a callable that gives a task. It and its arguments are copied and live as long as
  /// the task, so captures cannot dangle.
  template <typename F, typename... Args>
    requires std::invocable<F&, Args...>
  auto spawn(F f, Args... args) {
    return spawn(spawn_options{}, std::move(f), std::move(args)...);
  }
  template <typename F, typename... Args>
    requires std::invocable<F&, Args...>
  auto spawn(spawn_options options, F f, Args... args) {
    using value = task_value<F, Args...>;
    return self().template adopt<value>(
        *new spawned_call<value, F, Args...>(options.name, std::move(f), std::move(args)...));
  }

 private:
  [[nodiscard]] Spawner& self() noexcept { return static_cast<Spawner&>(*this); }
};

}  // namespace detail
}  // namespace rondo

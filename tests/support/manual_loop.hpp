// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A loop without a kernel: what tasks and combinators are tested on.
//
//     manual_loop loop;
//     int seven = loop.run(some_task());

#include <rondo/core/ready_queue.hpp>
#include <rondo/core/error.hpp>
#include <rondo/core/task.hpp>

#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace rondo::test {

class manual_loop : public detail::loop_base {
 public:
  manual_loop() noexcept : loop_base(&manual_loop::keep_report) {
    previous_ = std::exchange(detail::running_loop, this);
  }
  ~manual_loop() {
    run_until_idle();
    detail::running_loop = previous_;
  }

  /// Starts something as the only line of work, and gives control back whenever nothing is ready.
  template <typename A>
  class root : detail::listener {
   public:
    root(manual_loop& loop, A&& awaitable)
        : listener{&root::ended},
          loop_(loop),
          line(loop),
          state_(std::forward<A>(awaitable)) {}
    void start() {
      loop_.measure_stack();
      const running_in now(loop_, line);
      done_ = !state_.start(line, static_cast<listener&>(*this)) &&
              !loop_.defer_end(line, *this);
      loop_.settle();
    }
    bool done() const { return done_; }
    decltype(auto) take() { return state_.take(); }

   private:
    static void ended(listener& self) noexcept {
      auto& r = static_cast<root&>(self);
      r.done_ = !r.loop_.defer_end(r.line, r);
    }
    manual_loop& loop_;
    bool done_ = false;

   public:
    detail::scope line;

   private:
    detail::state_for<A> state_;
  };

  /// Tells the one who is first in the queue.
  void turn() {
    measure_stack();
    run_ready(1);
  }
  void run_until_idle() {
    while (has_ready()) turn();
  }
  template <typename A>
  auto run(A&& awaitable) -> await_result_t<A> {
    root<A> r(*this, std::forward<A>(awaitable));
    r.start();
    while (!r.done() && has_ready()) turn();
    if (!r.done())
      detail::fail("the manual loop has nothing left to run, but the root has not ended");
    return r.take();
  }

  std::vector<std::pair<unhandled_error::kind, std::string>> reports;

 private:
  static void keep_report(loop_base& self, unhandled_error&& e) noexcept {
    static_cast<manual_loop&>(self).reports.emplace_back(
        e.what, e.error ? detail::describe(e.error) : e.message);
  }
  loop_base* previous_;
};

/// Something to wait for by hand: tasks that await it sleep until `complete` or a cancellation.
class gate {
 public:
  class state : detail::leaf, detail::ready_node {
   public:
    explicit state(gate& g) noexcept : leaf{&kind}, gate_(g) {}
    bool start(detail::scope& line, detail::continuation told) noexcept {
      line_ = &line;
      waiter = told;
      if (line.canceled()) {
        canceled_ = true;
        line.refuse(*this);
        return true;
      }
      if (gate_.open_) return false;
      line.enter(*this);
      gate_.waiting_.push_back(this);
      return true;
    }
    detail::outcome how() const noexcept {
      return canceled_ ? detail::outcome::canceled : detail::outcome::value;
    }
    void take() {
      if (canceled_) throw operation_canceled();
    }

   private:
    friend gate;
    static void cancel_wait(leaf& self) noexcept {
      auto& s = static_cast<state&>(self);
      std::erase(s.gate_.waiting_, &s);
      s.canceled_ = true;
      s.line_->leave();
      s.line_->loop().push(s);
    }
    static constexpr detail::leaf_kind kind{"gate", &cancel_wait};

    gate& gate_;
    detail::scope* line_ = nullptr;
    bool canceled_ = false;
  };

  class description : public detail::only_in_rondo {
   public:
    using state_type = state;
    explicit description(gate& g) noexcept : gate_(&g) {}
    operator gate&() const noexcept { return *gate_; }

   private:
    gate* gate_;
  };

  description wait() noexcept { return description(*this); }
  task<> wait_in_a_task() { co_await wait(); }

  void open() noexcept {
    open_ = true;
    while (!waiting_.empty()) {
      state& s = *waiting_.front();
      waiting_.pop_front();
      s.line_->leave();
      s.line_->loop().complete(s);
    }
  }
  std::size_t waiting() const { return waiting_.size(); }

 private:
  std::deque<state*> waiting_;
  bool open_ = false;
};

}  // namespace rondo::test

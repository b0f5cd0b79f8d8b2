// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The machine under event_loop: one turn, and what operations ask of it.
//
// A turn has two halves.
//   look outside   hand all entries to the kernel and collect completions, in one system call,
//                  which sleeps if nothing is ready; take messages from other threads; look at the
//                  clock
//   resume         those who are ready, one after the other, until nobody is or they have had their
//                  share
//
// So a yield or a hop between tasks costs nanoseconds, a batch of operations one system call, and
// nobody who is always ready keeps the kernel, the clock or the other tasks waiting.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <rondo/core/ready_queue.hpp>
#include <rondo/core/scope.hpp>
#include <rondo/loop/closings.hpp>
#include <rondo/loop/flights.hpp>
#include <rondo/loop/inbox.hpp>
#include <rondo/loop/loop_tasks.hpp>
#include <rondo/loop/options.hpp>
#include <rondo/loop/own_poll.hpp>
#include <rondo/loop/ring.hpp>
#include <rondo/loop/soft_work.hpp>
#include <rondo/loop/thread_pool.hpp>
#include <rondo/loop/timekeeper.hpp>
#include <rondo/loop/work_watch.hpp>

namespace rondo::detail {

class engine : public loop_base {
 public:
  // For operations.

  /// An entry to fill. When the queue is full it is handed over first; null if the kernel refuses
  /// to take it (no memory), which ends the operation with EAGAIN.
  [[nodiscard]] io_uring_sqe* reserve() noexcept { return ring_.reserve_or_make_room(); }

  /// An entry for an opcode that the kernel may lack. The soft ring beside it serves it then.
  [[nodiscard]] io_uring_sqe* reserve_for(std::uint8_t opcode) noexcept {
    return ring_.knows(opcode) ? reserve() : reserve_beside();
  }

  /// From now on, until it is unlinked, a descriptor is being closed.
  void begin_to_close(closing_descriptor& c, int fd) noexcept { closings_.begin(c, fd); }
  [[nodiscard]] bool is_being_closed(int fd) noexcept { return closings_.has(fd); }
  /// It hears of closings from now on, until it unlinks itself or the loop ends.
  void admit(guest& g) noexcept { closings_.admit(g); }
  /// Whether the ring can tell when its threads have done with a descriptor (opcode::until_unused).
  [[nodiscard]] bool tells_when_unused() const noexcept { return ring_.which() == backend::epoll; }
  /// Cancels what is in flight on a descriptor, again if need be. False: nothing is. `fd` is not
  /// negative. The kernel finds less when it is asked to cancel by descriptor: not what its threads
  /// are about to begin, and it does not say what they are doing; and it looks at everything that
  /// is in flight.
  [[nodiscard]] bool cancel_on(int fd) noexcept {
    const bool found = flights_.cancel_on(fd);
    rouse();
    return found;
  }

  /// The entry was filled: from now on the kernel may use the operation's memory.
  void launch(io_uring_sqe& entry, in_flight& op) noexcept {
    entry.user_data = reinterpret_cast<std::uintptr_t>(&op);
    if (time_.is_virtual() && ends_by_itself(entry)) [[unlikely]] {
      return flights_.launched_to_end(op);
    }
    flights_.launched(op);
  }

  /// Asks the kernel to end an operation soon. Needs no entry now: requests wait in a list of their
  /// own and go out before anything else.
  void cancel(in_flight& op) noexcept {
    flights_.cancel(op);
    rouse();
  }

  /// Its go_on is called when there may be an entry: for its next step, say.
  void go_on_later(in_flight& op) noexcept {
    if (!flights_.goes_on(op)) return;
    push(going_on_);
    rouse();
  }
  /// For what has waited for that while it was in flight.
  void still_in_flight(in_flight& op) noexcept { flights_.launched(op); }

  [[nodiscard]] timer_queue& timers() noexcept { return time_.timers(); }
  [[nodiscard]] const timer_queue& timers() const noexcept { return time_.timers(); }

  /// The time of this turn.
  [[nodiscard]] time_point turn_time() const noexcept { return time_.turn(); }
  /// A fresh look at the clock.
  [[nodiscard]] time_point clock_time() const noexcept { return time_.now(); }

  /// Everything in flight is being canceled because the run has ended.
  [[nodiscard]] bool winds_up() const noexcept { return winds_up_; }

  /// The loop is destroyed: what others bring is no longer run.
  [[nodiscard]] bool is_dropped() const noexcept { return dropped_; }

  /// The program's memory that its ring was told of.
  [[nodiscard]] ring_memory& memory() noexcept { return ring_.memory(); }

  /// For calls that block.
  [[nodiscard]] loop_threads& threads() noexcept { return threads_; }

  /// Those whom nobody but the loop awaits.
  [[nodiscard]] loop_tasks& tasks() noexcept { return tasks_; }

 protected:
  static constexpr time_point never = timekeeper::never;

  engine(report_function on_report, const loop_options& options)
      : loop_base(on_report, &engine::deliver_message),
        threads_(options.max_threads),
        interference_(options.interference),
        ring_(options.entries, options.backend, threads_, interference_.get()),
        time_(options),
        watch_(work_watch::if_wanted(options)) {
    set_debug(options.debug);
  }
  ~engine() = default;

  void bind() {
    ring_.bind();
    if (ring_.wake_on(inbox_.native_handle())) wake_poll_.never_needed();
  }

  /// One turn, which sleeps at most until `limit`.
  void turn(time_point limit) noexcept {
    ++turns_;
    look_outside(limit);
    if (turn_is_over()) [[unlikely]] return;
    if (interference_ != nullptr) [[unlikely]] {
      shuffle_ready([this] { return interference_->heads(); });
      return run_some(interference_->share());
    }
    run_some(resumptions_a_turn);
  }
  /// Starts the root, for one.
  template <typename F>
  void watched(F start) noexcept {
    if (watch_) [[unlikely]] return watch_->measure(*this, tasks_.root(), start);
    start();
  }

  [[nodiscard]] bool has_work() const noexcept { return has_own_work() || !inbox_.empty(); }
  /// Besides what others want of it.
  [[nodiscard]] bool has_own_work() const noexcept {
    return has_ready() || kernel_holds_something() || !timers().empty() || !tasks_.empty();
  }
  [[nodiscard]] bool kernel_holds_something() const noexcept { return !flights_.empty(); }
  /// With virtual time: whether nothing can happen any more.
  [[nodiscard]] bool is_stuck() noexcept { return time_.is_virtual() && nothing_can_happen(); }

  void cancel_everything_in_flight() noexcept {
    winds_up_ = true;
    flights_.cancel_all();
  }
  void wound_up() noexcept { winds_up_ = false; }
  void be_dropped() noexcept { dropped_ = true; }

  /// Hands over the requests of who cancels.
  void send_cancels() noexcept {
    if (has_cancels()) [[unlikely]] send_cancels_now();
  }
  [[nodiscard]] bool has_cancels() const noexcept { return flights_.any_to_cancel(); }

  [[nodiscard]] time_point next_alarm() noexcept {
    return time_.is_virtual() ? next_virtual_alarm() : time_.next_alarm();
  }

  inbox inbox_;
  std::uint64_t turns_ = 0;
  loop_threads threads_;
  std::shared_ptr<interference> interference_;
  ring ring_;

 private:
  static constexpr unsigned resumptions_a_turn = 64;

  void run_some(unsigned limit) noexcept {
    if (watch_) [[unlikely]] return watch_->run_ready(*this, limit);
    run_ready(limit);
  }

  [[gnu::always_inline]] void look_outside(time_point limit) noexcept {
    send_cancels();
    inbox_.deliver(*this);
    if (!has_ready()) arm_wake();  // a full queue is handed over for that, and completions come
    const bool idle = !has_ready();
    if (idle) {
      sleep(limit);
      inbox_.deliver(*this);
    } else if (ring_.has_unsubmitted() || ring_.kernel_has_work()) {
      ring_.enter(false, nullptr);
    }
    if (time_.is_virtual()) [[unlikely]] {
      reap_and_pass_time(idle);
    } else {
      ring_.reap();
    }
    time_.begin_turn(resumptions_a_turn);
  }

  [[nodiscard, gnu::cold]] bool nothing_can_happen() noexcept {
    return !has_ready() && inbox_.empty() && !kernel_holds_something() && !time_.awaits_a_timer() &&
           outside().certain == 0 && outside().possible == 0;
  }

  [[nodiscard, gnu::cold]] time_point next_virtual_alarm() noexcept {
    return time_.next_alarm(timekeeper::pending{
        .ends_by_itself = flights_.any_ends() || outside().certain != 0,
        .may_never_end = flights_.any_may_stay() || outside().possible != 0});
  }

  /// Virtual time: if nothing can run, and nothing is to be waited for, it is the next timer's
  /// time.
  [[gnu::cold]] void reap_and_pass_time(bool idle) noexcept {
    const bool quiet = idle && !ring_.has_completions();
    ring_.reap();
    if (!quiet || has_ready()) {
      time_.stir();
    } else {
      time_.jump_at(next_alarm());
    }
  }

  /// Hands entries over and sleeps until something completes, a message arrives, or time is up.
  [[gnu::always_inline]] void sleep(time_point limit) noexcept {
    limit = std::min(limit, next_alarm());
    __kernel_timespec timeout{};
    bool wait = inbox_.fall_asleep();
    if (wait && limit != never) {
      const auto left = limit - loop_clock::real_now();
      wait = left > left.zero();
      timeout.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(left).count();
      timeout.tv_nsec = (left % std::chrono::seconds(1)).count();
    }
    if (wait || ring_.has_unsubmitted() || ring_.kernel_has_work()) {
      ring_.enter(wait, limit != never ? &timeout : nullptr);
    }
    inbox_.wake_up();
  }

  io_uring_sqe* reserve_beside() noexcept {
    ring* const beside = ring_.beside();
    return beside != nullptr ? beside->reserve_or_make_room() : nullptr;
  }

  /// What the kernel does not know may be in the ring beside it.
  void cancel_beside(const in_flight& op) noexcept {
    io_uring_sqe* const entry = reserve_beside();
    if (entry == nullptr) return;
    io_uring_prep_cancel64(entry, reinterpret_cast<std::uintptr_t>(&op), 0);
    entry->user_data = 0;
  }

  [[gnu::noinline]] void send_cancels_now() noexcept {
    while (flights_.any_to_cancel()) {
      io_uring_sqe* const entry = reserve();
      if (entry == nullptr) return;     // the next turn goes on
      if (!flights_.any_to_cancel()) {  // reserve() reaped the last one
        io_uring_prep_nop(entry);
        entry->user_data = 0;
        return;
      }
      in_flight& op = flights_.next_to_cancel();
      io_uring_prep_cancel64(entry, reinterpret_cast<std::uintptr_t>(&op), 0);
      entry->user_data = 0;
      if (ring_.beside_if_made() != nullptr) [[unlikely]] cancel_beside(op);
    }
  }

  // Other threads wake the loop through a poll that stays armed; it reports each write to the
  // eventfd, so nothing ever needs to be read from it.
  void arm_wake() noexcept {
    if (wake_poll_.armed()) return;
    io_uring_sqe* const entry = reserve();
    if (entry != nullptr) wake_poll_.arm(*entry, inbox_.native_handle());  // or the next turn does
  }

  // One entry of the ready queue for all who want to go on.
  struct going_on : listener, ready_node {
    explicit going_on(engine& its) noexcept : listener{&going_on::now}, loop(its) {
      waiter = continuation(static_cast<listener&>(*this));
    }
    static void now(listener& self) noexcept {
      auto& g = static_cast<going_on&>(self);
      if (g.loop.flights_.bring_on()) g.loop.push(g);
    }
    engine& loop;
  };

  static void deliver_message(loop_base& self, ready_node& message) noexcept {
    static_cast<engine&>(self).inbox_.send(message);
  }

  timekeeper time_;
  flights flights_;
  going_on going_on_{*this};
  closings closings_;
  loop_tasks tasks_;
  own_poll wake_poll_;
  std::optional<work_watch> watch_;
  bool winds_up_ = false;
  bool dropped_ = false;
};

}  // namespace rondo::detail

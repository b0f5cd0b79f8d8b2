// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// One operation of the kernel, from `co_await` to its completion and back.
//
// *What* to ask is a small struct in io/ops/: its arguments, how they go into a submission entry,
// and the type of the answer. Everything else is here, once. An operation of your own is such a
// struct:
//
//     struct nop_op {
//       using value_type = void;
//       static constexpr const char* name = "nop";
//       void prepare(io_uring_sqe& entry) noexcept { io_uring_prep_nop(&entry); }
//     };
//     co_await rondo::io::operation(nop_op());
//
// A struct may say more:
//   T value(int result)            makes the answer from a result that is no error (may throw)
//   int before()                   runs when the operation starts; a negative errno ends it there
//   int call()                     instead of prepare: a system call that never blocks and that the
//                                  ring would only make dearer; the result or a negative errno
//   bool again(int& result)        called for each completion: true asks the kernel once more (to go
//                                  on after a short write); false ends with `result`
//   bool last(int& result, std::uint32_t flags)
//                                  for several completions: whether this is the last one; `result`
//                                  is what counts then
//   std::string what() const       what was tried, and on what, for the error that is thrown
//   void raise(int error)          throws something that a code cannot say; returns if it does not
//   static constexpr bool release  true: it gives something back (close), so cancellation does not
//                                  touch it and a canceled scope does not refuse it
//   static constexpr bool no_descriptor
//                                  what its entry has in place of a descriptor is none; of the
//                                  kernel's own opcodes the library knows that
//                                  (loop/descriptors_of.hpp)
//   static constexpr std::uint8_t newer_opcode
//                                  its opcode, if Linux 6.1 does not know it: where the kernel does
//                                  not, the library carries it out (loop/soft_table.hpp,
//                                  io/emulation.hpp)
//
// The contract of every operation:
//   Keep alive     its buffers until the await returns; what it was given as an rvalue it owns.
//   Canceled       ends with operation_canceled, or with success if that came first: what was read,
//                  accepted or opened is delivered. In a canceled scope nothing is asked of the
//                  kernel.
//   Throws         std::system_error with the kernel's errno; with errc::closed when somebody closed
//                  the descriptor under it.
//   Thread         the loop's.
//
// From a number to an outcome, the first line that fits:
//   result >= 0                               the value, also when it was canceled meanwhile
//   ECANCELED, ERESTARTSYS or EINTR, and
//   the scope was canceled                    operation_canceled
//   ECANCELED or ERESTARTSYS                  errc::closed
//   any other                                 std::system_error

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <type_traits>
#include <utility>

#include <unistd.h>

#include <rondo/core/awaitable.hpp>
#include <rondo/loop/descriptors_of.hpp>
#include <rondo/loop/engine.hpp>

namespace rondo {
class registered_file;  // io/registered_file.hpp
}

namespace rondo::detail {

template <typename Kept, typename Op = std::remove_reference_t<Kept>>
class operation_state;

template <typename Op>
concept operation_of_several_steps = requires(Op& op, int& result) { op.again(result); };

template <typename Op>
inline constexpr bool gives_back = requires { requires Op::release; };

/// What `again` may end with besides an errno: the stream has ended in the middle.
inline constexpr int end_of_stream = 100'000;

/// The answer is a descriptor, delivered in an owner.
template <typename Op>
inline constexpr bool delivers_descriptor =
    requires { Op::value_type::adopt(0); } && !requires(Op& op) { op.value(0); };

}  // namespace rondo::detail

namespace rondo::io {

/// An operation that has not started: movable, and inert until it is awaited. One that has a name is
/// awaited as std::move(op), once, and stays until the await returns.
template <typename Op>
class [[nodiscard("an operation does nothing until it is awaited")]] operation
    : public detail::only_in_rondo {
 public:
  using state_type = detail::operation_state<Op>;
  explicit operation(Op op) : op_(std::move(op)) {}

 private:
  template <typename, typename>
  friend class detail::operation_state;
  friend class rondo::registered_file;
  Op op_;
};

}  // namespace rondo::io

// Implementation

namespace rondo::detail {

/// Kept: Op, or Op& for one that stays where it is.
template <typename Kept, typename Op>
class operation_state : in_flight, ready_node {
 public:
  using value_type = typename Op::value_type;

  explicit operation_state(io::operation<Op>&& description)
      : in_flight(kind), ready_node(continuation::later()), op_(static_cast<Kept&&>(description.op_)) {
    result() = -ECANCELED;
  }
  operation_state(const operation_state&) = delete;
  operation_state& operator=(const operation_state&) = delete;
  ~operation_state() {
    if constexpr (delivers_descriptor<Op>) {
      if (result() >= 0) ::close(result());  // it arrived, and nobody took it
    }
    if constexpr (std::is_reference_v<Kept> && !std::is_trivially_destructible_v<Op>) {
      const Op gone(std::move(op_));  // what was given away
    }
  }

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    line_ = &line;
    waiter = told;
    if (!gives_back<Op> && line.canceled()) [[unlikely]] {
      line.refuse(*this);  // with its result as it is: ECANCELED
      return true;
    }
    if constexpr (requires { op_.before(); }) {
      if (const int error = op_.before(); error < 0) {
        end_later(error);
        return true;
      }
    }
    if constexpr (requires { op_.call(); }) {
      end_later(op_.call());
    } else {
      ask();
    }
    return true;
  }

  [[nodiscard]] outcome how() const noexcept {
    if (result() >= 0) [[likely]] return outcome::value;
    return was_canceled() ? outcome::canceled : outcome::error;
  }

  /// What take() would throw, as a code.
  [[nodiscard]] std::error_code error() const noexcept {
    if (was_canceled()) return errc::canceled;
    if (result() == -ECANCELED) return errc::closed;
    if (result() == -end_of_stream) return errc::unexpected_eof;
    return {-result(), std::system_category()};
  }

  value_type take() {
    if (result() < 0) [[unlikely]] raise();
    if constexpr (requires { op_.value(0); }) {
      return op_.value(result());
    } else if constexpr (delivers_descriptor<Op>) {
      return value_type::adopt(std::exchange(result(), -ECANCELED));
    } else if constexpr (!std::is_void_v<value_type>) {
      return static_cast<value_type>(result());
    }
  }

 private:
  static void completed(in_flight& self, int result,
                        [[maybe_unused]] std::uint32_t flags) noexcept {
    auto& op = static_cast<operation_state&>(self);
    if constexpr (requires { op.op_.last(result, flags); }) {
      if (!op.op_.last(result, flags)) {
        op.fd = -1;  // what is to come, no close can bring about
        return;
      }
    }
    op.line_->leave();
    if (result < 0) [[unlikely]] result = op.without_interruptions(result);
    if constexpr (operation_of_several_steps<Op>) {
      if (op.op_.again(result)) {
        op.loop().go_on_later(op);
        return;
      }
    }
    op.unlink();
    op.result() = result;
    op.loop().complete(op);
  }

  /// What interrupts the kernel's threads is no error of the operation, but the end that was asked
  /// of it.
  [[nodiscard]] int without_interruptions(int result) const noexcept {
    constexpr int restart = 512;  // ERESTARTSYS: Linux lets it out of threads that it interrupts
    // A close does that, and some calls say so in their way; or it has come before the kernel looked
    // for a registered file.
    const bool closed = (result == -EINTR || result == -EBADF) && is_being_closed();
    return closed || result == -restart ? -ECANCELED : result;
  }

  [[nodiscard]] engine& loop() const noexcept { return static_cast<engine&>(line_->loop()); }
  /// The same, for what only happens while the loop runs, and without asking the line for it: behind
  /// a system call one load waits for the other, which was 9 of 190 ns of an operation alone.
  [[nodiscard]] engine& running() const noexcept {
    RONDO_ASSERT(running_loop == &line_->loop(), "an operation was started outside of its loop");
    return static_cast<engine&>(*running_loop);
  }

  void ask() noexcept {
    io_uring_sqe* const entry = reserve();
    if (entry == nullptr) [[unlikely]] return end_later(-EAGAIN);
    op_.prepare(*entry);
    if constexpr (!gives_back<Op> && !requires { Op::no_descriptor; }) {
      const entry_descriptors its = descriptors_of(*entry);
      fd = its.one;
      other = its.other;
    }
    running().launch(*entry, *this);
    if constexpr (requires { op_.name_file(*entry, running()); }) op_.name_file(*entry, running());
    line_->enter(*this);
    // Making room for the entry may have brought a completion that has canceled the line.
    if (!gives_back<Op> && line_->canceled()) [[unlikely]] running().cancel(*this);
  }

  [[nodiscard]] io_uring_sqe* reserve() noexcept {
    if constexpr (requires { op_.reserve(running()); }) {
      return op_.reserve(running());
    } else if constexpr (requires { Op::newer_opcode; }) {
      return running().reserve_for(Op::newer_opcode);
    } else {
      return running().reserve();
    }
  }

  /// It ends without the kernel, and as if by the kernel: one turn later.
  void end_later(int result) noexcept {
    this->result() = result;
    loop().push(*this);
  }

  static void next_step(in_flight& self) noexcept
    requires operation_of_several_steps<Op>
  {
    auto& op = static_cast<operation_state&>(self);
    if (!gives_back<Op> && (op.line_->canceled() || op.is_being_closed())) {
      op.result() = -ECANCELED;
      op.loop().complete(op);
    } else {
      op.ask();
    }
  }
  [[nodiscard]] bool is_being_closed() const noexcept {
    return (fd >= 0 && loop().is_being_closed(fd)) ||
           (other >= 0 && loop().is_being_closed(other));
  }

  static void cancel_it(leaf& self) noexcept {
    auto& op = static_cast<operation_state&>(self);
    if (!gives_back<Op>) op.loop().cancel(op);
  }
  static void show_descriptor(leaf& self, observer& to) {
    auto& state = static_cast<operation_state&>(self);
    if (state.fd >= 0) to.on_descriptor(state.fd);
  }
  static constexpr flight_kind make_kind() noexcept {
    flight_kind made{{Op::name, &cancel_it, &show_descriptor}, &completed};
    if constexpr (operation_of_several_steps<Op>) made.go_on = &next_step;
    return made;
  }

  [[nodiscard]] bool was_canceled() const noexcept {
    return (result() == -ECANCELED || result() == -EINTR) && line_->canceled();
  }

  [[noreturn, gnu::noinline, gnu::cold]] void raise() {
    if (was_canceled()) throw operation_canceled();
    if constexpr (requires { op_.raise(0); }) op_.raise(-result());
    if constexpr (requires { op_.what(); }) throw std::system_error(error(), op_.what());
    throw std::system_error(error(), Op::name);
  }

  /// Before it is asked and when it has ended. While it is in flight, the place is that of the
  /// second descriptor, which few have.
  [[nodiscard]] int& result() noexcept { return other; }
  [[nodiscard]] int result() const noexcept { return other; }

  static const flight_kind kind;

  Kept op_;
  scope* line_ = nullptr;
};

template <typename Kept, typename Op>
constexpr flight_kind operation_state<Kept, Op>::kind = make_kind();

/// In a coroutine: what is asked stays in the description, which outlives the await, because the
/// frame has room for that in any case.
template <typename Op>
  requires(!std::is_reference_v<Op> && sizeof(Op) > sizeof(void*))
class awaiter<operation_state<Op>> : public awaiter<operation_state<Op&>> {
 public:
  using awaiter<operation_state<Op&>>::awaiter;
};

}  // namespace rondo::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What a test may do to a loop, in the few places where everything passes: an entry that is asked
// for, entries that are handed over, completions that come back, and the order of those who are
// ready. `rondo::testing::faults` (rondo/testing.hpp) is one; a loop has none unless its options say
// so, and then nothing here costs anything per operation.

#include <cstdint>

#include <rondo/loop/liburing.hpp>

namespace rondo::detail {

class interference {
 public:
  /// What a completion says.
  struct answer {
    std::uint64_t user_data;
    int result;
    std::uint32_t flags;
  };

  interference() = default;
  interference(const interference&) = delete;
  interference& operator=(const interference&) = delete;
  virtual ~interference() = default;

  /// Whether the ring has room for as few completions as it can have.
  [[nodiscard]] virtual bool few_completions() noexcept = 0;

  /// How many entries may be asked for before the next handing over, of so many.
  virtual unsigned room(unsigned entries) noexcept = 0;
  /// A negative errno: the kernel refuses to be entered this time.
  virtual int refusal() noexcept = 0;
  /// An entry is about to be handed over; it may be changed.
  virtual void handed_over(io_uring_sqe& entry) noexcept = 0;

  /// A completion has come. It is given out by `next`, perhaps later.
  virtual void arrived(const answer& a) noexcept = 0;
  /// A round of giving out begins.
  virtual void begin_giving_out() noexcept = 0;
  /// False: there is no other one in this round.
  virtual bool next(answer& a) noexcept = 0;
  /// Whether some are kept back, so that the loop must not sleep.
  [[nodiscard]] virtual bool keeps_some() const noexcept = 0;

  /// A coin for each who is ready: heads goes first.
  virtual bool heads() noexcept = 0;
  /// How many of those who are ready have their turn before the loop looks outside again.
  virtual unsigned share() noexcept = 0;
};

}  // namespace rondo::detail

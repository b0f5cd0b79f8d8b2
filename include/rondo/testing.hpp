// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// For tests: everything that can go wrong between a program and the kernel, rehearsed. Reads and
// writes that move less than they could, operations that fail, queues that are full, completions
// that come late, and another order of the tasks that are ready; all of it drawn from a seed, so
// that a run that failed can be run again.
//
//     rondo::testing::faults faults(seed);
//     faults.short_transfers(30).late_completions(20).errors(2);
//     rondo::run(my_client(), faults.options());
//
// What is injected is what the kernel might do: no byte is lost, nothing is done twice, and what
// failed was not done. For time in tests see loop_options::virtual_time; for memory that runs out,
// rondo/testing/operator_new.hpp.

#include <cstdint>
#include <memory>
#include <utility>

#include <rondo/loop/options.hpp>
#include <rondo/testing/injector.hpp>

namespace rondo::testing {

/// What goes wrong, and how often: percentages, all 0 at first. Only the order of ready tasks is
/// always another one.
class faults {
 public:
  explicit faults(std::uint64_t seed) noexcept : plan_{seed} {}

  /// Reads, writes, receives and sends on files, pipes and connections that move less than asked; and
  /// streams of the kernel (accept_many, receive_many) that have to be asked again after each answer.
  faults& short_transfers(unsigned percent) noexcept {
    plan_.short_transfers = percent;
    return *this;
  }
  /// Operations that are not done and end with an error that theirs might end with: EIO, ECONNRESET,
  /// EMFILE and the like. A close closes all the same.
  faults& errors(unsigned percent) noexcept {
    plan_.errors = percent;
    return *this;
  }
  /// Receives that find no buffer in their buffer_ring (ENOBUFS).
  faults& no_buffers(unsigned percent) noexcept {
    plan_.no_buffers = percent;
    return *this;
  }
  /// Every operation that fails, fails with this errno.
  faults& error(int number) noexcept {
    plan_.error = number;
    return *this;
  }
  /// Completions that are kept back for some turns, behind which later ones come together.
  faults& late_completions(unsigned percent) noexcept {
    plan_.late_completions = percent;
    return *this;
  }
  /// Submission queues that are full after a few entries.
  faults& full_queues(unsigned percent) noexcept {
    plan_.full_queues = percent;
    return *this;
  }
  /// Calls into the kernel that are refused with EAGAIN, EBUSY or EINTR.
  faults& refused_calls(unsigned percent) noexcept {
    plan_.refused_calls = percent;
    return *this;
  }
  /// The kernel's completion queue is as small as it can be, so that completions overflow.
  faults& small_completion_queue() noexcept {
    plan_.small_completion_queue = true;
    return *this;
  }

  /// The same options with these faults. Each loop draws its own from the same seed.
  [[nodiscard]] loop_options options(loop_options others = {}) const {
    others.interference = std::make_shared<detail::injector>(plan_);
    return others;
  }

 private:
  detail::fault_plan plan_;
};

}  // namespace rondo::testing

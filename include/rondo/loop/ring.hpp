// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A ring: submission entries in, completions out. Everything above this file speaks that language
// and no other. `queues_` is liburing's view of the two queues; only `enter`, which hands entries
// over and waits for completions, knows who serves them, so another server of entries is another
// `enter`.
//
// The kernel ring is set up by a ladder of flags, tried from the top, because the first rung that a
// kernel accepts is also the fastest: one thread submits, completions are processed when that
// thread asks for them instead of interrupting it, and a flag tells when there are some to ask for.

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <unistd.h>

#include <rondo/config.hpp>
#include <rondo/detail/intrusive_list.hpp>
#include <rondo/loop/liburing.hpp>

namespace rondo::detail {

/// What is in flight: the address of this is the entry's user_data. `complete` is called for each
/// of its completions, while they are taken from the queue: it records and queues, and neither runs
/// user code nor asks for an entry.
struct in_flight : list_hook {
  explicit in_flight(void (*on_completion)(in_flight&, int, std::uint32_t) noexcept) noexcept
      : complete(on_completion) {}

  void (*complete)(in_flight&, int result, std::uint32_t flags) noexcept;
};

class ring {
 public:
  explicit ring(unsigned entries);
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring() {
    // A forked child shares the descriptor but not the memory, which is marked DONTFORK.
    if (::getpid() == owner_) io_uring_queue_exit(&queues_);
  }

  /// Once, on the thread that will use the ring from then on.
  void bind();

  /// A free entry, all zero, or null when the queue is full: submit then.
  [[nodiscard]] io_uring_sqe* reserve() noexcept {
    io_uring_sq& sq = queues_.sq;
    const unsigned head = __atomic_load_n(sq.khead, __ATOMIC_ACQUIRE);
    if (sq.sqe_tail - head >= sq.ring_entries) return nullptr;
    io_uring_sqe& entry = sq.sqes[sq.sqe_tail++ & sq.ring_mask];
    entry =
        io_uring_sqe{};  // newer liburings' prep functions leave the rest as an earlier use left it
    return &entry;
  }

  [[nodiscard]] bool has_unsubmitted() const noexcept {
    return queues_.sq.sqe_tail != __atomic_load_n(queues_.sq.khead, __ATOMIC_ACQUIRE);
  }

  /// Whether the kernel holds completions that only a call will bring (deferred work, overflow).
  [[nodiscard]] bool kernel_has_work() const noexcept {
    return (__atomic_load_n(queues_.sq.kflags, __ATOMIC_RELAXED) &
            (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
  }

  /// Hands all entries over and collects what has completed, in one system call. With `wait` it
  /// sleeps until there is a completion or `timeout` (relative; null: none) has passed. Gives a
  /// negative errno when the kernel took nothing; entries stay queued then.
  int enter(bool wait, __kernel_timespec* timeout) noexcept {
    ++calls_;
    if (!wait) return io_uring_submit_and_get_events(&queues_);
    if (timeout == nullptr) return io_uring_submit_and_wait(&queues_, 1);
    io_uring_cqe* first = nullptr;
    return io_uring_submit_and_wait_timeout(&queues_, &first, 1, timeout, nullptr);
  }

  /// From now on there is a write to this eventfd when completions have come; to be called again
  /// after each enter. Gives 0 or a negative errno.
  int notify(int eventfd) noexcept;
  [[nodiscard]] bool has_completions() const noexcept { return io_uring_cq_ready(&queues_) != 0; }

  /// Tells each owner about its completions. Gives how many there were.
  unsigned reap() noexcept {
    io_uring_cqe* cqe = nullptr;
    unsigned head = 0;
    unsigned count = 0;
    io_uring_for_each_cqe(&queues_, head, cqe) {
      ++count;
      if (cqe->user_data == 0)
        continue;  // of a cancel request: what it canceled answers for itself
      auto& owner = *reinterpret_cast<in_flight*>(static_cast<std::uintptr_t>(cqe->user_data));
      owner.complete(owner, cqe->res, cqe->flags);
    }
    io_uring_cq_advance(&queues_, count);
    return count;
  }

  [[nodiscard]] std::string_view description() const noexcept { return description_; }
  [[nodiscard]] std::uint64_t system_calls() const noexcept { return calls_; }

 private:
  io_uring queues_{};
  std::string description_;
  std::uint64_t calls_ = 0;
  std::uint64_t notified_after_ = ~std::uint64_t{0};  // so many calls
  pid_t owner_ = ::getpid();
};

// Implementation

/// Says what is wrong and what to do about it.
[[noreturn]] inline void throw_no_ring(int error, std::string_view call, unsigned entries) {
  std::string text(call);
  switch (error) {
    case EPERM:
    case EACCES:
      text +=
          " is refused: a seccomp profile (Docker's and containerd's default is one) or the sysctl "
          "kernel.io_uring_disabled forbids io_uring. Allow io_uring_setup, io_uring_enter and "
          "io_uring_register in the profile (docker run --security-opt seccomp=PROFILE), or set "
          "the "
          "sysctl to 0";
      break;
    case ENOSYS:
      text +=
          " does not exist here: the kernel was built without io_uring, or a seccomp profile hides "
          "it. rondo needs Linux 6.1 or newer with io_uring allowed";
      break;
    case ENOMEM:
      text += " found no memory for " + std::to_string(entries) +
              " entries: the limit on locked memory is too low. Raise it (ulimit -l, "
              "LimitMEMLOCK= in a systemd unit, --ulimit memlock= for docker run) or ask for fewer "
              "entries in loop_options";
      break;
    case EMFILE:
    case ENFILE:
      text += " found no free descriptor: raise the limit on open files (ulimit -n)";
      break;
    case EINVAL:
      text += " does not know what rondo asks for: rondo needs Linux 6.1 or newer";
      break;
    default:
      text += " failed";
  }
  throw std::system_error(error, std::generic_category(), text);
}

inline ring::ring(unsigned entries) {
  entries = std::clamp(entries, 1U, 32768U);  // what the kernel can do (IORING_MAX_ENTRIES)
  struct rung {
    unsigned flags;
    const char* name;
  };
  constexpr unsigned always = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE |
                              IORING_SETUP_R_DISABLED;
  constexpr rung ladder[] = {
      {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
       "io_uring: SINGLE_ISSUER DEFER_TASKRUN"},
      {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, "io_uring: COOP_TASKRUN"},
      {0, "io_uring: no flags"},
  };
  int error = EINVAL;
  for (const rung& r : ladder) {
    io_uring_params params{};
    params.flags = always | r.flags;
    params.cq_entries = entries * 16;  // completions come in bursts; overflowing is slow, not wrong
    error = -io_uring_queue_init_params(entries, &queues_, &params);
    if (error == 0) {
      description_ = r.name;
      constexpr unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
      if ((params.features & needed) != needed) {
        io_uring_queue_exit(&queues_);
        error = EINVAL;
        break;
      }
      io_uring_ring_dontfork(&queues_);
      return;
    }
    if (error != EINVAL) break;
  }
  throw_no_ring(error, "io_uring_setup", entries);
}

inline void ring::bind() {
  // By number: liburing 2.3 declares a function for this and does not export it.
  if (const int result = io_uring_register(static_cast<unsigned>(queues_.ring_fd),
                                           IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
      result < 0) {
    throw_no_ring(-result, "io_uring_register", queues_.sq.ring_entries);
  }
  io_uring_register_ring_fd(&queues_);  // saves a look-up per call; works without

  // A ring is believed when it has carried something: some profiles let it be set up and no more.
  io_uring_prep_nop(reserve());
  io_uring_cqe* answer = nullptr;
  const int submitted = io_uring_submit_and_wait(&queues_, 1);
  const int result = submitted < 0 ? submitted : io_uring_peek_cqe(&queues_, &answer);
  if (result < 0) throw_no_ring(-result, "io_uring_enter", queues_.sq.ring_entries);
  io_uring_cqe_seen(&queues_, answer);
}

/// Why again: when the cause of a completion is itself a write to an eventfd, Linux puts its own
/// write off, and some versions (6.18 is one) do so only once after each registration and never
/// write again.
inline int ring::notify(int eventfd) noexcept {
  if (notified_after_ == calls_) return 0;
  io_uring_unregister_eventfd(&queues_);
  const int result = io_uring_register_eventfd(&queues_, eventfd);
  if (result == 0) notified_after_ = calls_;
  return result;
}

}  // namespace rondo::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// How the kernel's ring is set up: a ladder of flags, tried from the top, because the first rung
// that a kernel accepts is also the fastest. One thread submits, completions are processed when
// that thread asks for them instead of interrupting it, and a flag tells when there are some to ask
// for.
//
// Nothing here throws: what fails is told, and the caller may take another ring.

#include <bitset>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <rondo/loop/backend.hpp>
#include <rondo/loop/liburing.hpp>
#include <rondo/loop/own_descriptor.hpp>

namespace rondo::detail {

class kernel_ring {
 public:
  /// The opcodes that a kernel knows.
  using opcodes = std::bitset<256>;

  /// Sets up `queues`, disabled until the thread that will use them enables them.
  static ring_failure set_up(io_uring& queues, unsigned entries, unsigned completion_entries,
                             const char*& flags_in_words, opcodes& known) noexcept {
    struct rung {
      unsigned flags;
      const char* name;
    };
    constexpr unsigned always = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP |
                                IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
    constexpr rung ladder[] = {
        {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
         "SINGLE_ISSUER DEFER_TASKRUN"},
        {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, "COOP_TASKRUN"},
        {0, "no flags"},
    };
    int error = EINVAL;
    for (const rung& r : ladder) {
      io_uring_params params{};
      params.flags = always | r.flags;
      params.cq_entries = completion_entries;
      error = -io_uring_queue_init_params(entries, &queues, &params);
      if (error == EINVAL) continue;
      if (error != 0) break;
      flags_in_words = r.name;
      constexpr unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
      ring_failure failure = ask_opcodes(queues, known);
      const bool too_old = (params.features & needed) != needed || !known[IORING_OP_SENDMSG_ZC];
      if (failure.error == 0 && too_old) failure = {EINVAL, "io_uring_setup"};
      queues.ring_fd = queues.enter_ring_fd = out_of_the_way(queues.ring_fd);
      if (failure.error == 0 && queues.ring_fd < 0) failure = {errno, "fcntl"};
      if (failure.error == 0) {
        io_uring_ring_dontfork(&queues);
      } else {
        io_uring_queue_exit(&queues);
      }
      return failure;
    }
    return {error, "io_uring_setup"};
  }

  /// Once, on the thread that will use the ring from then on. A ring is believed when it has
  /// carried something: some profiles let it be set up and no more.
  static ring_failure enable(io_uring& queues, io_uring_sqe& entry) noexcept {
    // By number: liburing 2.3 declares a function for this and does not export it.
    const int enabled = io_uring_register(static_cast<unsigned>(queues.ring_fd),
                                          IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    if (enabled < 0) return {-enabled, "io_uring_register"};
    io_uring_register_ring_fd(&queues);  // saves a look-up per call; works without

    io_uring_prep_nop(&entry);
    io_uring_cqe* answer = nullptr;
    const int submitted = io_uring_submit_and_wait(&queues, 1);
    const int result = submitted < 0 ? submitted : io_uring_peek_cqe(&queues, &answer);
    if (result < 0) return {-result, "io_uring_enter"};
    io_uring_cqe_seen(&queues, answer);
    return {};
  }

 private:
  /// Linux 6.1, the oldest that is good enough, was the first to know SENDMSG_ZC.
  static ring_failure ask_opcodes(io_uring& queues, opcodes& known) noexcept {
    constexpr unsigned most = 256;
    alignas(io_uring_probe) unsigned char
        memory[sizeof(io_uring_probe) + most * sizeof(io_uring_probe_op)] = {};
    auto* const probe = reinterpret_cast<io_uring_probe*>(memory);
    const int result = io_uring_register(static_cast<unsigned>(queues.ring_fd),
                                         IORING_REGISTER_PROBE, probe, most);
    if (result < 0) return {-result, "io_uring_register"};
    const auto* const ops =
        reinterpret_cast<const io_uring_probe_op*>(memory + sizeof(io_uring_probe));
    for (unsigned i = 0; i < probe->ops_len; ++i) {
      if ((ops[i].flags & IO_URING_OP_SUPPORTED) != 0) known.set(ops[i].op);
    }
    return {};
  }
};

}  // namespace rondo::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// How faults are brought about, see rondo/testing.hpp. An entry is changed on its way to the ring:
//
//   a short transfer    asks for less; what stays until it is canceled is asked for once
//   an error            becomes a NOP; its completion is given the error on the way back
//
// so the ring does only what the program is then told.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <random>
#include <unordered_map>
#include <vector>

#include <rondo/loop/interference.hpp>

namespace rondo::testing::detail {

struct fault_plan {
  std::uint64_t seed = 0;
  unsigned short_transfers = 0;  // per cent
  unsigned errors = 0;
  unsigned no_buffers = 0;
  unsigned late_completions = 0;
  unsigned full_queues = 0;
  unsigned refused_calls = 0;
  int error = 0;  // 0: one of those that the operation might end with
  bool small_completion_queue = false;
};

/// The same numbers on every machine.
class dice {
 public:
  explicit dice(std::uint64_t seed) noexcept : engine_(seed) {}

  /// 0 ... sides - 1.
  unsigned roll(unsigned sides) noexcept { return static_cast<unsigned>(engine_() % sides); }
  bool hits(unsigned percent) noexcept { return percent != 0 && roll(100) < percent; }

 private:
  std::mt19937_64 engine_;
};

class injector final : public rondo::detail::interference {
 public:
  explicit injector(const fault_plan& plan) : plan_(plan), dice_(plan.seed) {}

  [[nodiscard]] bool few_completions() noexcept override { return plan_.small_completion_queue; }
  unsigned room(unsigned entries) noexcept override {
    return dice_.hits(plan_.full_queues) ? 1 + dice_.roll(entries) / 8 : entries;
  }
  int refusal() noexcept override {
    if (!dice_.hits(plan_.refused_calls)) return 0;
    constexpr int answers[] = {-EAGAIN, -EBUSY, -EINTR};
    return answers[dice_.roll(3)];
  }

  void handed_over(io_uring_sqe& entry) noexcept override {
    if (entry.user_data == 0) return;
    const bool chooses = (entry.flags & IOSQE_BUFFER_SELECT) != 0;
    if (chooses && dice_.hits(plan_.no_buffers)) {
      fail(entry, -ENOBUFS);
    } else if (dice_.hits(plan_.errors)) {
      fail(entry, error_for(entry.opcode));
    } else if (dice_.hits(plan_.short_transfers)) {
      shorten(entry);
    }
  }

  void arrived(const answer& a) noexcept override {
    answer changed = a;
    if (const auto fate = fates_.find(a.user_data); fate != fates_.end()) {
      changed.result = fate->second;
      fates_.erase(fate);
    }
    // Completions of one operation stay in their order.
    const auto same = std::find_if(kept_.rbegin(), kept_.rend(), [&a](const kept& k) noexcept {
      return k.a.user_data == a.user_data;
    });
    const unsigned late = dice_.hits(plan_.late_completions) ? 1 + dice_.roll(8) : 0;
    kept_.push_back({changed, std::max(late, same != kept_.rend() ? same->rounds : 0)});
  }
  void begin_giving_out() noexcept override { looked_at_ = 0; }
  bool next(answer& a) noexcept override {
    for (; looked_at_ < kept_.size(); ++looked_at_) {
      kept& k = kept_[looked_at_];
      if (k.rounds != 0) {
        --k.rounds;
        continue;
      }
      a = k.a;
      kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(looked_at_));
      return true;
    }
    return false;
  }
  [[nodiscard]] bool keeps_some() const noexcept override { return !kept_.empty(); }

  bool heads() noexcept override { return dice_.roll(2) == 0; }
  unsigned share() noexcept override { return 1 + dice_.roll(16); }

 private:
  struct kept {
    answer a;
    unsigned rounds;  // to come before it is given out
  };

  static bool is_transfer(unsigned opcode) noexcept {
    return opcode == IORING_OP_READ || opcode == IORING_OP_WRITE ||
           opcode == IORING_OP_READ_FIXED || opcode == IORING_OP_WRITE_FIXED ||
           opcode == IORING_OP_RECV || opcode == IORING_OP_SEND;
  }
  /// Less is a normal answer: not for messages, whose rest would be lost, and not for the kernel's
  /// own files, which refuse it.
  static bool may_be_short(int fd) noexcept {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return false;
    if (S_ISREG(info.st_mode) || S_ISFIFO(info.st_mode)) return true;
    int type = 0;
    socklen_t size = sizeof type;
    return S_ISSOCK(info.st_mode) &&
           ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
  }
  void shorten(io_uring_sqe& entry) noexcept {
    if (entry.opcode == IORING_OP_ACCEPT) {
      entry.ioprio &= static_cast<std::uint16_t>(~IORING_ACCEPT_MULTISHOT);
    }
    if (entry.opcode == IORING_OP_RECV) {
      entry.ioprio &= static_cast<std::uint16_t>(~IORING_RECV_MULTISHOT);
    }
    if (!is_transfer(entry.opcode) || entry.len < 2 || (entry.flags & IOSQE_FIXED_FILE) != 0 ||
        !may_be_short(entry.fd)) {
      return;
    }
    entry.len = 1 + dice_.roll(entry.len - 1);
    if (entry.opcode == IORING_OP_RECV || entry.opcode == IORING_OP_SEND) {
      entry.msg_flags &= ~static_cast<unsigned>(MSG_WAITALL);
    }
  }

  int one_of(std::initializer_list<int> errors) noexcept {
    if (plan_.error != 0) return -plan_.error;
    return -*(errors.begin() + dice_.roll(static_cast<unsigned>(errors.size())));
  }
  int error_for(unsigned opcode) noexcept {
    switch (opcode) {
      case IORING_OP_READ:
      case IORING_OP_READ_FIXED:
      case IORING_OP_READV:
      case IORING_OP_FSYNC:
      case IORING_OP_CLOSE:
        return one_of({EIO});
      case IORING_OP_WRITE:
      case IORING_OP_WRITE_FIXED:
      case IORING_OP_WRITEV:
      case IORING_OP_FALLOCATE:
        return one_of({EIO, ENOSPC, EDQUOT});
      case IORING_OP_RECV:
      case IORING_OP_RECVMSG:
        return one_of({ECONNRESET, ETIMEDOUT, ENOBUFS});
      case IORING_OP_SEND:
      case IORING_OP_SENDMSG:
        return one_of({EPIPE, ECONNRESET, ENOBUFS});
      case IORING_OP_ACCEPT:
        return one_of({EMFILE, ENFILE, ECONNABORTED, ENOMEM});
      case IORING_OP_CONNECT:
        return one_of({ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH});
      case IORING_OP_OPENAT:
      case IORING_OP_SOCKET:
        return one_of({EMFILE, ENFILE, ENOMEM});
      default:
        return one_of({ENOMEM, EAGAIN});
    }
  }
  void fail(io_uring_sqe& entry, int error) noexcept {
    if (entry.opcode == IORING_OP_ASYNC_CANCEL || entry.opcode == IORING_OP_POLL_REMOVE) return;
    try {
      fates_[entry.user_data] = error;
    } catch (const std::bad_alloc&) {
      return;
    }
    if (entry.opcode == IORING_OP_CLOSE) return;  // it is done all the same
    const std::uint64_t user_data = entry.user_data;
    entry = io_uring_sqe{};
    io_uring_prep_nop(&entry);
    entry.user_data = user_data;
  }

  fault_plan plan_;
  dice dice_;
  std::unordered_map<std::uint64_t, int> fates_;  // what an operation is told in the end
  std::vector<kept> kept_;
  std::size_t looked_at_ = 0;
};

}  // namespace rondo::testing::detail

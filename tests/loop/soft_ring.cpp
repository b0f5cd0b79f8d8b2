// SPDX-License-Identifier: BSL-1.0

// The server of the soft ring by itself: entries in, completions out, and nothing above it.

#include <rondo/loop/soft_ring.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "loop/gate_of_calls.hpp"
#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::detail::loop_threads;
using rondo::detail::soft_ring;
namespace opcode = rondo::detail::opcode;

namespace {

struct answer {
  std::uint64_t to;
  int result;
  std::uint32_t flags;
  friend bool operator==(const answer&, const answer&) = default;
  friend std::ostream& operator<<(std::ostream& out, const answer& a) {
    return out << "{to " << a.to << ": " << a.result << ", flags " << a.flags << "}";
  }
};

class server {
 public:
  explicit server(unsigned entries = 8, std::size_t threads = 4)
      : threads_(threads), ring_(queues_, entries, threads_) {}
  ~server() { threads_.end(); }

  /// An entry that names itself by a number.
  io_uring_sqe* ask(std::uint64_t number) {
    io_uring_sq& sq = queues_.sq;
    REQUIRE(sq.sqe_tail - *sq.khead < sq.ring_entries);
    io_uring_sqe& e = sq.sqes[sq.sqe_tail++ & sq.ring_mask];
    e = io_uring_sqe{};
    number_ = number;
    last_ = &e;
    return &e;
  }
  /// To be called after the prep function, which sets user_data.
  void named() { last_->user_data = number_; }

  int enter(bool wait = false, std::chrono::milliseconds limit = 5s) {
    __kernel_timespec t{limit.count() / 1000, limit.count() % 1000 * 1'000'000};
    return ring_.enter(wait, &t);
  }
  /// What is in the completion queue.
  std::vector<answer> take() {
    std::vector<answer> all;
    io_uring_cqe* cqe = nullptr;
    unsigned head = 0;
    unsigned count = 0;
    io_uring_for_each_cqe(&queues_, head, cqe) {
      all.push_back({cqe->user_data, cqe->res, cqe->flags});
      ++count;
    }
    io_uring_cq_advance(&queues_, count);
    return all;
  }
  /// What is there after handing everything over, without waiting.
  std::vector<answer> at_once() {
    enter();
    return take();
  }
  /// The same, after waiting until there is something.
  std::vector<answer> later() {
    for (int i = 0; i < 100; ++i) {
      enter(true);
      std::vector<answer> all = take();
      if (!all.empty()) return all;
    }
    FAIL("nothing was answered");
    return {};
  }
  /// So many answers, by whom they are for, in whatever order they come.
  std::map<std::uint64_t, int> results_of(std::size_t count) {
    std::map<std::uint64_t, int> results;
    while (results.size() < count) {
      for (const answer& a : later()) results[a.to] = a.result;
    }
    return results;
  }
  answer one_later() {
    const auto all = later();
    REQUIRE(all.size() == 1);
    return all.front();
  }
  [[nodiscard]] bool overflowing() const {
    return (*queues_.sq.kflags & IORING_SQ_CQ_OVERFLOW) != 0;
  }
  [[nodiscard]] bool pending() const { return (*queues_.sq.kflags & IORING_SQ_TASKRUN) != 0; }
  [[nodiscard]] unsigned unsubmitted() const { return queues_.sq.sqe_tail - *queues_.sq.khead; }
  soft_ring& ring() { return ring_; }

  void poll(std::uint64_t number, int fd, unsigned events) {
    io_uring_prep_poll_add(ask(number), fd, events);
    named();
  }
  void recv(std::uint64_t number, int fd, void* to, std::size_t size, int flags = 0) {
    io_uring_prep_recv(ask(number), fd, to, size, flags);
    named();
  }
  void cancel(std::uint64_t number, std::uint64_t whom, unsigned flags = 0) {
    io_uring_prep_cancel64(ask(number), whom, static_cast<int>(flags));
    named();
  }
  void cancel_fd(std::uint64_t number, int fd, unsigned flags) {
    io_uring_prep_cancel_fd(ask(number), fd, flags);
    named();
  }
  void until_unused(std::uint64_t number, int fd) {
    io_uring_prep_rw(opcode::until_unused, ask(number), fd, nullptr, 0, 0);
    named();
  }
  void close(std::uint64_t number, int fd) {
    io_uring_prep_close(ask(number), fd);
    named();
  }

 private:
  io_uring queues_{};
  loop_threads threads_;
  soft_ring ring_;
  std::uint64_t number_ = 0;
  io_uring_sqe* last_ = nullptr;
};

void write_byte(int fd, char byte = 'x') { REQUIRE(::write(fd, &byte, 1) == 1); }

/// Its answer will be 7.
void ask_gate(server& s, std::uint64_t number, int fd) {
  io_uring_prep_rw(gated, s.ask(number), fd, nullptr, 7, 0);
  s.named();
}

}  // namespace

// Entries

TEST_CASE("the soft ring takes every entry once, and answers each") {
  server s(4);
  for (std::uint64_t round = 0; round < 100; ++round) {
    for (std::uint64_t i = 0; i < 4; ++i) {
      io_uring_prep_nop(s.ask(round * 4 + i));
      s.named();
    }
    CHECK(s.enter() == 4);
    const auto answers = s.take();
    REQUIRE(answers.size() == 4);
    for (std::uint64_t i = 0; i < 4; ++i) CHECK(answers[i] == answer{round * 4 + i, 0, 0});
  }
}

TEST_CASE("what the soft ring does not know ends with EOPNOTSUPP") {
  server s;
  io_uring_prep_rw(IORING_OP_URING_CMD, s.ask(1), 0, nullptr, 0, 0);
  s.named();
  io_uring_prep_rw(250, s.ask(2), 0, nullptr, 0, 0);
  s.named();
  for (const unsigned opcode : {IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED}) {
    io_uring_prep_rw(static_cast<int>(opcode), s.ask(100 + opcode), 0, nullptr, 0, 0);
    s.named();
    s.enter();
  }
  for (const unsigned flag : {IOSQE_FIXED_FILE, IOSQE_IO_LINK, IOSQE_IO_HARDLINK, IOSQE_IO_DRAIN,
                              IOSQE_CQE_SKIP_SUCCESS}) {
    io_uring_sqe* const e = s.ask(flag);
    io_uring_prep_nop(e);
    e->flags = static_cast<__u8>(flag);
    s.named();
    s.enter();
  }
  const auto answers = s.at_once();
  CHECK(answers.size() == 9);
  for (const answer& a : answers) CHECK(a.result == -EOPNOTSUPP);
}

TEST_CASE("a function for an opcode carries it out on a thread") {
  const std::thread::id here = std::this_thread::get_id();
  static std::thread::id there;
  rondo::io::register_emulation(201, [](const io_uring_sqe& e) -> int {
    there = std::this_thread::get_id();
    return static_cast<int>(e.len) * 2;
  });
  server s;
  io_uring_prep_rw(201, s.ask(1), -1, nullptr, 21, 0);
  s.named();
  CHECK(s.one_later() == answer{1, 42, 0});
  CHECK(there != here);
  rondo::io::register_emulation(201, nullptr);
}

// Completions

TEST_CASE("more answers than the queue holds are kept, and none is lost or given twice") {
  server s(1);  // 16 completions
  sockets pair;
  constexpr std::uint64_t count = 300;
  for (std::uint64_t i = 0; i < count; ++i) {
    s.poll(i, pair.a.native_handle(), POLLIN);
    CHECK(s.enter() == 1);
  }
  CHECK_FALSE(s.overflowing());
  write_byte(pair.b.native_handle());
  s.enter(true);
  CHECK(s.overflowing());
  std::map<std::uint64_t, int> seen;
  for (int round = 0; round < 100 && seen.size() < count; ++round) {
    for (const answer& a : s.take()) {
      CHECK(a.result == POLLIN);
      ++seen[a.to];
    }
    s.enter();
  }
  CHECK(seen.size() == count);
  for (const auto& [number, times] : seen) CHECK(times == 1);
  CHECK_FALSE(s.overflowing());
  CHECK(s.take().empty());
}

TEST_CASE("entries whose answers have no room stay in their queue") {
  server s(8);  // 128 completions
  std::uint64_t asked = 0;
  for (int round = 0; round < 100; ++round) {
    while (s.unsubmitted() < 8) {
      io_uring_prep_nop(s.ask(asked++));
      s.named();
    }
    s.enter();
  }
  CHECK(s.unsubmitted() == 8);
  std::uint64_t next = 0;
  while (next < asked) {
    const auto answers = s.take();
    REQUIRE_FALSE(answers.empty());
    for (const answer& a : answers) CHECK(a == answer{next++, 0, 0});
    s.enter();
  }
}

TEST_CASE("a cancel request has room for its answer, however many it cancels") {
  server s(2);  // 32 completions
  sockets pair;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    s.poll(i, pair.a.native_handle(), POLLIN);
    s.enter();
  }
  s.cancel_fd(1000, pair.a.native_handle(), IORING_ASYNC_CANCEL_ALL);
  std::map<std::uint64_t, int> results;
  s.enter();
  for (int round = 0; round < 20; ++round) {
    for (const answer& a : s.take()) {
      CHECK(results.count(a.to) == 0);
      results[a.to] = a.result;
    }
    s.enter();
  }
  CHECK(results.size() == 101);
  CHECK(results[1000] == 100);
  for (std::uint64_t i = 1; i <= 100; ++i) CHECK(results[i] == -ECANCELED);
}

TEST_CASE("nothing to wait for: enter sleeps until the time is up, and says so") {
  server s;
  const auto begun = std::chrono::steady_clock::now();
  int result = 0;
  do {
    result = s.enter(true, 30ms);
  } while (result == -EINTR);  // a signal that was for somebody else
  CHECK(result == -ETIME);
  CHECK(std::chrono::steady_clock::now() - begun >= 30ms);
  CHECK_FALSE(s.pending());
}

TEST_CASE("pending says whether something will come, and the descriptor when it has") {
  server s;
  sockets pair;
  s.poll(1, pair.a.native_handle(), POLLIN);
  s.enter();
  CHECK(s.pending());
  pollfd p{s.ring().pollable(), POLLIN, 0};
  CHECK(::poll(&p, 1, 0) == 0);
  write_byte(pair.b.native_handle());
  CHECK(::poll(&p, 1, 1000) == 1);
  CHECK(s.at_once() == std::vector<answer>{{1, POLLIN, 0}});
  CHECK_FALSE(s.pending());
}

// Order and readiness

TEST_CASE("those who wait for one descriptor are served in their order, each with its part") {
  server s;
  sockets pair;
  std::array<char, 4> bytes{};
  for (std::uint64_t i = 0; i < 4; ++i) s.recv(i, pair.a.native_handle(), &bytes[i], 1);
  CHECK(s.at_once().empty());
  REQUIRE(::send(pair.b.native_handle(), "abc", 3, 0) == 3);
  const auto first = s.later();
  CHECK(first == std::vector<answer>{{0, 1, 0}, {1, 1, 0}, {2, 1, 0}});
  // A newcomer does not overtake.
  char late = 0;
  s.recv(4, pair.a.native_handle(), &late, 1);
  REQUIRE(::send(pair.b.native_handle(), "de", 2, 0) == 2);
  std::vector<answer> second = s.later();
  if (second.size() == 1) second.push_back(s.one_later());
  CHECK(second == std::vector<answer>{{3, 1, 0}, {4, 1, 0}});
  CHECK(std::string(bytes.data(), 4) + late == "abcde");
}

TEST_CASE("reading and writing wait side by side on one descriptor") {
  server s;
  sockets pair;
  const std::string block(4096, 'x');
  while (::send(pair.a.native_handle(), block.data(), block.size(), MSG_DONTWAIT) > 0) {
  }
  char byte = 0;
  s.recv(1, pair.a.native_handle(), &byte, 1);
  io_uring_prep_send(s.ask(2), pair.a.native_handle(), "y", 1, 0);
  s.named();
  s.poll(3, pair.a.native_handle(), POLLOUT);
  CHECK(s.at_once().empty());
  write_byte(pair.b.native_handle(), 'r');
  CHECK(s.one_later() == answer{1, 1, 0});
  CHECK(byte == 'r');
  std::array<char, 65536> taken;
  while (::recv(pair.b.native_handle(), taken.data(), taken.size(), MSG_DONTWAIT) > 0) {
  }
  auto results = s.results_of(2);
  CHECK(results == std::map<std::uint64_t, int>{{2, 1}, {3, POLLOUT}});
}

TEST_CASE("a receive that took everything is followed by one that waits, and misses nothing") {
  server s;
  sockets pair;
  for (int i = 0; i < 1000; ++i) {
    std::array<char, 16> bytes{};
    const bool before = i % 2 == 0;
    if (before) REQUIRE(::send(pair.b.native_handle(), "ping", 4, 0) == 4);
    s.recv(1, pair.a.native_handle(), bytes.data(), bytes.size());
    if (!before) {
      CHECK(s.at_once().empty());
      REQUIRE(::send(pair.b.native_handle(), "ping", 4, 0) == 4);
    }
    REQUIRE(s.one_later() == answer{1, 4, 0});
  }
}

TEST_CASE("datagrams that came together are received one after the other, without waiting") {
  server s;
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) == 0);
  const rondo::descriptor a(fds[0]);
  const rondo::descriptor b(fds[1]);
  std::array<char, 16> bytes{};
  for (int round = 0; round < 3; ++round) {
    s.recv(1, a.native_handle(), bytes.data(), bytes.size());
    CHECK(s.at_once().empty());
    for (int i = 0; i < 3; ++i) REQUIRE(::send(b.native_handle(), "datagram", 8, 0) == 8);
    CHECK(s.one_later() == answer{1, 8, 0});
    for (const std::uint64_t i : {2U, 3U}) {
      s.recv(i, a.native_handle(), bytes.data(), bytes.size());
      CHECK(s.at_once() == std::vector<answer>{{i, 8, 0}});
    }
  }
}

TEST_CASE("after a look at what has come, and at the end, a receive is answered at once") {
  server s;
  sockets pair;
  std::array<char, 16> bytes{};
  const auto receive = [&](std::uint64_t number, int flags) {
    s.recv(number, pair.a.native_handle(), bytes.data(), bytes.size(), flags);
    return s.at_once();
  };
  CHECK(receive(1, 0).empty());
  write_byte(pair.b.native_handle());
  CHECK(s.one_later() == answer{1, 1, 0});
  CHECK(receive(2, 0).empty());
  write_byte(pair.b.native_handle());
  CHECK(s.one_later() == answer{2, 1, 0});
  write_byte(pair.b.native_handle());
  CHECK(receive(3, MSG_PEEK) == std::vector<answer>{{3, 1, 0}});
  CHECK(receive(4, MSG_PEEK) == std::vector<answer>{{4, 1, 0}});
  CHECK(receive(5, 0) == std::vector<answer>{{5, 1, 0}});
  pair.b = rondo::descriptor();
  CHECK(receive(6, 0) == std::vector<answer>{{6, 0, 0}});
  CHECK(receive(7, 0) == std::vector<answer>{{7, 0, 0}});
}

// Numbers that are used again

TEST_CASE("a descriptor that was closed while it waited for nobody is not confused with the next") {
  server s;
  std::array<char, 8> bytes{};
  for (const bool kept_open_elsewhere : {false, true}) {
    CAPTURE(kept_open_elsewhere);
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    rondo::descriptor copy;
    if (kept_open_elsewhere) copy = rondo::descriptor(::dup(fds[0]));
    const rondo::descriptor old_peer(fds[1]);
    s.recv(1, fds[0], bytes.data(), bytes.size());  // epoll hears of the number
    CHECK(s.at_once().empty());
    s.cancel(2, 1);
    CHECK(s.at_once().size() == 2);
    ::close(fds[0]);

    int next[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, next) == 0);
    REQUIRE(next[0] == fds[0]);
    const rondo::descriptor mine(next[0]);
    const rondo::descriptor peer(next[1]);
    s.recv(3, mine.native_handle(), bytes.data(), bytes.size());
    CHECK(s.at_once().empty());
    if (kept_open_elsewhere) write_byte(old_peer.native_handle());  // about the life before
    CHECK(s.at_once().empty());
    CHECK(s.at_once().empty());
    write_byte(peer.native_handle(), 'n');
    CHECK(s.one_later() == answer{3, 1, 0});
    CHECK(bytes[0] == 'n');
  }
}

TEST_CASE("a number that epoll has reported about is checked, in case it is another descriptor's") {
  for (const bool asleep : {true, false}) {
    CAPTURE(asleep);
    server s;
    std::array<char, 8> bytes{};
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    rondo::descriptor old_peer(fds[1]);
    for (int i = 0; i < 3; ++i) {
      s.recv(1, fds[0], bytes.data(), bytes.size());
      CHECK(s.at_once().empty());
      write_byte(old_peer.native_handle());
      CHECK(s.one_later() == answer{1, 1, 0});
    }
    ::close(fds[0]);
    int next[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, next) == 0);
    REQUIRE(next[0] == fds[0]);
    const rondo::descriptor mine(next[0]);
    const rondo::descriptor peer(next[1]);
    s.recv(2, mine.native_handle(), bytes.data(), bytes.size());
    s.poll(3, mine.native_handle(), POLLIN);
    CHECK(s.at_once().empty());
    write_byte(peer.native_handle(), 'n');
    std::vector<answer> answers;
    for (int i = 0; i < 70 && answers.empty(); ++i) {
      s.enter(asleep);
      answers = s.take();
    }
    CHECK(answers == std::vector<answer>{{2, 1, 0}});
    write_byte(peer.native_handle(), 'm');
    CHECK(s.one_later() == answer{3, POLLIN, 0});
  }
}

TEST_CASE("a limit is kept while beliefs are checked") {
  server s;
  sockets pair;
  std::array<char, 8> bytes{};
  for (const auto limit : {1ms, 2ms, 3ms, 30ms}) {
    s.recv(1, pair.a.native_handle(), bytes.data(), bytes.size());
    CHECK(s.at_once().empty());
    write_byte(pair.b.native_handle());
    CHECK(s.one_later() == answer{1, 1, 0});
    s.recv(2, pair.a.native_handle(), bytes.data(), bytes.size());
    const auto begun = std::chrono::steady_clock::now();
    CHECK(s.enter(true, limit) < 2);
    const auto passed = std::chrono::steady_clock::now() - begun;
    CHECK(passed >= limit);
    CHECK(passed < limit + 200ms);
    s.cancel(3, 2);
    CHECK(s.at_once().size() == 2);
  }
}

TEST_CASE("a poll is not answered for a descriptor's earlier life") {
  server s;
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  const rondo::descriptor copy(::dup(fds[0]));
  const rondo::descriptor old_peer(fds[1]);
  s.poll(1, fds[0], POLLIN);
  CHECK(s.at_once().empty());
  s.cancel(2, 1);
  CHECK(s.at_once().size() == 2);
  ::close(fds[0]);
  int next[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, next) == 0);
  REQUIRE(next[0] == fds[0]);
  const rondo::descriptor mine(next[0]);
  const rondo::descriptor peer(next[1]);
  s.poll(3, mine.native_handle(), POLLIN);
  CHECK(s.at_once().empty());
  write_byte(old_peer.native_handle());
  CHECK(s.at_once().empty());
  write_byte(peer.native_handle());
  CHECK(s.one_later() == answer{3, POLLIN, 0});
}

TEST_CASE("whoever waits for a descriptor that somebody closes with close(2) waits no longer than "
          "until it is used again") {
  server s;
  std::array<char, 8> bytes{};
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  const rondo::descriptor old_peer(fds[1]);
  s.recv(1, fds[0], bytes.data(), bytes.size());
  CHECK(s.at_once().empty());
  ::close(fds[0]);
  s.recv(2, fds[0], bytes.data() + 1, 1);
  const auto answers = s.at_once();
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].result == -EBADF);
  CHECK(answers[1].result == -EBADF);
}

// Cancellation

TEST_CASE("canceling answers whether there was something to cancel") {
  server s;
  sockets pair;
  s.poll(1, pair.a.native_handle(), POLLIN);
  s.enter();
  s.cancel(2, 99);
  CHECK(s.at_once() == std::vector<answer>{{2, -ENOENT, 0}});
  s.cancel(3, 1);
  CHECK(s.at_once() == std::vector<answer>{{1, -ECANCELED, 0}, {3, 0, 0}});
  s.cancel(4, 1);
  CHECK(s.at_once() == std::vector<answer>{{4, -ENOENT, 0}});
}

TEST_CASE("canceling reaches all with one number, all on a descriptor, or all there are") {
  server s(32);
  sockets pair;
  sockets other;
  char byte;
  s.poll(1, pair.a.native_handle(), POLLIN);
  s.poll(1, other.a.native_handle(), POLLIN);
  s.recv(2, pair.a.native_handle(), &byte, 1);
  s.recv(3, other.a.native_handle(), &byte, 1);
  s.poll(4, other.b.native_handle(), POLLIN);
  s.enter();
  const auto last_of = [](const std::vector<answer>& all) { return all.back(); };
  s.cancel(10, 1, IORING_ASYNC_CANCEL_ALL);
  auto answers = s.at_once();
  CHECK(answers.size() == 3);
  CHECK(last_of(answers) == answer{10, 2, 0});
  s.cancel_fd(11, pair.a.native_handle(), IORING_ASYNC_CANCEL_ALL);
  answers = s.at_once();
  CHECK(answers == std::vector<answer>{{2, -ECANCELED, 0}, {11, 1, 0}});
  s.cancel_fd(12, pair.a.native_handle(), IORING_ASYNC_CANCEL_ALL);
  CHECK(s.at_once() == std::vector<answer>{{12, 0, 0}});
  s.cancel_fd(13, pair.a.native_handle(), 0);
  CHECK(s.at_once() == std::vector<answer>{{13, -ENOENT, 0}});
  s.cancel(14, 0, IORING_ASYNC_CANCEL_ANY);
  answers = s.at_once();
  CHECK(answers.size() == 3);
  CHECK(last_of(answers) == answer{14, 2, 0});
  CHECK_FALSE(s.pending());
}

TEST_CASE("what has come before it is canceled is delivered") {
  server s;
  sockets pair;
  char byte = 0;
  s.recv(1, pair.a.native_handle(), &byte, 1);
  s.enter();
  write_byte(pair.b.native_handle(), 'b');
  s.cancel(2, 1);
  CHECK(s.at_once() == std::vector<answer>{{1, 1, 0}, {2, 0, 0}});
  CHECK(byte == 'b');
}

TEST_CASE("a poll is removed by its number, and nothing else is") {
  server s;
  sockets pair;
  char byte;
  s.poll(1, pair.a.native_handle(), POLLIN);
  s.recv(2, pair.a.native_handle(), &byte, 1);
  s.enter();
  io_uring_prep_poll_remove(s.ask(3), 1);
  s.named();
  CHECK(s.at_once() == std::vector<answer>{{1, -ECANCELED, 0}, {3, 0, 0}});
  io_uring_prep_poll_remove(s.ask(4), 2);
  s.named();
  CHECK(s.at_once() == std::vector<answer>{{4, -ENOENT, 0}});
  s.cancel(5, 2);
  s.enter();
}

TEST_CASE("a thread that has not begun with an entry loses it to a cancellation") {
  gate_of_calls gate;
  server s(8, 1);
  ask_gate(s, 1, 0);
  ask_gate(s, 2, 0);
  s.enter();
  gate.until_there_are(1);
  s.cancel(3, 2);
  CHECK(s.at_once() == std::vector<answer>{{2, -ECANCELED, 0}, {3, 0, 0}});
  gate.open();
  CHECK(s.one_later() == answer{1, 7, 0});
  CHECK(at_the_gate == 1);
}

TEST_CASE("a thread that has begun is told to give up, and its own result counts") {
  gate_of_calls gate;
  server s;
  ask_gate(s, 1, 0);
  s.enter();
  gate.until_there_are(1);
  s.cancel(2, 1);
  CHECK(s.at_once() == std::vector<answer>{{2, -EALREADY, 0}});
  gate.open();
  CHECK(s.one_later() == answer{1, 7, 0});  // it does not obey signals
}

TEST_CASE("a system call that waits on a thread is ended by a cancellation, whenever it comes") {
  const temporary_folder folder;
  const std::string fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const auto before = rondo_test::open_descriptors();
  {
    server s;
    for (int i = 0; i < 50; ++i) {
      io_uring_prep_openat(s.ask(1), AT_FDCWD, fifo.c_str(), O_RDONLY, 0);
      s.named();
      s.enter();
      if (i % 3 != 0) std::this_thread::sleep_for(std::chrono::microseconds(i * 20));
      s.cancel(2, 1);
      auto results = s.results_of(2);
      CHECK(results[1] == -ECANCELED);
      CHECK((results[2] == 0 || results[2] == -EALREADY));
    }
  }
  CHECK(rondo_test::open_descriptors() == before);
}

// Closing

TEST_CASE("who is about to close is told when no thread uses the descriptor any more") {
  gate_of_calls gate;
  server s;
  const pipe_ends pipe;
  ask_gate(s, 1, pipe.out());
  s.enter();
  gate.until_there_are(1);
  s.until_unused(2, pipe.out());
  s.until_unused(3, pipe.in());  // which nobody uses
  CHECK(s.at_once() == std::vector<answer>{{3, 0, 0}});
  std::this_thread::sleep_for(5ms);
  CHECK(s.at_once().empty());
  s.cancel(4, 2);  // it gives something back, so it is not canceled
  CHECK(s.at_once() == std::vector<answer>{{4, -ENOENT, 0}});
  gate.open();
  auto results = s.results_of(2);
  CHECK(results == std::map<std::uint64_t, int>{{1, 7}, {2, 0}});
}

TEST_CASE("a thread that works in a folder uses the folder's descriptor") {
  const temporary_folder folder;
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  const rondo::descriptor here(::open((folder / "").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  server s;
  io_uring_prep_openat(s.ask(1), here.native_handle(), "fifo", O_RDONLY, 0);
  s.named();
  s.until_unused(2, here.native_handle());
  CHECK(s.at_once().empty());
  s.cancel(3, 1);
  auto results = s.results_of(3);
  CHECK(results[1] == -ECANCELED);
  CHECK(results[2] == 0);
}

TEST_CASE("who is about to close hears that there is no memory for waiting") {
  gate_of_calls gate;
  server s;
  const pipe_ends pipe;
  for (std::uint64_t i = 1; i <= 64; ++i) {  // as many as there is room for
    if (i % 8 == 0) s.enter();
    ask_gate(s, i, pipe.out());
  }
  s.enter();
  gate.until_there_are(1);
  s.until_unused(100, pipe.out());
  rondo::testing::fail_allocation(1);
  s.enter();
  CHECK(rondo::testing::allocation_failed());
  CHECK(s.take() == std::vector<answer>{{100, -ENOMEM, 0}});
  gate.open();
  for (std::size_t answered = 0; answered < 64;) answered += s.later().size();
}

TEST_CASE("a close that waits for a thread is carried out, even when it is canceled") {
  const temporary_folder folder;
  const pipe_ends pipe;
  gate_of_calls gate;
  server s(8, 1);
  ask_gate(s, 1, pipe.out());
  s.enter();
  gate.until_there_are(1);  // the only thread
  const int fd = ::open((folder / "file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  REQUIRE(fd >= 0);
  s.close(2, fd);
  s.cancel(3, 2);
  CHECK(s.at_once() == std::vector<answer>{{3, -ENOENT, 0}});
  gate.open();
  auto results = s.results_of(2);
  CHECK(results == std::map<std::uint64_t, int>{{1, 7}, {2, 0}});
  CHECK(::fcntl(fd, F_GETFD) == -1);
}

TEST_CASE("closing ends who waits for the descriptor") {
  server s;
  pipe_ends pipe;
  const int fd = pipe.reader.release();
  s.poll(1, fd, POLLIN);
  s.enter();
  s.close(2, fd);
  CHECK(s.at_once() == std::vector<answer>{{1, -ECANCELED, 0}, {2, 0, 0}});
}

// Many answers to one entry

TEST_CASE("an accept that stays gives every connection, also more than the queue has room for") {
  server s(1);  // 16 completions
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const rondo::endpoint at = listener.local_endpoint();
  for (const int flags : {O_NONBLOCK, 0}) {
    CAPTURE(flags);
    ::fcntl(listener.native_handle(), F_SETFL, flags);
    io_uring_prep_multishot_accept(s.ask(1), listener.native_handle(), nullptr, nullptr, 0);
    s.named();
    s.enter();
    std::vector<rondo::descriptor> clients;
    for (int i = 0; i < 50; ++i) {
      clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      REQUIRE(::connect(clients.back().native_handle(), at.native(), at.native_size()) == 0);
    }
    std::vector<rondo::descriptor> accepted;
    while (accepted.size() < 50) {
      for (const answer& a : s.later()) {
        CHECK(a.to == 1);
        REQUIRE(a.result >= 0);
        CHECK(a.flags == IORING_CQE_F_MORE);
        accepted.emplace_back(a.result);
      }
    }
    s.cancel(2, 1);
    CHECK(s.at_once() == std::vector<answer>{{1, -ECANCELED, 0}, {2, 0, 0}});
  }
}

namespace {

/// Buffers of eight bytes that a ring chooses from.
struct chosen_buffers {
  static constexpr unsigned size = 8;
  explicit chosen_buffers(unsigned entries) : count(entries), memory(entries * size, '\0') {
    ring = static_cast<io_uring_buf_ring*>(std::aligned_alloc(4096, 4096));
    REQUIRE(ring != nullptr);
    std::memset(static_cast<void*>(ring), 0, 4096);
  }
  ~chosen_buffers() { std::free(ring); }
  void add(unsigned id) {
    io_uring_buf_ring_add(ring, memory.data() + id * size, size, static_cast<unsigned short>(id),
                          static_cast<int>(count - 1), 0);
    io_uring_buf_ring_advance(ring, 1);
  }
  std::string text(const answer& a) const {
    const unsigned id = a.flags >> IORING_CQE_BUFFER_SHIFT;
    return std::string(memory.data() + id * size, static_cast<std::size_t>(a.result));
  }
  unsigned count;
  std::string memory;
  io_uring_buf_ring* ring;
};

void receive_many(server& s, std::uint64_t number, int fd, std::uint16_t group) {
  io_uring_sqe* const e = s.ask(number);
  io_uring_prep_recv_multishot(e, fd, nullptr, 0, 0);
  e->flags |= IOSQE_BUFFER_SELECT;
  e->buf_group = group;
  s.named();
}

constexpr std::uint32_t chosen(unsigned id, bool more) {
  return IORING_CQE_F_BUFFER | (id << IORING_CQE_BUFFER_SHIFT) | (more ? IORING_CQE_F_MORE : 0U);
}

}  // namespace

TEST_CASE("a receive that stays takes one buffer after the other, and ends without one") {
  server s;
  sockets pair;
  chosen_buffers buffers(4);
  for (unsigned id = 0; id < 3; ++id) buffers.add(id);
  REQUIRE(s.ring().add_buffers(5, buffers.ring, 4) == 0);
  receive_many(s, 1, pair.a.native_handle(), 5);
  CHECK(s.at_once().empty());
  const int peer = pair.b.native_handle();
  REQUIRE(::send(peer, "one", 3, 0) == 3);
  answer a = s.one_later();
  CHECK(a == answer{1, 3, chosen(0, true)});
  CHECK(buffers.text(a) == "one");
  REQUIRE(::send(peer, "more than eight", 15, 0) == 15);
  // Two more buffers, and then there is none: it ends as the kernel's does.
  std::vector<answer> rest = s.later();
  while (rest.back().result > 0) rest.push_back(s.one_later());
  REQUIRE(rest.size() == 3);
  CHECK(rest[0] == answer{1, 8, chosen(1, true)});
  CHECK(rest[1] == answer{1, 7, chosen(2, true)});
  CHECK(rest[2] == answer{1, -ENOBUFS, 0});
  CHECK(buffers.text(rest[0]) + buffers.text(rest[1]) == "more than eight");
  // It can be asked again when one has come back; the end gives it back.
  receive_many(s, 2, pair.a.native_handle(), 5);
  CHECK(s.at_once() == std::vector<answer>{{2, -ENOBUFS, 0}});
  buffers.add(1);
  receive_many(s, 3, pair.a.native_handle(), 5);
  CHECK(s.at_once().empty());
  pair.b = rondo::descriptor();
  CHECK(s.one_later() == answer{3, 0, 0});
  receive_many(s, 4, pair.a.native_handle(), 5);
  CHECK(s.at_once() == std::vector<answer>{{4, 0, 0}});  // the buffer was still there
  CHECK(s.ring().remove_buffers(5) == 0);
  receive_many(s, 5, pair.a.native_handle(), 5);
  CHECK(s.at_once() == std::vector<answer>{{5, -ENOBUFS, 0}});
}

TEST_CASE("a receive that polls first minds that there is no buffer only when something has come") {
  server s;
  sockets pair;
  chosen_buffers buffers(4);
  REQUIRE(s.ring().add_buffers(5, buffers.ring, 4) == 0);
  const auto ask = [&](std::uint64_t number) {
    io_uring_sqe* const e = s.ask(number);
    io_uring_prep_recv_multishot(e, pair.a.native_handle(), nullptr, 0, 0);
    e->flags |= IOSQE_BUFFER_SELECT;
    e->ioprio |= IORING_RECVSEND_POLL_FIRST;
    e->buf_group = 5;
    s.named();
  };
  ask(1);
  CHECK(s.at_once().empty());
  REQUIRE(::send(pair.b.native_handle(), "one", 3, 0) == 3);
  CHECK(s.one_later() == answer{1, -ENOBUFS, 0});
  buffers.add(0);
  ask(2);
  const answer a = s.one_later();
  CHECK(a == answer{2, 3, chosen(0, true)});
  CHECK(buffers.text(a) == "one");
}

TEST_CASE("groups of buffers are added and removed once") {
  server s;
  chosen_buffers buffers(4);
  CHECK(s.ring().add_buffers(1, buffers.ring, 3) == -EINVAL);
  CHECK(s.ring().add_buffers(1, buffers.ring, 4) == 0);
  CHECK(s.ring().add_buffers(1, buffers.ring, 4) == -EEXIST);
  CHECK(s.ring().remove_buffers(1) == 0);
  CHECK(s.ring().remove_buffers(1) == -EINVAL);
}

TEST_CASE("a poll that stays reports each event") {
  server s;
  const rondo::descriptor bell(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  io_uring_prep_poll_multishot(s.ask(1), bell.native_handle(), POLLIN);
  s.named();
  CHECK(s.at_once().empty());
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t one = 1;
    REQUIRE(::write(bell.native_handle(), &one, sizeof one) == sizeof one);
    CHECK(s.one_later() == answer{1, POLLIN, IORING_CQE_F_MORE});
    CHECK(s.at_once().empty());
  }
  s.cancel(2, 1);
  CHECK(s.at_once() == std::vector<answer>{{1, -ECANCELED, 0}, {2, 0, 0}});
}

TEST_CASE("a zero-copy send has two answers: how much went, and that its buffer is free") {
  server s;
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const rondo::endpoint at = listener.local_endpoint();
  const rondo::descriptor a(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(a.native_handle(), at.native(), at.native_size()) == 0);
  io_uring_prep_send_zc(s.ask(1), a.native_handle(), "abc", 3, 0, 0);
  s.named();
  CHECK(s.at_once() ==
        std::vector<answer>{{1, 3, IORING_CQE_F_MORE}, {1, 0, IORING_CQE_F_NOTIF}});
  REQUIRE(::shutdown(a.native_handle(), SHUT_WR) == 0);
  io_uring_prep_send_zc(s.ask(2), a.native_handle(), "abc", 3, MSG_NOSIGNAL, 0);
  s.named();
  CHECK(s.at_once() ==
        std::vector<answer>{{2, -EPIPE, IORING_CQE_F_MORE}, {2, 0, IORING_CQE_F_NOTIF}});
}

TEST_CASE("a zero-copy send on a socket that does not know it is refused") {
  server s;
  sockets pair;
  io_uring_prep_send_zc(s.ask(1), pair.a.native_handle(), "abc", 3, 0, 0);
  s.named();
  CHECK(s.at_once() ==
        std::vector<answer>{{1, -EOPNOTSUPP, IORING_CQE_F_MORE}, {1, 0, IORING_CQE_F_NOTIF}});
}

// Partial transfers

TEST_CASE("a receive of everything that is canceled half-way gives what has come") {
  server s;
  sockets pair;
  std::array<char, 8> bytes{};
  s.recv(1, pair.a.native_handle(), bytes.data(), bytes.size(), MSG_WAITALL);
  s.enter();
  REQUIRE(::send(pair.b.native_handle(), "abc", 3, 0) == 3);
  s.enter(true, 50ms);
  CHECK(s.take().empty());
  s.cancel(2, 1);
  CHECK(s.at_once() == std::vector<answer>{{1, 3, 0}, {2, 0, 0}});
  CHECK(std::string(bytes.data()) == "abc");
}

TEST_CASE("a send of everything goes on while the peer reads") {
  server s;
  sockets pair;
  const std::string much(2'000'000, 'm');
  io_uring_prep_send(s.ask(1), pair.a.native_handle(), much.data(), much.size(), MSG_WAITALL);
  s.named();
  CHECK(s.at_once().empty());
  std::string received;
  std::vector<answer> answers;
  while (received.size() < much.size()) {
    std::array<char, 65536> part;
    const ssize_t n = ::recv(pair.b.native_handle(), part.data(), part.size(), MSG_DONTWAIT);
    if (n > 0) received.append(part.data(), static_cast<std::size_t>(n));
    for (const answer& a : s.at_once()) answers.push_back(a);
  }
  if (answers.empty()) answers = s.later();
  CHECK(answers == std::vector<answer>{{1, 2'000'000, 0}});
  CHECK(received == much);
}

// Other opcodes

TEST_CASE("the end of a child is waited for, without a thread, and as often as is asked") {
  server s;
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  siginfo_t info{};
  const auto ask = [&](std::uint64_t number, int options) {
    io_uring_sqe* const e = s.ask(number);
    io_uring_prep_rw(opcode::waitid, e, child, nullptr, P_PID,
                     static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&info)));
    e->file_index = static_cast<unsigned>(options);
    s.named();
  };
  const auto before = rondo_test::open_descriptors();
  ask(1, WEXITED | WNOWAIT);
  CHECK(s.at_once().empty());
  s.cancel(2, 1);
  CHECK(s.at_once() == std::vector<answer>{{1, -ECANCELED, 0}, {2, 0, 0}});
  CHECK(rondo_test::open_descriptors() == before);
  ask(3, WEXITED | WNOHANG);
  CHECK(s.at_once() == std::vector<answer>{{3, 0, 0}});
  CHECK(info.si_pid == 0);
  ask(4, WEXITED);
  CHECK(s.at_once().empty());
  ::kill(child, SIGKILL);
  CHECK(s.one_later() == answer{4, 0, 0});
  CHECK(info.si_pid == child);
  CHECK(info.si_status == SIGKILL);
  CHECK(rondo_test::open_descriptors() == before);
  ask(5, WEXITED);
  CHECK(s.at_once() == std::vector<answer>{{5, -ECHILD, 0}});
}

TEST_CASE("a socket is bound and listens") {
  server s;
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const rondo::descriptor made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  io_uring_prep_rw(opcode::bind, s.ask(1), made.native_handle(), &at, 0, sizeof at);
  s.named();
  io_uring_prep_rw(opcode::listen, s.ask(2), made.native_handle(), nullptr, 5, 0);
  s.named();
  CHECK(s.at_once() == std::vector<answer>{{1, 0, 0}, {2, 0, 0}});
  int listening = 0;
  socklen_t length = sizeof listening;
  ::getsockopt(made.native_handle(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &length);
  CHECK(listening == 1);
}

TEST_CASE("a connect waits for room in the queue of a Unix socket, and is canceled there") {
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  const std::string name = "rondo-test-" + std::to_string(::getpid());
  std::memcpy(at.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const auto* const address = reinterpret_cast<const sockaddr*>(&at);
  const auto make = [] {
    return rondo::descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  };
  const rondo::descriptor listener = make();
  REQUIRE(::bind(listener.native_handle(), address, size) == 0);
  REQUIRE(::listen(listener.native_handle(), 0) == 0);
  const rondo::descriptor first = make();
  REQUIRE(::connect(first.native_handle(), address, size) == 0);

  server s;
  const rondo::descriptor second = make();
  const auto ask = [&](std::uint64_t number) {
    io_uring_prep_connect(s.ask(number), second.native_handle(), address, size);
    s.named();
    s.enter();
    std::this_thread::sleep_for(5ms);
    CHECK(s.at_once().empty());
  };
  ask(1);
  s.cancel(2, 1);
  auto results = s.results_of(2);
  CHECK(results[1] == -ECANCELED);
  ask(3);
  const rondo::descriptor taken(::accept4(listener.native_handle(), nullptr, nullptr, 0));
  CHECK(s.one_later() == answer{3, 0, 0});
}

TEST_CASE("a terminal is read when a line has come, and left as it was") {
  const rondo::descriptor master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  const int fd = master.native_handle();
  if (!master || ::grantpt(fd) != 0 || ::unlockpt(fd) != 0) SKIP("needs a pseudo-terminal");
  const rondo::descriptor terminal(
      ::open(::ptsname(master.native_handle()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal) SKIP("needs a pseudo-terminal");
  server s;
  std::array<char, 16> bytes{};
  io_uring_prep_read(s.ask(1), terminal.native_handle(), bytes.data(), bytes.size(), 0);
  s.named();
  CHECK(s.at_once().empty());
  s.cancel(2, 1);
  CHECK(s.at_once() == std::vector<answer>{{1, -ECANCELED, 0}, {2, 0, 0}});
  io_uring_prep_read(s.ask(3), terminal.native_handle(), bytes.data(), bytes.size(), 0);
  s.named();
  REQUIRE(::write(master.native_handle(), "line\n", 5) == 5);
  CHECK(s.one_later() == answer{3, 5, 0});
  CHECK(std::string(bytes.data()) == "line\n");
  io_uring_prep_write(s.ask(4), terminal.native_handle(), "out", 3, 0);
  s.named();
  CHECK(s.one_later() == answer{4, 3, 0});
  CHECK((::fcntl(terminal.native_handle(), F_GETFL) & O_NONBLOCK) == 0);
}

// Memory

TEST_CASE("a thousand that wait, again and again, need no memory after the first time") {
  server s(1024);
  sockets pair;
  const auto round = [&] {
    for (std::uint64_t i = 0; i < 1000; ++i) s.poll(i, pair.a.native_handle(), POLLIN);
    s.enter();
    s.cancel_fd(5000, pair.a.native_handle(), IORING_ASYNC_CANCEL_ALL);
    s.enter();
  };
  round();
  CHECK(s.take().size() == 1001);
  const auto before = rondo_test::allocations();
  round();
  const auto during = rondo_test::allocations() - before;
  CHECK(s.take().size() == 1001);
  CHECK(during == 0);
}

TEST_CASE("without a thread an entry that would block ends with EAGAIN") {
  // A process of its own: the limit counts all threads of the user, and root has none.
  if (::getuid() != 0) SKIP("needs root, to become somebody else");
  const int status = in_child([]() -> int {
    const rlimit none{0, 0};
    if (::setgid(65534) != 0 || ::setuid(65534) != 0 || ::setrlimit(RLIMIT_NPROC, &none) != 0) {
      return 2;
    }
    io_uring queues{};
    loop_threads threads(4);
    soft_ring ring(queues, 8, threads);
    io_uring_sqe& e = queues.sq.sqes[queues.sq.sqe_tail++];
    io_uring_prep_openat(&e, AT_FDCWD, "/dev/null", O_RDONLY, 0);
    ring.enter(false, nullptr);
    const int result = queues.cq.cqes[0].res;
    threads.end();
    return result == -EAGAIN ? 0 : 3;
  });
  CHECK(exited_with(status, 0));
}

LOOP_TEST("a report about an earlier life of a number does not hide what happens in this one") {
  std::array<char, 8> bytes;
  const pipe_ends first;
  const int number = first.out();
  const auto read = [&] { return code_of(rondo::io::read(number, bytes)); };
  {
    auto reading = rondo::spawn(read());
    for (int i = 0; i < 3; ++i) co_await round_trip();
    REQUIRE(::write(first.in(), "a", 1) == 1);
    co_await reading;
  }
  const rondo::descriptor elsewhere(::dup(number));  // so the first pipe lives on
  const pipe_ends second;
  REQUIRE(::dup2(second.out(), number) == number);
  auto reading = rondo::spawn(read());
  co_await rondo::yield();
  REQUIRE(::write(first.in(), "b", 1) == 1);  // about the first pipe, under the number of the second
  co_await round_trip();
  co_await rondo::sleep_for(1ms);
  CHECK_FALSE(reading.done());
  REQUIRE(::write(second.in(), "c", 1) == 1);
  const bool came = co_await rondo::try_for(2s, reading.wait());
  CHECK(came);
  reading.cancel();
  static_cast<void>(co_await reading);
}

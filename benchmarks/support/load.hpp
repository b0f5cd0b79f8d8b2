// SPDX-License-Identifier: BSL-1.0
#pragma once

// Load for an echo server from another core, by liburing alone. So that it has less to do for an
// echo than a server, whose ways through the kernel are as long: receives that go on, sends that
// tell of errors only, and it sleeps until an eighth of the connections have their answers.
//
// Either each connection sends its next message when it has the answer to the last one, or messages
// are due at a fixed rate, whatever the server does. Then it is measured how late each answer is:
// from when its message was due, not from when it was sent. A server that stops for a while pays
// for all messages that were due meanwhile (otherwise nobody asks while it stops, and it is hardly
// seen: coordinated omission).

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "raw_buffers.hpp"

namespace bench {

class load {
 public:
  using clock = std::chrono::steady_clock;

  /// rate: messages a second over all connections; 0: as fast as the server answers.
  load(const std::vector<int>& fds, std::size_t message, int rate)
      : message_(message), paced_(rate > 0) {
    if (paced_) apart_ = std::chrono::nanoseconds(1'000'000'000 / rate);
    all_.resize(fds.size());
    for (std::size_t i = 0; i < all_.size(); ++i) {
      connection& c = all_[i];
      c.fd = fds[i];
      c.due = due_ + apart_ * i;
      c.sent.assign(message, '\0');
      receive(c);
    }
  }

  /// Until the server closes a connection. Whether every answer was what had been sent.
  bool run() {
    if (!paced_) {
      for (connection& c : all_) send(c);
    }
    while (!closed_ && !wrong_) {
      const auto complete = [this](const io_uring_cqe& cqe) { this->complete(cqe); };
      if (paced_) {  // does not sleep: waking up would be a part of what it measures
        ring_.look(complete);
        send_what_is_due();
      } else {
        ring_.turn(complete, std::max(1u, static_cast<unsigned>(all_.size()) / 8));
      }
    }
    return !wrong_;
  }

  /// How late so many percent of the answers were at most, of that one of so many windows, of so many
  /// answers each, that has the least: what else the machine does can only add to it. One before them
  /// is to warm up. Only with a rate. Nothing if no window is full.
  std::optional<clock::duration> percentile(int percent, std::size_t window, int windows) const {
    std::optional<clock::duration> least;
    const std::size_t below = window * static_cast<std::size_t>(percent) / 100;
    std::size_t begin = window;
    for (int i = 0; i < windows && begin + window <= lateness_.size(); ++i, begin += window) {
      const std::span part = std::span(lateness_).subspan(begin, window);
      std::vector<clock::duration> sorted(part.begin(), part.end());
      std::nth_element(sorted.begin(), sorted.begin() + std::ptrdiff_t(below), sorted.end());
      least = std::min(least.value_or(sorted[below]), sorted[below]);
    }
    return least;
  }

 private:
  struct connection {
    int fd = -1;
    bool waits = false;        // for an answer
    std::size_t received = 0;  // of it
    clock::time_point due;     // the message that it waits for, or else the next
    std::string sent;
  };

  void receive(connection& c) {
    io_uring_sqe* const e = ring_.entry();
    buffers_.receive(e, c.fd);
    io_uring_sqe_set_data(e, &c);
  }
  void send(connection& c) {
    ++c.sent.front();
    io_uring_sqe* const e = ring_.entry();
    io_uring_prep_send(e, c.fd, c.sent.data(), message_, MSG_NOSIGNAL);
    io_uring_sqe_set_data(e, nullptr);
    e->flags |= IOSQE_CQE_SKIP_SUCCESS;
    c.waits = true;
  }

  /// The connections take turns. One that still waits sends what is due when it has its answer.
  void send_what_is_due() {
    for (const auto now = clock::now(); due_ <= now; due_ += apart_) {
      connection& c = all_[turn_];
      if (!c.waits && c.due <= now) send(c);
      turn_ = (turn_ + 1) % all_.size();
    }
  }

  void complete(const io_uring_cqe& cqe) {
    auto* const c = static_cast<connection*>(io_uring_cqe_get_data(&cqe));
    if (c == nullptr || (cqe.res <= 0 && cqe.res != -ENOBUFS)) {
      closed_ = true;
      return;
    }
    if (cqe.res > 0) received(*c, buffers_.id(cqe), static_cast<std::size_t>(cqe.res));
    if (!(cqe.flags & IORING_CQE_F_MORE)) receive(*c);
  }
  void received(connection& c, unsigned buffer, std::size_t size) {
    wrong_ |= c.received + size > message_ ||
              std::memcmp(buffers_[buffer], c.sent.data() + c.received, size) != 0;
    buffers_.give_back(buffer);
    c.received += size;
    if (c.received < message_) return;
    c.received = 0;
    c.waits = false;
    if (!paced_) return send(c);
    const auto now = clock::now();
    lateness_.push_back(now - c.due);
    c.due += apart_ * all_.size();
    if (c.due <= now) send(c);
  }

  hand::raw_ring ring_;
  hand::raw_buffers<1024, 256> buffers_{ring_};
  std::vector<connection> all_;
  std::size_t message_;
  bool paced_;
  std::chrono::nanoseconds apart_{};    // two messages
  clock::time_point due_ = clock::now();  // the next one, of the connection whose turn it is
  std::size_t turn_ = 0;
  std::vector<clock::duration> lateness_;
  bool closed_ = false;
  bool wrong_ = false;
};

}  // namespace bench

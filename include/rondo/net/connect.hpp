// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Connecting by name.
//
//     rondo::tcp_stream peer = co_await rondo::connect("example.org", 443);
//
// A name may have several addresses, of both families, and some of them may not answer, for minutes
// perhaps. So they are tried in turn, each a quarter of a second after the one before it, or at once
// when that one has failed; the first connection counts, the other attempts are given up. That is
// "happy eyeballs", RFC 8305.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <rondo/compose/task_group.hpp>
#include <rondo/core/task.hpp>
#include <rondo/net/endpoint.hpp>
#include <rondo/net/resolve.hpp>
#include <rondo/net/tcp.hpp>
#include <rondo/time/timeout.hpp>

namespace rondo {

/// Connects to whichever endpoint answers first, trying them as above.
/// Canceled: all attempts are given up. Throws: std::invalid_argument when there is no endpoint;
/// when no one can be connected to, the std::system_error of the attempt that failed last, which
/// names its endpoint.
template <typename = detail::on_use>
task<tcp_stream> connect(std::vector<endpoint> candidates);

/// Connects to a name. Throws: as resolve (net/resolve.hpp), then as above.
template <typename = detail::on_use>
task<tcp_stream> connect(std::string host, std::uint16_t port);

// Implementation

namespace detail {

/// "Connection Attempt Delay", RFC 8305 section 5.
inline constexpr std::chrono::milliseconds next_attempt_after{250};

/// The families in turn, beginning with the first one's; within a family the order stays. RFC 8305
/// section 4.
inline void take_families_in_turn(std::vector<endpoint>& all) {
  std::vector<endpoint> sorted;
  sorted.reserve(all.size());
  const int first = all.front().family();
  const auto next_of = [&](std::size_t from, bool of_first) {
    while (from < all.size() && (all[from].family() == first) != of_first) ++from;
    return from;
  };
  std::size_t one = next_of(0, true);
  std::size_t other = next_of(0, false);
  while (sorted.size() < all.size()) {
    if (one < all.size()) sorted.push_back(all[one]);
    if (other < all.size()) sorted.push_back(all[other]);
    one = next_of(std::min(one + 1, all.size()), true);
    other = next_of(std::min(other + 1, all.size()), false);
  }
  all = std::move(sorted);
}

struct connect_race {
  std::vector<endpoint> candidates;
  tcp_stream winner;
  std::exception_ptr last_error;

  template <typename = on_use>
  static task<> attempt(task_group& all, connect_race& race, const endpoint& to) {
    try {
      tcp_stream connected = co_await tcp_stream::connect(to);
      if (!race.winner) race.winner = std::move(connected);
      all.cancel();
    } catch (const std::system_error&) {
      race.last_error = std::current_exception();
    }
  }
  template <typename = on_use>
  static task<> run(task_group& all, connect_race& race) {
    for (const endpoint& to : race.candidates) {
      auto trying = all.spawn(attempt(all, race, to));
      co_await try_for(next_attempt_after, trying);
    }
    co_await all.join();
  }
};

}  // namespace detail

template <typename>
task<tcp_stream> connect(std::vector<endpoint> candidates) {
  if (candidates.empty()) throw std::invalid_argument("rondo::connect: there is no endpoint");
  detail::take_families_in_turn(candidates);
  detail::connect_race race{std::move(candidates), {}, {}};
  co_await with_task_group(&detail::connect_race::run<>, std::ref(race));
  if (!race.winner) std::rethrow_exception(race.last_error);
  co_return std::move(race.winner);
}

template <typename>
task<tcp_stream> connect(std::string host, std::uint16_t port) {
  auto candidates = co_await resolve(std::move(host), port);
  co_return co_await connect(std::move(candidates));
}

template <typename>
task<tcp_stream> tcp_stream::connect(std::string host, std::uint16_t port) {
  return rondo::connect(std::move(host), port);
}

}  // namespace rondo

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Formatting rondo's types with fmt. The component rondo::fmt; nothing else here needs that library.
//
//     #include <rondo/fmt.hpp>
//     fmt::print("{:>21} on {}\n", peer.remote_endpoint(), loop.backend());
//
// Errors need no formatter: they have what().

#include <string>
#include <string_view>

#include <fmt/format.h>

#include <rondo/core/error.hpp>
#include <rondo/loop/options.hpp>
#include <rondo/net/endpoint.hpp>

/// As rondo::to_string; the format is that of a string.
template <>
struct fmt::formatter<rondo::endpoint> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(const rondo::endpoint& e, Context& context) const {
    return fmt::formatter<std::string_view>::format(rondo::to_string(e), context);
  }
};

/// "io_uring", "epoll", "automatic".
template <>
struct fmt::formatter<rondo::backend> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(rondo::backend b, Context& context) const {
    const std::string_view name = b == rondo::backend::io_uring ? "io_uring"
                                  : b == rondo::backend::epoll  ? "epoll"
                                                                : "automatic";
    return fmt::formatter<std::string_view>::format(name, context);
  }
};

/// The name of the enumerator: "spawned", "slow_resume".
template <>
struct fmt::formatter<rondo::unhandled_error::kind> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(rondo::unhandled_error::kind k, Context& context) const {
    return fmt::formatter<std::string_view>::format(name(k), context);
  }

 private:
  static constexpr std::string_view name(rondo::unhandled_error::kind k) {
    using kind = rondo::unhandled_error::kind;
    switch (k) {
      case kind::spawned: return "spawned";
      case kind::post: return "post";
      case kind::suppressed: return "suppressed";
      case kind::ignores_cancellation: return "ignores_cancellation";
      case kind::slow_resume: return "slow_resume";
      case kind::never_awaited: return "never_awaited";
      case kind::left_over: return "left_over";
    }
    return "unknown";
  }
};

/// What on_unhandled gets, in one line: "spawned reader: Connection reset by peer".
template <>
struct fmt::formatter<rondo::unhandled_error> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(const rondo::unhandled_error& e, Context& context) const {
    const std::string text =
        fmt::format("{}{}{}: {}", e.what, e.name.empty() ? "" : " ", e.name,
                    e.message.empty() && e.error ? rondo::detail::describe(e.error) : e.message);
    return fmt::formatter<std::string_view>::format(text, context);
  }
};

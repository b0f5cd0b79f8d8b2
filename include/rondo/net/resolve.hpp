// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Names to endpoints.
//
//     std::vector<endpoint> all = co_await rondo::resolve("example.org", "https");    // or 443
//
// To connect to a name see net/connect.hpp.

#include <cerrno>
#include <cstdint>
#include <memory>
#include <netdb.h>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <rondo/core/task.hpp>
#include <rondo/net/endpoint.hpp>
#include <rondo/net/socket.hpp>
#include <rondo/threads/to_thread.hpp>

namespace rondo {

/// The errors of getaddrinfo(3), EAI_NONAME and so on.
[[nodiscard]] inline const std::error_category& resolve_category() noexcept;

/// Looks a name up, on a thread, with getaddrinfo(3). `service` is a port number or a name out of
/// services(5); it may be empty. An address is taken as it is, without a thread.
///
/// Gives: at least one endpoint, in the order of RFC 6724. Throws: std::system_error of
/// resolve_category that names the host.
/// Canceled: a look-up that has begun is waited for; the resolver has its own time limits.
template <typename = detail::on_use>
task<std::vector<endpoint>> resolve(std::string host, std::string service);
template <typename = detail::on_use>
task<std::vector<endpoint>> resolve(std::string host, std::uint16_t port);

// Implementation

namespace detail {

class resolve_category_type final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "resolve"; }
  [[nodiscard]] std::string message(int code) const override { return ::gai_strerror(code); }
};

inline std::vector<endpoint> look_up(const std::string& host, const std::string& service,
                                     int flags) {
  if (host.find('\0') != host.npos || service.find('\0') != service.npos) {
    throw std::system_error(EAI_NONAME, resolve_category(), "resolve a name with a zero byte in it");
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                  service.empty() ? nullptr : service.c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
  if (error == EAI_SYSTEM) throw_errno("resolve " + host);
  if (error != 0) throw std::system_error(error, resolve_category(), "resolve " + host);
  std::vector<endpoint> all;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    all.push_back(endpoint::from_native(a->ai_addr, a->ai_addrlen));
  }
  return all;
}

}  // namespace detail

inline const std::error_category& resolve_category() noexcept {
  static const detail::resolve_category_type category;
  return category;
}

template <typename>
task<std::vector<endpoint>> resolve(std::string host, std::string service) {
  try {
    co_return detail::look_up(host, service, AI_NUMERICHOST | AI_NUMERICSERV);
  } catch (const std::system_error&) {
    // Not an address: it must be looked up, and that may block.
  }
  co_return co_await to_thread(&detail::look_up, std::move(host), std::move(service), 0);
}

template <typename>
task<std::vector<endpoint>> resolve(std::string host, std::uint16_t port) {
  return resolve(std::move(host), std::to_string(port));
}

}  // namespace rondo

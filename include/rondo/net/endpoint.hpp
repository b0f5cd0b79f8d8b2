// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Where a socket is: an IPv4 or IPv6 address with a port, or a Unix socket's path.
//
//     endpoint::parse("127.0.0.1:80")     endpoint::parse("[::1]:80")     endpoint("10.0.0.7", 80)
//     endpoint::loopback(8080)            endpoint::unix_path("/run/app.sock")
//
// Names are not addresses: `resolve` (net/resolve.hpp) turns one into endpoints.

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <net/if.h>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>

namespace rondo {

class endpoint {
 public:
  /// 0.0.0.0:0: any address, any port.
  endpoint() noexcept { address_.v4.sin_family = AF_INET; }

  /// From an address without a port: "127.0.0.1", "::1", "fe80::1%eth0". Throws:
  /// std::invalid_argument.
  endpoint(std::string_view address, std::uint16_t port) {
    if (!set_address(address, port)) {
      throw std::invalid_argument(
          "\"" + std::string(address) +
          "\" is not an IPv4 or IPv6 address; for a name use rondo::resolve");
    }
  }

  /// From "127.0.0.1:80" or "[::1]:80". Throws: std::invalid_argument.
  [[nodiscard]] static endpoint parse(std::string_view text);

  /// 127.0.0.1. Port 0 lets the system choose one; `local_endpoint()` of what was bound tells
  /// which.
  [[nodiscard]] static endpoint loopback(std::uint16_t port) noexcept {
    endpoint e;
    e.address_.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    e.address_.v4.sin_port = htons(port);
    return e;
  }

  /// A Unix socket, at most 107 bytes of path. One that begins with '@' is abstract (unix(7)).
  /// Throws: std::invalid_argument.
  [[nodiscard]] static endpoint unix_path(std::string_view path);
  /// The same for a std::filesystem::path.
  template <typename Path>
    requires requires(const Path& p) {
      { p.native() } -> std::convertible_to<std::string_view>;
    }
  [[nodiscard]] static endpoint unix_path(const Path& path) {
    return unix_path(std::string_view(path.native()));
  }

  /// From what the kernel gave. A length of 0 is what it gives of a Unix socket without a name,
  /// whose path is empty. Throws: std::invalid_argument for other families.
  [[nodiscard]] static endpoint from_native(const sockaddr* address, socklen_t length);

  [[nodiscard]] bool is_v4() const noexcept { return family() == AF_INET; }
  [[nodiscard]] bool is_v6() const noexcept { return family() == AF_INET6; }
  [[nodiscard]] bool is_unix() const noexcept { return family() == AF_UNIX; }
  [[nodiscard]] int family() const noexcept { return address_.any.sa_family; }

  /// The address without the port; of a Unix socket, its path.
  [[nodiscard]] std::string address() const;
  /// 0 for a Unix socket.
  [[nodiscard]] std::uint16_t port() const noexcept {
    return is_v4() ? ntohs(address_.v4.sin_port) : is_v6() ? ntohs(address_.v6.sin6_port) : 0;
  }

  [[nodiscard]] const sockaddr* native() const noexcept { return &address_.any; }
  [[nodiscard]] socklen_t native_size() const noexcept {
    return is_v4() ? sizeof(sockaddr_in) : is_v6() ? sizeof(sockaddr_in6) : unix_size_;
  }

  friend bool operator==(const endpoint& a, const endpoint& b) noexcept {
    return a.native_size() == b.native_size() && a.compare(b) == 0;
  }
  friend std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept {
    const auto by_size = a.native_size() <=> b.native_size();
    return by_size != 0 ? by_size : a.compare(b) <=> 0;
  }

 private:
  bool set_address(std::string_view address, std::uint16_t port) noexcept;
  [[nodiscard]] int compare(const endpoint& other) const noexcept {
    return std::memcmp(&address_, &other.address_, native_size());
  }

  // Zero wherever it is not set, so that comparing and hashing may look at bytes.
  union storage {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
    storage() noexcept { std::memset(static_cast<void*>(this), 0, sizeof *this); }
  } address_;
  socklen_t unix_size_ = 0;
};

/// "127.0.0.1:80", "[::1]:80", "/run/app.sock", "@abstract".
[[nodiscard]] inline std::string to_string(const endpoint& e) {
  if (e.is_unix()) return e.address();
  const std::string port = ":" + std::to_string(e.port());
  return e.is_v6() ? "[" + e.address() + "]" + port : e.address() + port;
}

// Implementation

inline bool endpoint::set_address(std::string_view address, std::uint16_t port) noexcept {
  char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
  if (address.size() >= sizeof text || address.find('\0') != address.npos) return false;
  std::memcpy(text, address.data(), address.size());
  text[address.size()] = '\0';

  address_ = storage();
  if (::inet_pton(AF_INET, text, &address_.v4.sin_addr) == 1) {
    address_.v4.sin_family = AF_INET;
    address_.v4.sin_port = htons(port);
    return true;
  }
  address_ = storage();
  if (char* const zone = std::strchr(text, '%'); zone != nullptr) {
    *zone = '\0';
    address_.v6.sin6_scope_id = ::if_nametoindex(zone + 1);
    if (address_.v6.sin6_scope_id == 0) return false;
  }
  if (::inet_pton(AF_INET6, text, &address_.v6.sin6_addr) != 1) return false;
  address_.v6.sin6_family = AF_INET6;
  address_.v6.sin6_port = htons(port);
  return true;
}

inline endpoint endpoint::parse(std::string_view text) {
  const auto fail = [text] {
    return std::invalid_argument("\"" + std::string(text) +
                                 "\" is not an endpoint; expected 127.0.0.1:80 or [::1]:80");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos || colon == 0) throw fail();
  std::string_view address = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  const bool bracketed = address.front() == '[' && address.back() == ']';
  if (bracketed) address = address.substr(1, address.size() - 2);

  std::uint16_t port = 0;
  const char* const end = port_text.data() + port_text.size();
  const auto parsed = std::from_chars(port_text.data(), end, port);
  endpoint e;
  if (port_text.empty() || parsed.ec != std::errc() || parsed.ptr != end ||
      !e.set_address(address, port) || e.is_v6() != bracketed) {
    throw fail();
  }
  return e;
}

inline endpoint endpoint::unix_path(std::string_view path) {
  endpoint e;
  if (path.empty() || path.size() >= sizeof e.address_.local.sun_path) {
    throw std::invalid_argument("a Unix socket's path has 1 to 107 bytes: \"" + std::string(path) +
                                "\"");
  }
  if (path.front() != '@' && path.find('\0') != path.npos) {
    throw std::invalid_argument("a Unix socket's path has a zero byte in it");
  }
  e.address_ = storage();
  e.address_.local.sun_family = AF_UNIX;
  std::memcpy(e.address_.local.sun_path, path.data(), path.size());
  const bool abstract = path.front() == '@';
  if (abstract) e.address_.local.sun_path[0] = '\0';
  e.unix_size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() +
                                        (abstract ? 0 : 1));
  return e;
}

inline endpoint endpoint::from_native(const sockaddr* address, socklen_t length) {
  endpoint e;
  const int family = length != 0 ? address->sa_family : AF_UNIX;
  if (family != AF_INET && family != AF_INET6 && family != AF_UNIX) {
    throw std::invalid_argument("an endpoint is IPv4, IPv6 or Unix, not address family " +
                                std::to_string(family));
  }
  e.address_ = storage();
  std::memcpy(static_cast<void*>(&e.address_), address,
              length < sizeof e.address_ ? length : sizeof e.address_);
  if (family == AF_UNIX) {
    e.address_.any.sa_family = AF_UNIX;
    e.unix_size_ =
        std::clamp<socklen_t>(length, offsetof(sockaddr_un, sun_path), sizeof e.address_);
  }
  return e;
}

inline std::string endpoint::address() const {
  if (is_unix()) {
    const std::size_t size = unix_size_ - offsetof(sockaddr_un, sun_path);
    if (size == 0) return "";
    std::string path(address_.local.sun_path, size);
    if (path.front() == '\0') {
      path.front() = '@';
    } else {
      path.resize(std::strlen(path.c_str()));
    }
    return path;
  }
  char text[INET6_ADDRSTRLEN] = "";
  const void* const address =
      is_v4() ? static_cast<const void*>(&address_.v4.sin_addr) : &address_.v6.sin6_addr;
  ::inet_ntop(family(), address, text, sizeof text);
  std::string all = text;
  char name[IF_NAMESIZE];
  if (is_v6() && address_.v6.sin6_scope_id != 0 &&
      ::if_indextoname(address_.v6.sin6_scope_id, name) != nullptr) {
    all.append("%").append(name);
  }
  return all;
}

}  // namespace rondo

template <>
struct std::hash<rondo::endpoint> {
  std::size_t operator()(const rondo::endpoint& e) const noexcept {
    return std::hash<std::string_view>()(
        {reinterpret_cast<const char*>(e.native()), e.native_size()});
  }
};

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What all requests of a session have in common:
//
//     http::session s(http::session_options().ca_file("ca.pem").timeout(10s).user_agent("me/1"));

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <rondo/config.hpp>
#include <rondo/http/header_map.hpp>
#include <rondo/http/request.hpp>
#include <rondo/http/retry.hpp>

namespace rondo::http {

namespace detail {
class attempts;
class driver;
class exchange;
}

class session_options {
 public:
  session_options() = default;

  /// Limits of every request that sets none itself; see request. Zero or less: no limit.
  /// Default: 30 s to connect, 5 minutes in all, none for the first byte. From libcurl 8 on, the
  /// time that a request waits for one of max_connections counts as connecting.
  session_options& connect_timeout(std::chrono::nanoseconds limit) & RONDO_LIFETIMEBOUND {
    limits_.connect = limit;
    return *this;
  }
  session_options& first_byte_timeout(std::chrono::nanoseconds limit) & RONDO_LIFETIMEBOUND {
    limits_.first_byte = limit;
    return *this;
  }
  session_options& timeout(std::chrono::nanoseconds limit) & RONDO_LIFETIMEBOUND {
    limits_.total = limit;
    return *this;
  }

  /// The certificate authorities to trust instead of the system's: a file in PEM format.
  session_options& ca_file(std::filesystem::path file) & RONDO_LIFETIMEBOUND {
    ca_file_ = std::move(file);
    return *this;
  }
  /// false: accepts any certificate, so anybody on the way can read and change everything. Default:
  /// true.
  session_options& verify_peer(bool on) & RONDO_LIFETIMEBOUND {
    verify_peer_ = on;
    return *this;
  }

  /// Throws: std::invalid_argument for one with a line end in it.
  session_options& user_agent(std::string name) & RONDO_LIFETIMEBOUND {
    detail::check_value("User-Agent", name);
    user_agent_ = std::move(name);
    return *this;
  }
  /// A header field of every request that has none of that name itself.
  /// Throws: std::invalid_argument for what is no name, or a value with a line end in it.
  session_options& header(std::string_view name, std::string_view value) & RONDO_LIFETIMEBOUND {
    detail::add_field(headers_, name, value);
    return *this;
  }

  /// What requests to a URL without a scheme and a host are relative to, such as
  /// "https://example.org/v1/": "users" is https://example.org/v1/users then, and "/users" is
  /// https://example.org/users (RFC 3986, 5).
  session_options& base_url(std::string url) & RONDO_LIFETIMEBOUND {
    base_url_ = std::move(url);
    return *this;
  }
  /// The proxy of every request, such as "http://proxy:3128" or "socks5h://proxy"; "" for none.
  /// Default: what http_proxy, https_proxy and no_proxy in the environment say.
  session_options& proxy(std::string url) & RONDO_LIFETIMEBOUND {
    proxy_ = std::move(url);
    return *this;
  }
  /// For every request that has none itself; see request.
  session_options& basic_auth(std::string user, std::string password) & RONDO_LIFETIMEBOUND {
    detail::check_user(user);
    credentials_ = {std::move(user), std::move(password)};
    return *this;
  }
  session_options& bearer_auth(std::string_view token) & RONDO_LIFETIMEBOUND {
    return header("Authorization", "Bearer " + std::string(token));
  }

  /// Whether a redirect is followed: an answer 301, 302, 303, 307 or 308 that names another place
  /// (Location). After 303, and after 301 and 302 of a POST, it goes on as GET, without the body;
  /// else with the same method and body. Default: true.
  session_options& follow_redirects(bool on) & RONDO_LIFETIMEBOUND {
    follow_redirects_ = on;
    return *this;
  }
  /// How many redirects of one request are followed. Default: 10.
  session_options& max_redirects(unsigned count) & RONDO_LIFETIMEBOUND {
    max_redirects_ = count;
    return *this;
  }

  /// Whether the cookies of an answer are kept, and sent with later requests of the session to
  /// where they belong. Default: true.
  session_options& cookies(bool on) & RONDO_LIFETIMEBOUND {
    cookies_ = on;
    return *this;
  }

  /// Whether requests are sent again when they fail; for all that have no policy themselves. Default:
  /// none is. See retry.hpp.
  session_options& retry(retry_policy policy) & RONDO_LIFETIMEBOUND {
    retry_ = std::move(policy);
    return *this;
  }

  /// Connections open at the same time, those that wait to be used again included; further requests
  /// wait. Zero: no limit. Default: 100.
  session_options& max_connections(unsigned count) & RONDO_LIFETIMEBOUND {
    max_connections_ = count;
    return *this;
  }

  /// The same for each host. Default: no limit.
  session_options& max_connections_per_host(unsigned count) & RONDO_LIFETIMEBOUND {
    max_connections_per_host_ = count;
    return *this;
  }

  // The same on rvalues, to be chained.
  session_options&& base_url(std::string url) && RONDO_LIFETIMEBOUND {
    return std::move(base_url(std::move(url)));
  }
  session_options&& proxy(std::string url) && RONDO_LIFETIMEBOUND {
    return std::move(proxy(std::move(url)));
  }
  session_options&& basic_auth(std::string user, std::string password) && RONDO_LIFETIMEBOUND {
    return std::move(basic_auth(std::move(user), std::move(password)));
  }
  session_options&& bearer_auth(std::string_view token) && RONDO_LIFETIMEBOUND {
    return std::move(bearer_auth(token));
  }
  session_options&& max_connections_per_host(unsigned count) && RONDO_LIFETIMEBOUND {
    return std::move(max_connections_per_host(count));
  }
  session_options&& connect_timeout(std::chrono::nanoseconds limit) && RONDO_LIFETIMEBOUND {
    return std::move(connect_timeout(limit));
  }
  session_options&& first_byte_timeout(std::chrono::nanoseconds limit) && RONDO_LIFETIMEBOUND {
    return std::move(first_byte_timeout(limit));
  }
  session_options&& timeout(std::chrono::nanoseconds limit) && RONDO_LIFETIMEBOUND {
    return std::move(timeout(limit));
  }
  session_options&& ca_file(std::filesystem::path file) && RONDO_LIFETIMEBOUND {
    return std::move(ca_file(std::move(file)));
  }
  session_options&& verify_peer(bool on) && RONDO_LIFETIMEBOUND {
    return std::move(verify_peer(on));
  }
  session_options&& user_agent(std::string name) && RONDO_LIFETIMEBOUND {
    return std::move(user_agent(std::move(name)));
  }
  session_options&& header(std::string_view name, std::string_view value) && RONDO_LIFETIMEBOUND {
    return std::move(header(name, value));
  }
  session_options&& follow_redirects(bool on) && RONDO_LIFETIMEBOUND {
    return std::move(follow_redirects(on));
  }
  session_options&& max_redirects(unsigned count) && RONDO_LIFETIMEBOUND {
    return std::move(max_redirects(count));
  }
  session_options&& cookies(bool on) && RONDO_LIFETIMEBOUND { return std::move(cookies(on)); }
  session_options&& retry(retry_policy policy) && RONDO_LIFETIMEBOUND {
    return std::move(retry(std::move(policy)));
  }
  session_options&& max_connections(unsigned count) && RONDO_LIFETIMEBOUND {
    return std::move(max_connections(count));
  }

 private:
  friend detail::attempts;
  friend detail::driver;
  friend detail::exchange;
  friend detail::setup;

  detail::time_limits limits_{std::chrono::seconds(30), std::chrono::nanoseconds(0),
                              std::chrono::minutes(5)};
  std::filesystem::path ca_file_;
  bool verify_peer_ = true;
  bool follow_redirects_ = true;
  bool cookies_ = true;
  unsigned max_redirects_ = 10;
  unsigned max_connections_ = 100;
  unsigned max_connections_per_host_ = 0;
  std::string base_url_;
  std::optional<std::string> proxy_;
  std::optional<detail::credentials> credentials_;
  std::string user_agent_;
  header_map headers_;
  std::optional<retry_policy> retry_;
};

}  // namespace rondo::http

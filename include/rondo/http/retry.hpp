// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Whether a request that has failed is sent again, how often, and after how long. Nothing is sent
// twice unless this was asked for, of a session or of one request:
//
//     http::session s(http::session_options().retry(http::retry_policy().attempts(5)));
//     co_await s.send(http::request("GET", url).retry(http::retry_policy().first_delay(1s)));
//     co_await s.send(http::request("GET", url).retry(http::retry_policy().attempts(1)));  // once
//
// A request is repeated when
//   its method may be   GET, HEAD, PUT, DELETE, OPTIONS and TRACE: to do those twice is to do them
//                       once (RFC 9110, 9.2.2). POST and PATCH never are
//   its body can be     one that is produced while it is sent is sent once
//   it may help         there was no connection (refused, no answer in time, the host's name was
//                       not found), it was lost, the answer did not begin within
//                       first_byte_timeout, or has one of the statuses of `on_status`
//   there is time       `timeout` is for all attempts and the waits between them; connect_timeout
//                       and first_byte_timeout begin anew with each
//
// What is wrong with TLS, the URL or what the server says is wrong the next time, too. The last
// attempt counts: its answer, whatever its status, or its error. A stream or a download is repeated
// until there is a head of an answer that counts, and not for the sake of its body.
//
// What is not up to a policy, and not counted as an attempt: libcurl itself sends a request again
// when a connection that it had kept from an earlier one ends before anything of the answer has
// come, which is how a server's closing of an idle connection looks. Here it does so only for these
// methods, too. POST and PATCH fail with connection_lost; but not over HTTP/2, where a server that
// closes a connection says which requests it has not looked at, and libcurl does not tell.

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <rondo/config.hpp>

namespace rondo::http {

namespace detail {
class attempts;
}

class retry_policy {
 public:
  retry_policy() = default;

  /// How often a request is sent, the first time included. Default: 3.
  retry_policy& attempts(unsigned count) & RONDO_LIFETIMEBOUND {
    attempts_ = count;
    return *this;
  }
  /// The wait before the second attempt. Default: 100 ms.
  retry_policy& first_delay(std::chrono::nanoseconds delay) & RONDO_LIFETIMEBOUND {
    first_delay_ = delay;
    return *this;
  }
  /// How many times as long each further wait is. Default: 2.
  /// Throws: std::invalid_argument when it is less than 1.
  retry_policy& factor(double times) & RONDO_LIFETIMEBOUND {
    if (!(times >= 1)) throw std::invalid_argument("the factor of a retry_policy is at least 1");
    factor_ = times;
    return *this;
  }
  /// No wait is longer. A server that asks for a longer one (Retry-After) is not asked again.
  /// Default: 30 s.
  retry_policy& max_delay(std::chrono::nanoseconds delay) & RONDO_LIFETIMEBOUND {
    max_delay_ = delay;
    return *this;
  }
  /// The share of each wait that chance decides upon, so that those who have failed together do not
  /// come back together: 0.5 is a wait of half to all its length. Default: 0.5.
  /// Throws: std::invalid_argument when it is not from 0 to 1.
  retry_policy& jitter(double share) & RONDO_LIFETIMEBOUND {
    if (!(share >= 0 && share <= 1)) {
      throw std::invalid_argument("the jitter of a retry_policy is from 0 to 1");
    }
    jitter_ = share;
    return *this;
  }
  /// Lets every request draw the same lots, for tests. Default: other ones each time.
  retry_policy& seed(std::uint64_t number) & RONDO_LIFETIMEBOUND {
    seed_ = number;
    return *this;
  }
  /// The answers after which a request is sent again; none, for errors only. Default: 429, 502, 503
  /// and 504. If one says when to come back (Retry-After), the wait lasts at least until then.
  template <std::convertible_to<int>... S>
  retry_policy& on_status(S... status) & RONDO_LIFETIMEBOUND {
    statuses_.assign({static_cast<int>(status)...});
    return *this;
  }

  // The same on rvalues, to be chained.
  retry_policy&& attempts(unsigned count) && RONDO_LIFETIMEBOUND {
    return std::move(attempts(count));
  }
  retry_policy&& first_delay(std::chrono::nanoseconds delay) && RONDO_LIFETIMEBOUND {
    return std::move(first_delay(delay));
  }
  retry_policy&& factor(double times) && RONDO_LIFETIMEBOUND { return std::move(factor(times)); }
  retry_policy&& max_delay(std::chrono::nanoseconds delay) && RONDO_LIFETIMEBOUND {
    return std::move(max_delay(delay));
  }
  retry_policy&& jitter(double share) && RONDO_LIFETIMEBOUND { return std::move(jitter(share)); }
  retry_policy&& seed(std::uint64_t number) && RONDO_LIFETIMEBOUND {
    return std::move(seed(number));
  }
  template <std::convertible_to<int>... S>
  retry_policy&& on_status(S... status) && RONDO_LIFETIMEBOUND {
    return std::move(on_status(status...));
  }

 private:
  friend detail::attempts;

  unsigned attempts_ = 3;
  std::chrono::nanoseconds first_delay_ = std::chrono::milliseconds(100);
  std::chrono::nanoseconds max_delay_ = std::chrono::seconds(30);
  double factor_ = 2;
  double jitter_ = 0.5;
  std::optional<std::uint64_t> seed_;
  std::vector<int> statuses_{429, 502, 503, 504};
};

}  // namespace rondo::http

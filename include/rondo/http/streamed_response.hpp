// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// An answer whose body is read as it comes, for what is large, or never ends.
//
//     auto answer = co_await session.stream(http::request("GET", url));
//     answer.raise_for_status();
//     std::array<char, 65536> part;
//     while (std::size_t n = co_await answer.read(part)) use(part.data(), n);
//
// It is a stream like any other (io/async_stream.hpp): buffered_reader makes lines of it.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <rondo/config.hpp>
#include <rondo/core/done.hpp>
#include <rondo/core/task.hpp>
#include <rondo/http/header_map.hpp>
#include <rondo/http/received_body.hpp>
#include <rondo/http/response.hpp>
#include <rondo/io/async_stream.hpp>
#include <rondo/io/buffer.hpp>

namespace rondo::http {

/// Destroyed before its end, it gives up the rest and the connection.
/// Keep alive: the session. Thread: that of the loop.
class streamed_response {
 public:
  streamed_response() = default;

  [[nodiscard]] int status() const noexcept { return head().status; }
  /// After redirects, those of the last answer.
  [[nodiscard]] const header_map& headers() const noexcept RONDO_LIFETIMEBOUND {
    return head().headers;
  }
  /// Where the answer comes from: after redirects, not the one that was asked for.
  [[nodiscard]] const std::string& url() const noexcept RONDO_LIFETIMEBOUND { return head().url; }
  /// The answers before this one that were redirects.
  [[nodiscard]] const std::vector<redirect>& history() const noexcept RONDO_LIFETIMEBOUND {
    return head().history;
  }
  /// How often the request was sent; see retry.hpp.
  [[nodiscard]] unsigned attempts() const noexcept { return head().attempts; }
  [[nodiscard]] bool ok() const noexcept { return head().ok(); }
  /// Throws: http::error of kind status, for 400 and higher.
  const streamed_response& raise_for_status() const& RONDO_LIFETIMEBOUND {
    static_cast<void>(head().raise_for_status());
    return *this;
  }

  /// Waits for what there is of the body, decompressed, and gives how many bytes that was: at least
  /// one, or 0 at its end. One read at a time.
  /// Keep alive: the buffer. Canceled: nothing is lost, it may be called again.
  /// Throws: http::error when the rest does not come; what came before is read first. Of kind
  /// out_of_memory also when 16 KiB decompress to more than 64 MiB.
  /// operation_canceled when the loop of the request has ended.
  [[nodiscard]] task<std::size_t> read(mutable_buffer to) & {
    RONDO_ASSERT(body_ != nullptr, "an empty http::streamed_response was read");
    return closed_ ? nothing() : body_->read(to);
  }
  /// The same as a string of at most 16 KiB; empty optional at the end.
  [[nodiscard]] task<std::optional<std::string>> next() &;
  /// Gives up what has not come yet, whose connection is not used again; `read` gives 0 from here on,
  /// `next` an empty optional. What is known of the answer stays.
  rondo::detail::done close() & noexcept {
    if (body_ != nullptr && !std::exchange(closed_, true)) body_->give_up_rest();
    return {};
  }

 private:
  friend class session;
  explicit streamed_response(std::unique_ptr<detail::received_body> body)
      : body_(std::move(body)) {}
  [[nodiscard]] const response& head() const noexcept {
    RONDO_ASSERT(body_ != nullptr, "an empty http::streamed_response was used");
    return body_->head();
  }

  static task<std::size_t> nothing() { co_return 0; }

  std::unique_ptr<detail::received_body> body_;
  bool closed_ = false;
};

inline task<std::optional<std::string>> streamed_response::next() & {
  std::string part(std::size_t{16} << 10, '\0');
  part.resize(co_await read(part));
  if (part.empty()) co_return std::nullopt;
  co_return part;
}

static_assert(async_reader<streamed_response>);

}  // namespace rondo::http

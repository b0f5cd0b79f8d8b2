// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A body on its way into a file.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <rondo/core/task.hpp>
#include <rondo/fs/file.hpp>
#include <rondo/http/header_map.hpp>
#include <rondo/http/streamed_response.hpp>
#include <rondo/io/buffer.hpp>

namespace rondo::http::detail {

struct no_progress {
  void operator()(std::uint64_t, std::uint64_t) const noexcept {}
};

/// Of the body as it is after decompression; 0: unknown.
inline std::uint64_t length_of_body(const header_map& fields) noexcept {
  std::uint64_t length = 0;
  if (fields.contains("content-encoding")) return 0;
  const std::string_view text = fields["content-length"];
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  return error == std::errc() && end == text.data() + text.size() ? length : 0;
}

template <typename Progress>
struct download_into {
  streamed_response& from;
  Progress& progress;
  std::uint64_t& received;

  task<> operator()(file& to) const {
    const std::uint64_t total = length_of_body(from.headers());
    std::vector<std::byte> part(std::size_t{64} << 10);
    for (;;) {
      const std::size_t n = co_await from.read(mutable_buffer(part.data(), part.size()));
      if (n == 0) co_return;
      co_await to.write(const_buffer(part.data(), n));
      received += n;
      progress(received, total);
    }
  }
};

}  // namespace rondo::http::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What code that reads or writes a stream of bytes asks of it, so that one parser serves sockets,
// pipes, files, processes and what is wrapped around them.
//
//     template <rondo::async_reader Stream>
//     rondo::task<header> read_header(Stream& from) {
//       std::array<char, 8> bytes;
//       std::size_t n = co_await from.read(bytes);      // at least one byte; 0 at the end
//       ...
//     }
//
// A stream of your own has one or both of these members; what they return may be a task.

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/io/buffer.hpp>

namespace rondo {

/// `read(mutable_buffer)` waits for what there is and gives how many bytes that was: at least one,
/// or 0 at the end. One read at a time. Canceled, nothing is lost: it may be called again.
template <typename S>
concept async_reader = requires(std::remove_reference_t<S>& s, mutable_buffer to) {
  { s.read(to) } -> awaitable;
  requires std::convertible_to<await_result_t<decltype(s.read(to))>, std::size_t>;
};

/// `write(const_buffer)` returns when everything was written. One write at a time.
template <typename S>
concept async_writer = requires(std::remove_reference_t<S>& s, const_buffer from) {
  { s.write(from) } -> awaitable;
};

/// Bytes come out of it, or go into it, or both.
template <typename S>
concept async_stream = async_reader<S> || async_writer<S>;

}  // namespace rondo

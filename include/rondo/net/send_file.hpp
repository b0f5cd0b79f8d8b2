// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Sending a file over a socket.
//
//     rondo::file page = co_await rondo::file::open("index.html");
//     co_await peer.send_file(page);
//
// The file is read in pieces, the next one while the last one is being sent, into two buffers of
// 128 KiB. Deliberately not sendfile(2) or splice(2): both may wait for the disk and for the peer
// in one call, so each would hold a thread for as long as a slow peer takes.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <rondo/compose/when_all.hpp>
#include <rondo/core/task.hpp>
#include <rondo/fs/file.hpp>
#include <rondo/net/stream_socket.hpp>

namespace rondo::detail {

template <typename>
task<std::uint64_t> stream_socket::send_file(file& from, std::uint64_t offset,
                                             std::uint64_t length) & {
  constexpr std::size_t most = std::size_t{128} << 10;
  const std::unique_ptr<char[]> space(new char[2 * most]);
  char* reading = space.get();
  char* sending = space.get() + most;
  const auto piece = [&](std::uint64_t done) {
    return mutable_buffer(reading, static_cast<std::size_t>(std::min<std::uint64_t>(most, length - done)));
  };
  std::uint64_t sent = 0;
  std::size_t there = co_await from.read_at(piece(0), offset);
  while (there != 0) {
    std::swap(reading, sending);
    const std::uint64_t after = sent + there;
    const auto both = co_await when_all(write(const_buffer(sending, there)),
                                        from.read_at(piece(after), offset + after));
    sent = after;
    there = std::get<1>(both);
  }
  co_return sent;
}

}  // namespace rondo::detail

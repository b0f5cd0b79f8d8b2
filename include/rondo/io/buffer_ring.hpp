// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Buffers for many connections, most of which are idle. A read needs a buffer for as long as it
// waits; ten thousand of them need ten thousand buffers. A ring has a few, and the kernel takes one
// when something has arrived.
//
//     buffer_ring ring{256, 4096};
//     auto chunks = peer.receive_many(ring);
//     while (auto chunk = co_await chunks.next()) co_await peer.write(std::move(*chunk));
//
// A chunk is a buffer with what has come, and gives it back when it is dropped. When all are out,
// streams wait until one is back; what arrives meanwhile waits in the sockets.

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>

#include <rondo/io/buffer.hpp>
#include <rondo/io/buffer_group.hpp>

namespace rondo {

/// Movable. Its memory lives as long as a chunk or a stream needs it.
/// Thread: that of the loop whose streams use it; it may be made elsewhere. One loop at a time.
class buffer_ring {
 public:
  class chunk;

  /// count: of buffers, at most 32768; rounded up to a power of two. size: of each, in bytes.
  /// Memory that was never used is not there yet. Throws: std::invalid_argument, std::bad_alloc.
  buffer_ring(std::size_t count, std::size_t size) : group_(detail::buffer_group::make(count, size)) {}

  [[nodiscard]] std::size_t count() const noexcept { return group_->count(); }
  [[nodiscard]] std::size_t size() const noexcept { return group_->size(); }
  /// How many are not in use at the moment, as far as is known.
  [[nodiscard]] std::size_t available() const noexcept { return group_->available(); }

  /// For streams.
  [[nodiscard]] const detail::buffer_group_ref& group() const noexcept { return group_; }

 private:
  detail::buffer_group_ref group_;
};

/// What one receive has brought. Movable; may outlive the stream, the ring and the loop.
class buffer_ring::chunk {
 public:
  chunk(chunk&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  chunk& operator=(chunk&& other) noexcept {
    chunk(std::move(other)).swap(*this);
    return *this;
  }
  ~chunk() {
    if (slot_ == nullptr) return;
    const detail::buffer_group_ref group(slot_->group);
    group->give_back(group->id_of(*slot_));
  }
  void swap(chunk& other) noexcept { std::swap(slot_, other.slot_); }

  [[nodiscard]] char* data() noexcept { return slot_->group->data(*slot_); }
  [[nodiscard]] const char* data() const noexcept { return slot_->group->data(*slot_); }
  [[nodiscard]] std::size_t size() const noexcept { return slot_->received; }
  /// Valid until the chunk is dropped or moved from.
  [[nodiscard]] std::string_view view() const noexcept RONDO_LIFETIMEBOUND {
    return {data(), size()};
  }
  /// So that it can be written: by reference, or given away, which gives the buffer back when it is
  /// written.
  operator const_buffer() const noexcept RONDO_LIFETIMEBOUND { return {data(), size()}; }

  /// For streams: the buffer is taken over.
  chunk(detail::buffer_group_ref group, std::uint16_t id) noexcept
      : slot_(&group.release()->at(id)) {}

 private:
  detail::buffer_group::slot* slot_;  // and a reference to its group
};

namespace detail {
template <>
struct owns_elements<buffer_ring::chunk> : std::true_type {};
}  // namespace detail

}  // namespace rondo

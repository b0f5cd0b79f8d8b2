// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What `close()` of everything that owns a descriptor is: the descriptor leaves its owner when the
// close is awaited, not when it is made, so that this works:
//
//     co_await finally(talk(peer), peer.close());
//
// Closing alone neither ends what is in flight on a descriptor nor, for a socket, tells the peer.
// So first everything in flight on it is canceled, and has ended (with errc::closed) when the close
// has.

#include <utility>

#include <rondo/io/descriptor.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/io/ops/file.hpp>

namespace rondo::detail {

struct close_owner_op : close_op {
  descriptor* owner;
  bool nothing = false;  // it was closed before

  explicit close_owner_op(descriptor& from) noexcept : close_op{}, owner(&from) {}

  int before() noexcept {
    fd = std::move(*owner);
    nothing = !fd;
    return 0;
  }
  void prepare(io_uring_sqe& e) noexcept {
    if (nothing) return io_uring_prep_nop(&e);
    close_op::prepare(e);
  }
  bool again(int& result) noexcept { return !nothing && close_op::again(result); }
  [[nodiscard]] io_uring_sqe* reserve(engine& loop) noexcept {
    return nothing ? loop.reserve() : close_op::reserve(loop);
  }
};

/// Closes what `owner` has when the await begins; nothing, and no error, if that is nothing.
/// Keep alive: the owner. Canceled: no; what gives back is not canceled.
inline auto close_owner(descriptor& owner) noexcept {
  return io::operation(close_owner_op(owner));
}

}  // namespace rondo::detail

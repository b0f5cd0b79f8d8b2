// SPDX-License-Identifier: BSL-1.0

// The stream would be closed while the kernel reads from it.
// expect: read

#include <array>
#include <rondo/rondo.hpp>

rondo::tcp_stream make();

rondo::task<std::size_t> caller() {
  std::array<char, 10> space;
#ifdef RONDO_CONTROL
  rondo::tcp_stream peer = make();
  co_return co_await peer.read(space);
#else
  co_return co_await make().read(space);
#endif
}

// SPDX-License-Identifier: BSL-1.0

// Nobody could see what was read into a container that dies with the statement.
// expect: reading into a temporary: nobody could see what came. Name the container first

#include <rondo/rondo.hpp>
#include <string>

rondo::task<std::size_t> caller(rondo::tcp_stream& peer) {
  std::string space(100, '\0');
#ifdef RONDO_CONTROL
  co_return co_await peer.read(space);
#else
  co_return co_await peer.read(std::string(100, '\0'));
#endif
}

// SPDX-License-Identifier: BSL-1.0

// Objects that are more than their bytes are not written.
// expect: source_of_bytes

#include <rondo/rondo.hpp>
#include <string>
#include <vector>

rondo::task<> caller(rondo::tcp_stream& peer) {
#ifdef RONDO_CONTROL
  const std::string lines = "one\ntwo\n";
#else
  const std::vector<std::string> lines(2, "one\n");
#endif
  co_await peer.write(lines);
}

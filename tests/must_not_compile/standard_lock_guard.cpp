// SPDX-License-Identifier: BSL-1.0

// std::lock_guard on a rondo::mutex would lock nothing: there is no unlock() that it could call.
// expect: unlock

#include <mutex>
#include <rondo/rondo.hpp>

rondo::task<> caller(rondo::mutex& m) {
#ifdef RONDO_CONTROL
  const auto guard = co_await m.lock();
#else
  const std::lock_guard<rondo::mutex> guard(m);
  co_return;
#endif
}

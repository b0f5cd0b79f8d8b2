// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// channel<T>: hands values from task to task, and makes those who are too fast wait. asyncio.Queue.
//
//     rondo::channel<order> orders(100);           // room for 100; rondo::unbounded: for all
//
//     co_await orders.send(std::move(o));          // waits while it is full
//     orders.close();                              // no more will come
//
//     while (auto o = co_await orders.receive()) co_await handle(*o);
//
// Any number of tasks may send, and any number receive: each value goes to one of them. With
// capacity 0 a send waits until somebody receives: a rendezvous. For values that everybody is to
// see there is broadcast, for the most urgent first priority_channel.

#include <cstddef>

#include <rondo/detail/ring_buffer.hpp>
#include <rondo/sync/basic_channel.hpp>

namespace rondo {

/// First in, first out. The members are those of detail::basic_channel: send, receive, try_send,
/// try_receive, close, closed, size, empty, capacity. Memory for the capacity is allocated
/// once; of an unbounded one as it is needed.
template <typename T>
class channel : public detail::basic_channel<T, detail::ring_buffer<T>> {
 public:
  explicit channel(std::size_t capacity)
      : detail::basic_channel<T, detail::ring_buffer<T>>(capacity) {}
};

}  // namespace rondo

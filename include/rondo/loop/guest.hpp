// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What lives outside of a loop and has to hear what only the loop knows: a stream of which the
// kernel holds nothing at the moment, and would ask again under the number of a descriptor that has
// been closed meanwhile; buffers that are registered with a loop that ends.

#include <rondo/detail/intrusive_list.hpp>

namespace rondo::detail {

struct guest : list_hook {
  enum class news {
    descriptor_closes,  // io::close of this descriptor has begun
    loop_ends,          // it is in no list any more
  };
  using hear_function = void (*)(guest&, news, int fd) noexcept;

  explicit guest(hear_function on_news) noexcept : hear(on_news) {}

  hear_function hear;  // may unlink itself, starts and destroys nothing
};

}  // namespace rondo::detail

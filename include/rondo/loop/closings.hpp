// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Descriptors that are being closed, and who has to know. A number is given out anew as soon as it
// is closed, so whoever would use it again must not: an operation between two steps asks, and what
// lives outside of the loop's view is told.

#include <rondo/detail/intrusive_list.hpp>

namespace rondo::detail {

/// One that is being closed, from closings::begin until it is unlinked.
struct closing_descriptor : list_hook {
  closing_descriptor() noexcept = default;
  /// Before it is known, or when its close has ended.
  closing_descriptor(closing_descriptor&& from) noexcept : list_hook() {
    if (from.linked()) from.unlink();
  }
  closing_descriptor& operator=(closing_descriptor&&) = delete;
  ~closing_descriptor() {
    if (linked()) unlink();
  }
  int fd = -1;
};

/// What lives outside of a loop and has to hear what only the loop knows: a stream of which the
/// kernel holds nothing at the moment, and would ask again; buffers that are registered with a loop
/// that ends.
struct guest : list_hook {
  enum class news {
    descriptor_closes,  // io::close of this descriptor has begun
    loop_ends,          // it is in no list any more
  };
  using hear_function = void (*)(guest&, news, int fd) noexcept;

  explicit guest(hear_function on_news) noexcept : hear(on_news) {}

  hear_function hear;  // may unlink itself, starts and destroys nothing
};

class closings {
 public:
  closings() = default;
  closings(const closings&) = delete;
  closings& operator=(const closings&) = delete;
  ~closings() {
    while (!guests_.empty()) {
      guest& g = guests_.pop_front();
      g.hear(g, guest::news::loop_ends, -1);
    }
  }

  void begin(closing_descriptor& closing, int fd) noexcept {
    closing.fd = fd;
    closing_.push_back(closing);
    guests_.for_each([fd](guest& g) { g.hear(g, guest::news::descriptor_closes, fd); });
  }
  [[nodiscard]] bool has(int fd) noexcept {
    bool found = false;
    closing_.for_each([&](const closing_descriptor& c) noexcept { found = found || c.fd == fd; });
    return found;
  }
  void admit(guest& g) noexcept { guests_.push_back(g); }

 private:
  intrusive_list<closing_descriptor> closing_;
  intrusive_list<guest> guests_;
};

}  // namespace rondo::detail

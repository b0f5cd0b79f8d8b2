// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a loop tells its on_unhandled.

#include <rondo/core/error.hpp>
#include <rondo/loop/event_loop.hpp>
#include <string>
#include <vector>

namespace rondo::test {

struct told {
  unhandled_error::kind what;
  std::string name;
  std::string message;
};

/// Whatever is told to these options is kept there.
inline loop_options kept_in(std::vector<told>& all, loop_options options = {}) {
  options.on_unhandled = [&all](const unhandled_error& e) {
    all.push_back({e.what, std::string(e.name), e.message});
  };
  return options;
}

}  // namespace rondo::test

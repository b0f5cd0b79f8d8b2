// SPDX-License-Identifier: BSL-1.0
#pragma once

// Servers in Python and Go: what is here starts their clients.

#include "question.hpp"

#include "../support/other_language.hpp"

namespace question {

/// `source` is __FILE__ of the contender.
inline void serve_by(const char* source, const char* script, const char* contender) {
  bench::script server(source, script);
  at_each_size([&](const size& s) {
    load load(contender, s);
    server.run({contender, s.name, s.from == clients::on_another ? "wall" : "cpu",
                std::to_string(s.from == clients::paced ? windows : 3)},
               {&load.fds});
  });
}

}  // namespace question

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Tasks, places in the source and durations, in words.

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include <rondo/core/source_location.hpp>

namespace rondo::detail {

/// The function's own name, from what a compiler makes of it: "rondo::task<> app::fetch(int)", or
/// on GCC, which names the function that it makes of a coroutine, "void app::fetch(... .Frame*)".
[[nodiscard, gnu::cold]] inline std::string_view short_name(std::string_view name) {
  if (name.ends_with(']')) name = name.substr(0, name.find(" ["));  // template arguments
  if (name.ends_with(" const")) name.remove_suffix(6);
  if (name.ends_with(')')) {  // the parameters
    int open = 0;
    std::size_t begin = name.size();
    do {
      --begin;
      open += name[begin] == ')' ? 1 : name[begin] == '(' ? -1 : 0;
    } while (open != 0 && begin != 0);
    name = name.substr(0, begin);
  }
  int open = 0;
  for (std::size_t i = name.size(); i-- != 0;) {  // the type
    if (name[i] == ' ' && open == 0) return name.substr(i + 1);
    open += name[i] == ')' || name[i] == '>' ? 1 : name[i] == '(' || name[i] == '<' ? -1 : 0;
  }
  return name;
}

/// "fetch.cpp:12 in fetch"; empty if the place is not known.
[[nodiscard, gnu::cold]] inline std::string describe(source_location place) {
  if (place.line() == 0) return {};
  const std::string_view path = place.file_name();
  char line[16];
  std::snprintf(line, sizeof line, ":%u in ", static_cast<unsigned>(place.line()));
  std::string text(path.substr(path.rfind('/') + 1));
  return text.append(line).append(short_name(place.function_name()));
}

/// Who: "task reader", or "a task" if it has no name.
[[nodiscard, gnu::cold]] inline std::string in_words(std::string_view name) {
  return name.empty() ? "a task" : "task " + std::string(name);
}

/// "153 ms", "2.4 s".
[[nodiscard, gnu::cold]] inline std::string span(std::chrono::nanoseconds length) {
  const double s = std::chrono::duration<double>(length).count();
  char text[32];
  if (s < 1) {
    std::snprintf(text, sizeof text, "%.0f ms", s * 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.1f s", s);
  }
  return text;
}

}  // namespace rondo::detail

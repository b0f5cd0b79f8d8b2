// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What a loop's tasks wait for, as text for people:
//
//     root: when_all, at fetch.cpp:31 in fetch_both
//       recv on descriptor 7, at fetch.cpp:12 in fetch, for 1.2 s
//       with_timeout, 3.8 s left, at fetch.cpp:20 in fetch_slowly
//         sleep, 59.0 s left, at fetch.cpp:14 in slowly
//     reader: channel::receive, at reader.cpp:8 in read_all
//
// One row for each line of work; what runs inside it is indented below. A row says what the line is
// suspended on, where in the source, and, if the loop keeps time (loop_options::debug), for how
// long.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <rondo/core/observer.hpp>
#include <rondo/core/scope.hpp>
#include <rondo/loop/engine.hpp>
#include <rondo/loop/loop_clock.hpp>
#include <rondo/loop/place.hpp>

namespace rondo::detail {

/// What a leaf shows of itself.
class leaf_notes final : public observer {
 public:
  struct inner_line {
    const scope* line;
    std::string name;  // empty: it has none
    std::size_t depth;
  };

  /// depth: of the lines inside it.
  leaf_notes(time_point now, std::size_t depth) noexcept : now_(now), depth_(depth) {}

  [[gnu::cold]] void child(const scope& line, std::string_view name) override {
    children.push_back({&line, std::string(name), depth_});
  }
  [[gnu::cold]] void particular(std::string_view words) override {
    if (!words.empty()) particulars.append(" ").append(words);
  }
  [[gnu::cold]] void on_descriptor(int fd) override {
    particular("on descriptor " + std::to_string(fd));
  }
  [[gnu::cold]] void due(std::int64_t time) override {
    const time_point end{std::chrono::nanoseconds(time)};
    // Not one that is not armed yet, or is about to fire.
    if (end > now_ && end != time_point::max()) particulars += ", " + span(end - now_) + " left";
  }

  std::string particulars;
  std::vector<inner_line> children;

 private:
  time_point now_;
  std::size_t depth_;
};

/// A line's row, without what is inside it, which is added to `inside`.
[[nodiscard, gnu::cold]] inline std::string describe(const scope& line, leaf_notes& inside) {
  leaf* const on = line.suspended_on();
  std::string row;
  if (on != nullptr) {
    if (on->what->show != nullptr) on->what->show(*on, inside);
    row = on->what->name + inside.particulars;
  } else {
    row = line.loop().running() == &line ? "runs" : "is ready";
  }
  if (const std::string place = describe(line.place()); !place.empty()) row += ", at " + place;
  if (on != nullptr && line.suspended_since() != 0) {
    const auto now = loop_clock::real_now().time_since_epoch();
    row += ", for " + span(now - std::chrono::nanoseconds(line.suspended_since()));
  }
  if (line.canceled()) row += ", canceled";
  return row;
}
[[nodiscard, gnu::cold]] inline std::string describe(const scope& line) {
  leaf_notes inside(static_cast<engine&>(line.loop()).clock_time(), 0);
  return describe(line, inside);
}

/// All of a loop's lines. Trees may be deeper than the stack, so those still to come are in a list.
[[nodiscard, gnu::cold]] inline std::string task_tree(engine& loop) {
  const time_point now = loop.clock_time();
  leaf_notes top(now, 0);
  loop.tasks().show(top);
  std::vector<leaf_notes::inner_line> to_come;
  const auto add_reversed = [&to_come](std::vector<leaf_notes::inner_line>& lines) {
    for (; !lines.empty(); lines.pop_back()) to_come.push_back(std::move(lines.back()));
  };
  add_reversed(top.children);
  std::string text;
  while (!to_come.empty()) {
    const leaf_notes::inner_line next = std::move(to_come.back());
    to_come.pop_back();
    leaf_notes inside(now, next.depth + 1);
    const std::string row = describe(*next.line, inside);
    text.append(2 * next.depth, ' ').append(next.name).append(next.name.empty() ? "" : ": ");
    text.append(row).append("\n");
    add_reversed(inside.children);
  }
  return text;
}

}  // namespace rondo::detail

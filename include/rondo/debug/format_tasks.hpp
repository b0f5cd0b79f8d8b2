// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// format_tasks: what a loop's tasks are waiting for, as text. (asyncio: all_tasks, print_stack.)
//
//     std::fputs(rondo::format_tasks(rondo::event_loop::current()).c_str(), stderr);
//
//     root: when_all, at fetch.cpp:31 in fetch_both
//       recv on descriptor 7, at fetch.cpp:12 in fetch, for 1.2 s
//       sleep, 3.8 s left, at fetch.cpp:20 in slowly
//     reader: channel::receive, at reader.cpp:8 in read_all
//
// A program that hangs can be asked for it by a signal: `while (co_await signals.next()) ...` in a
// spawned task.

#include <string>

#include <rondo/loop/event_loop.hpp>
#include <rondo/loop/task_tree.hpp>

namespace rondo {

/// The tree of all tasks of a loop, a row each: what each is suspended on and where in the source;
/// with loop_options::debug, since when; below it, indented, what runs inside it. Spawned tasks come
/// after the root, with their names.
/// What is not known: places with clang 14; children of streams that were dropped.
/// Thread: the loop's, in a task or between runs. Throws: std::bad_alloc.
[[nodiscard]] inline std::string format_tasks(event_loop& loop) {
  return detail::task_tree(loop);
}

}  // namespace rondo

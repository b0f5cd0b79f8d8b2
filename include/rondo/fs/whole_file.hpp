// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Whole files in one call.
//
//     std::string text = co_await rondo::read_file("/etc/hostname");
//     co_await rondo::write_file("out.txt", text);

#include <string>
#include <system_error>
#include <utility>

#include <rondo/core/task.hpp>
#include <rondo/fs/file.hpp>
#include <rondo/io/buffer.hpp>
#include <rondo/io/path.hpp>

namespace rondo {

namespace detail {

template <typename Source>
task<> write_whole_file(path_argument path, Source from) {
  file f = co_await file::open(std::move(path),
                               open_mode::write | open_mode::create | open_mode::truncate);
  co_await f.write(const_buffer(from));
  co_await f.close();  // some file systems report a full disk only here
}

}  // namespace detail

/// All bytes of a file. Keep alive: a path given as an lvalue.
/// Throws: std::system_error that names the path.
template <typename = detail::on_use>
task<std::string> read_file(detail::path_argument path) {
  file f = co_await file::open(path);
  try {
    co_return co_await f.read_all();
  } catch (const std::system_error& e) {  // a directory, say, opens and cannot be read
    throw std::system_error(e.code(), "read " + std::string(path.c_str()));
  }
}

/// Makes or replaces a file with these bytes. A reader may see half of it meanwhile, and a failure
/// or a cancellation leaves what was written so far.
/// Keep alive: the path and the data, unless they are given away. Throws: std::system_error.
template <detail::source_of_bytes B>
task<> write_file(detail::path_argument path, B&& from) {
  return detail::write_whole_file(std::move(path), detail::source<B>(std::forward<B>(from)));
}

}  // namespace rondo

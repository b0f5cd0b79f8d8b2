// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Copying a file.
//
//     co_await rondo::copy_file("a.iso", "b.iso");
//     co_await rondo::copy_file("a.iso", "b.iso", [&](std::uint64_t bytes) { draw_bar(bytes); });
//
// Between regular files the file system copies by itself (copy_file_range(2): some only share the
// blocks), a few megabytes at a time on a thread. Where it cannot, and for what is no regular file or
// does not know its size (a FIFO, /proc), bytes are read and written. Holes stay holes.

#include <algorithm>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fcntl.h>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <rondo/core/task.hpp>
#include <rondo/fs/file.hpp>
#include <rondo/fs/file_info.hpp>
#include <rondo/io/ops/path.hpp>
#include <rondo/io/ops/read_write.hpp>
#include <rondo/io/path.hpp>
#include <rondo/threads/to_thread.hpp>

namespace rondo {

namespace detail {
struct no_progress {
  void operator()(std::uint64_t) const noexcept {}
};
template <typename Progress>
task<std::uint64_t> copy_whole_file(path_argument from, path_argument to, Progress progress);
}  // namespace detail

/// Copies what is in `from` to `to`, which is made (with the permissions of `from`, less the umask)
/// or replaced. After each part `progress(bytes)` is called with how far it has come in the file.
///
/// Gives: how many bytes the copy has. Keep alive: paths given as lvalues.
/// Canceled: within a part; `to` holds what was copied so far. So it does after an error.
/// Throws: std::system_error; with EINVAL, and before it touches anything, when both are the same
/// file.
template <std::invocable<std::uint64_t> Progress = detail::no_progress>
[[nodiscard]] task<std::uint64_t> copy_file(detail::path_argument from, detail::path_argument to,
                                            Progress progress = {}) {
  return detail::copy_whole_file(std::move(from), std::move(to), std::move(progress));
}

// Implementation

namespace detail {

/// One part of a copy between regular files, as a thread makes it. Plain calls that block.
struct copied_part {
  enum class end : std::uint8_t {
    more,     // it has come to `at`
    hole,     // from `at` to the end there is nothing but a hole
    refused,  // the file system does not copy by itself; from `at` to `until` there are bytes
    ended,    // there is no more than `at`
    failed,   // with `error`
  };
  end how;
  std::uint64_t at;
  std::uint64_t until = 0;
  int error = 0;
};

/// by_itself: false when the file system has refused before.
inline copied_part copy_part(int from, int to, std::uint64_t at, std::uint64_t size,
                             bool by_itself) noexcept {
  using end = copied_part::end;
  constexpr std::uint64_t most = 8U << 20;  // as long as a cancellation waits
  const off_t data = ::lseek(from, static_cast<off_t>(at), SEEK_DATA);
  if (data < 0) return {errno == ENXIO ? end::hole : end::refused, at, size};
  const auto begin = static_cast<std::uint64_t>(data);
  if (begin >= size) return {end::hole, at};
  const off_t hole = ::lseek(from, data, SEEK_HOLE);
  const std::uint64_t until = hole > data ? std::min(size, static_cast<std::uint64_t>(hole)) : size;
  if (!by_itself) return {end::refused, begin, until};
  off_t in = data;
  off_t out = data;
  const auto part = static_cast<std::size_t>(std::min(most, until - begin));
  const ssize_t n = ::copy_file_range(from, &in, to, &out, part, 0);
  if (n > 0) return {end::more, static_cast<std::uint64_t>(in)};
  if (n == 0) return {end::ended, begin};
  switch (errno) {
    case EXDEV:
    case EINVAL:
    case EOPNOTSUPP:
    case ENOSYS:
    case EPERM:  // a seccomp profile
      return {end::refused, begin, until};
    default:
      return {end::failed, begin, until, errno};
  }
}

/// By reading and writing, from the positions to the end.
template <typename Progress>
task<std::uint64_t> copy_stream(file& in, file& out, Progress& progress) {
  std::vector<char> space(256 * 1024);
  for (std::uint64_t done = 0;;) {
    const std::size_t n = co_await in.read(space);
    if (n == 0) co_return done;
    co_await out.write(const_buffer(space.data(), n));
    done += n;
    progress(done);
  }
}

/// The same from one offset to another. Gives where the bytes ended.
template <typename Progress>
task<std::uint64_t> copy_bytes(file& in, file& out, std::uint64_t at, std::uint64_t until,
                               Progress& progress) {
  std::vector<char> space(static_cast<std::size_t>(std::min<std::uint64_t>(until - at, 256 * 1024)));
  while (at < until) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(until - at, space.size()));
    const std::size_t n = co_await in.read_at(mutable_buffer(space.data(), part), at);
    if (n == 0) break;
    co_await out.write_at(const_buffer(space.data(), n), at);
    at += n;
    progress(at);
  }
  co_return at;
}

/// Both are regular files. Gives how many bytes the copy has.
template <typename Progress>
task<std::uint64_t> copy_extents(file& in, file& out, std::uint64_t size, Progress& progress) {
  using end = copied_part::end;
  bool by_itself = true;
  for (std::uint64_t at = 0; at < size;) {
    const copied_part part = co_await to_thread(copy_part, in.native_handle(),
                                                out.native_handle(), at, size, by_itself);
    at = part.at;
    switch (part.how) {
      case end::more:
        progress(at);
        break;
      case end::hole:
        co_await out.resize(size);
        progress(size);
        co_return size;
      case end::refused:
        by_itself = false;
        at = co_await copy_bytes(in, out, at, part.until, progress);
        if (at < part.until) co_return at;
        break;
      case end::ended:
        co_return at;
      case end::failed:
        throw std::system_error(part.error, std::system_category());
    }
  }
  co_return size;
}

template <typename Progress>
task<std::uint64_t> copy_open_files(file& in, file& out, const file_info& info,
                                    Progress& progress) {
  const file_info there = co_await out.status();
  if (there.same_file(info)) {
    throw std::system_error(EINVAL, std::system_category(), "both are the same file");
  }
  const bool regular = there.is_regular_file();
  if (regular) co_await out.resize(0);
  std::uint64_t size = 0;
  if (regular && info.is_regular_file() && info.size() != 0) {
    size = co_await copy_extents(in, out, info.size(), progress);
  } else {
    size = co_await copy_stream(in, out, progress);
  }
  co_await out.close();
  co_return size;
}

template <typename Progress>
task<std::uint64_t> copy_whole_file(path_argument from, path_argument to, Progress progress) {
  file in = co_await file::open(from.c_str());
  const file_info info = co_await in.status();
  if (info.is_directory()) raise_on_path(EISDIR, "copy", from);
  const auto permissions = static_cast<mode_t>(info.permissions()) & 0777;
  file out = co_await file::open(to.c_str(), open_mode::write | open_mode::create, permissions);
  try {
    co_return co_await copy_open_files(in, out, info, progress);
  } catch (const std::system_error& e) {
    throw std::system_error(e.code(), std::string("copy ") + from.c_str() + " to " + to.c_str());
  }
}

}  // namespace detail
}  // namespace rondo

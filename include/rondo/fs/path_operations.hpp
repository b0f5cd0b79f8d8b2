// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Files and directories by their path: made, removed, renamed. (Asked about: fs/file_info.hpp.
// Listed: fs/list_directory.hpp.)
//
//     co_await rondo::create_directory("out");
//     co_await rondo::rename_file("out.tmp", "out/report.txt");
//
// Keep alive: a path given as an lvalue. Throws: std::system_error that names the path. Canceled:
// either it is done and counts, or it is not.

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <utility>

#include <rondo/io/operation.hpp>
#include <rondo/io/ops/path.hpp>
#include <rondo/io/path.hpp>

namespace rondo {

namespace detail {

/// Makes a directory; if something is there, looks whether it is one.
struct create_directory_op : mkdirat_op {
  using value_type = bool;
  struct statx there {};
  bool looks = false;

  void prepare(io_uring_sqe& e) noexcept {
    if (!looks) return mkdirat_op::prepare(e);
    io_uring_prep_statx(&e, directory, path.c_str(), 0, STATX_TYPE, &there);
  }
  bool again(int& result) noexcept {
    if (!looks) return looks = result == -EEXIST;
    result = result == 0 && S_ISDIR(there.stx_mode) ? 0 : -EEXIST;
    return false;
  }
  [[nodiscard]] bool value(int) const noexcept { return !looks; }
};

}  // namespace detail

/// Makes a directory, with `permissions` less the process's umask. Gives false if there is one
/// already, as std::filesystem::create_directory does.
inline auto create_directory(detail::path_argument path, mode_t permissions = 0777) {
  using op = detail::create_directory_op;
  return io::operation<op>(op{{AT_FDCWD, std::move(path), permissions}});
}

/// Removes an empty directory.
inline auto remove_directory(detail::path_argument path) {
  return io::unlinkat(AT_FDCWD, std::move(path), AT_REMOVEDIR);
}

/// Removes a file, or a symbolic link (and not what it leads to).
inline auto remove_file(detail::path_argument path) {
  return io::unlinkat(AT_FDCWD, std::move(path));
}

/// Gives a file or directory another name on the same file system. What has that name is replaced
/// in one step.
inline auto rename_file(detail::path_argument from, detail::path_argument to) {
  return io::renameat(AT_FDCWD, std::move(from), AT_FDCWD, std::move(to));
}

}  // namespace rondo

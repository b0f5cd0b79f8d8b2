// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Operations on what a path names: opened, asked about, renamed, removed, made. The first argument
// is the directory from which a relative path starts, or AT_FDCWD. Errors name the path.
//
//     rondo::descriptor log = co_await rondo::io::openat(AT_FDCWD, "app.log", O_WRONLY | O_APPEND);
//
// How an operation is awaited, canceled and answered is in io/operation.hpp. Keep alive: a path
// given as an lvalue. Canceled: most of these cannot be interrupted once the kernel has begun, and
// then end with what it says; what is opened is delivered or closed.

#include <fcntl.h>
#include <stdio.h>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <utility>

#include <rondo/io/descriptor.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/io/path.hpp>

namespace rondo::detail {

/// What was tried, and on which path.
[[nodiscard]] inline std::string on_path(const char* verb, const path_argument& path) {
  return std::string(verb) + " " + path.c_str();
}
[[nodiscard]] inline std::string on_paths(const char* verb, const path_argument& from,
                                          const path_argument& to) {
  return on_path(verb, from) + " to " + to.c_str();
}
[[noreturn, gnu::cold]] inline void raise_on_path(int error, const char* verb,
                                                  const path_argument& path) {
  throw std::system_error(error, std::system_category(), on_path(verb, path));
}

/// Owner: what the descriptor is delivered in.
template <typename Owner>
struct openat_op {
  using value_type = Owner;
  static constexpr const char* name = "open";
  int directory;
  path_argument path;
  int flags;
  mode_t mode;

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_openat(&e, directory, path.c_str(), flags | O_CLOEXEC, mode);
  }
  [[nodiscard]] std::string what() const { return on_path(name, path); }
};

struct statx_op {
  using value_type = struct statx;
  static constexpr const char* name = "stat";
  int directory;
  path_argument path;
  int flags;
  unsigned mask;
  struct statx answer {};

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_statx(&e, directory, path.c_str(), flags, mask, &answer);
  }
  [[nodiscard]] struct statx value(int) const noexcept { return answer; }
  [[nodiscard]] std::string what() const { return on_path(name, path); }
};

struct renameat_op {
  using value_type = void;
  static constexpr const char* name = "rename";
  int from_directory;
  path_argument from;
  int to_directory;
  path_argument to;
  unsigned flags;

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_renameat(&e, from_directory, from.c_str(), to_directory, to.c_str(), flags);
  }
  [[nodiscard]] std::string what() const { return on_paths(name, from, to); }
};

struct unlinkat_op {
  using value_type = void;
  static constexpr const char* name = "remove";
  int directory;
  path_argument path;
  int flags;

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_unlinkat(&e, directory, path.c_str(), flags);
  }
  [[nodiscard]] std::string what() const { return on_path(name, path); }
};

struct mkdirat_op {
  using value_type = void;
  static constexpr const char* name = "make directory";
  int directory;
  path_argument path;
  mode_t mode;

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_mkdirat(&e, directory, path.c_str(), mode);
  }
  [[nodiscard]] std::string what() const { return on_path(name, path); }
};

struct linkat_op {
  using value_type = void;
  static constexpr const char* name = "link";
  int from_directory;
  path_argument from;
  int to_directory;
  path_argument to;
  int flags;

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_linkat(&e, from_directory, from.c_str(), to_directory, to.c_str(), flags);
  }
  [[nodiscard]] std::string what() const { return on_paths(name, from, to); }
};

struct symlinkat_op {
  using value_type = void;
  static constexpr const char* name = "make link";
  path_argument target;
  int directory;
  path_argument path;

  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_symlinkat(&e, target.c_str(), directory, path.c_str());
  }
  [[nodiscard]] std::string what() const { return on_path(name, path); }
};

}  // namespace rondo::detail

namespace rondo::io {

/// open(2), with O_CLOEXEC. Canceled: a descriptor that arrives all the same is delivered or
/// closed.
inline auto openat(int directory, detail::path_argument path, int flags, mode_t mode = 0666) {
  using op = detail::openat_op<descriptor>;
  return operation<op>(op{directory, std::move(path), flags, mode});
}

/// `flags` and `mask` as for statx(2); an empty path and AT_EMPTY_PATH ask about `directory`
/// itself.
inline auto statx(int directory, detail::path_argument path, int flags = 0,
                  unsigned mask = STATX_BASIC_STATS) {
  return operation<detail::statx_op>(detail::statx_op{directory, std::move(path), flags, mask});
}

/// renameat2(2). What has the new name is replaced in one step, so that there is always one of the
/// two; `flags` may be RENAME_NOREPLACE or RENAME_EXCHANGE.
inline auto renameat(int from_directory, detail::path_argument from, int to_directory,
                     detail::path_argument to, unsigned flags = 0) {
  return operation<detail::renameat_op>(
      detail::renameat_op{from_directory, std::move(from), to_directory, std::move(to), flags});
}

/// Removes a name, and what it names if nothing else does. `flags`: 0, or AT_REMOVEDIR for a
/// directory, which must be empty.
inline auto unlinkat(int directory, detail::path_argument path, int flags = 0) {
  return operation<detail::unlinkat_op>(detail::unlinkat_op{directory, std::move(path), flags});
}

/// Makes a directory, with the permissions in `mode` less the process's umask.
inline auto mkdirat(int directory, detail::path_argument path, mode_t mode = 0777) {
  return operation<detail::mkdirat_op>(detail::mkdirat_op{directory, std::move(path), mode});
}

/// Gives a file one name more, on the same file system. `flags`: 0, AT_SYMLINK_FOLLOW, or
/// AT_EMPTY_PATH (see linkat(2)).
inline auto linkat(int from_directory, detail::path_argument from, int to_directory,
                   detail::path_argument to, int flags = 0) {
  return operation<detail::linkat_op>(
      detail::linkat_op{from_directory, std::move(from), to_directory, std::move(to), flags});
}

/// Makes a symbolic link at `path` to `target`, which need not exist.
inline auto symlinkat(detail::path_argument target, int directory, detail::path_argument path) {
  return operation<detail::symlinkat_op>(
      detail::symlinkat_op{std::move(target), directory, std::move(path)});
}

}  // namespace rondo::io

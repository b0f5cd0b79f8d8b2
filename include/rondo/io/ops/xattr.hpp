// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Extended attributes: small values with names such as "user.checksum" that a file system keeps
// beside a file (xattr(7)). Reading gives the value's size; with an empty buffer that is all it
// does. How an operation is awaited, canceled and answered is in io/operation.hpp.
//
//     co_await rondo::io::setxattr("a.iso", "user.checksum", checksum);
//     const std::size_t n = co_await rondo::io::getxattr("a.iso", "user.checksum", space);
//
// Keep alive: the buffer; name and path, unless they are given away. Throws: std::system_error with
// ENODATA when there is no such attribute, ERANGE when the buffer is too small.

#include <cstddef>
#include <sys/xattr.h>
#include <utility>

#include <rondo/io/buffer.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/io/ops/path.hpp>
#include <rondo/io/path.hpp>

namespace rondo::detail {

struct getxattr_op {
  using value_type = std::size_t;
  static constexpr const char* name = "getxattr";
  path_argument path;
  path_argument attribute;
  mutable_buffer to;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_getxattr(&e, attribute.c_str(), static_cast<char*>(to.data()), path.c_str(),
                           static_cast<unsigned>(to.size()));
  }
  [[nodiscard]] std::string what() const { return on_path(name, path); }
};

struct fgetxattr_op {
  using value_type = std::size_t;
  static constexpr const char* name = "fgetxattr";
  int fd;
  path_argument attribute;
  mutable_buffer to;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_fgetxattr(&e, fd, attribute.c_str(), static_cast<char*>(to.data()),
                            static_cast<unsigned>(to.size()));
  }
};

template <typename Source>
struct setxattr_op {
  using value_type = void;
  static constexpr const char* name = "setxattr";
  path_argument path;
  path_argument attribute;
  Source from;
  int flags;
  void prepare(io_uring_sqe& e) noexcept {
    const const_buffer b = from;
    io_uring_prep_setxattr(&e, attribute.c_str(), static_cast<const char*>(b.data()), path.c_str(),
                           flags, static_cast<unsigned>(b.size()));
  }
  [[nodiscard]] std::string what() const { return on_path(name, path); }
};

template <typename Source>
struct fsetxattr_op {
  using value_type = void;
  static constexpr const char* name = "fsetxattr";
  int fd;
  path_argument attribute;
  Source from;
  int flags;
  void prepare(io_uring_sqe& e) noexcept {
    const const_buffer b = from;
    io_uring_prep_fsetxattr(&e, fd, attribute.c_str(), static_cast<const char*>(b.data()), flags,
                            static_cast<unsigned>(b.size()));
  }
};

}  // namespace rondo::detail

namespace rondo::io {

/// Reads an attribute of what a path names, through symbolic links.
inline auto getxattr(detail::path_argument path, detail::path_argument attribute,
                     mutable_buffer to) {
  using op = detail::getxattr_op;
  return operation<op>(op{std::move(path), std::move(attribute), to});
}

/// Reads an attribute of an open file.
inline auto fgetxattr(int fd, detail::path_argument attribute, mutable_buffer to) {
  using op = detail::fgetxattr_op;
  return operation<op>(op{fd, std::move(attribute), to});
}

/// Writes an attribute of what a path names, through symbolic links. `flags`: 0, XATTR_CREATE (it
/// must not be there) or XATTR_REPLACE (it must).
template <detail::source_of_bytes B>
auto setxattr(detail::path_argument path, detail::path_argument attribute, B&& from,
              int flags = 0) {
  using op = detail::setxattr_op<detail::source<B>>;
  return operation<op>(op{std::move(path), std::move(attribute),
                          detail::source<B>(std::forward<B>(from)), flags});
}

/// Writes an attribute of an open file. `flags`: as for setxattr.
template <detail::source_of_bytes B>
auto fsetxattr(int fd, detail::path_argument attribute, B&& from, int flags = 0) {
  using op = detail::fsetxattr_op<detail::source<B>>;
  return operation<op>(
      op{fd, std::move(attribute), detail::source<B>(std::forward<B>(from)), flags});
}

}  // namespace rondo::io

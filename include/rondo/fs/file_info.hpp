// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What a file system knows about a file: size, kind, permissions, times. What stat(2) tells.
//
//     const rondo::file_info info = co_await rondo::file_status("/etc/hostname");
//     if (info.is_regular_file() && info.size() > 1000) ...

#include <chrono>
#include <cstdint>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <utility>

#include <rondo/io/ops/path.hpp>

namespace rondo {

class file_info {
 public:
  using clock_time = std::chrono::sys_time<std::chrono::nanoseconds>;

  explicit file_info(const struct statx& answer) noexcept : answer_(answer) {}

  /// In bytes; of a symbolic link, that of the path in it.
  [[nodiscard]] std::uint64_t size() const noexcept { return answer_.stx_size; }
  /// What it takes on the disk, in bytes: less than the size where there are holes.
  [[nodiscard]] std::uint64_t allocated() const noexcept { return answer_.stx_blocks * 512; }

  [[nodiscard]] std::filesystem::file_type type() const noexcept;
  [[nodiscard]] bool is_regular_file() const noexcept { return S_ISREG(answer_.stx_mode); }
  [[nodiscard]] bool is_directory() const noexcept { return S_ISDIR(answer_.stx_mode); }
  [[nodiscard]] bool is_symlink() const noexcept { return S_ISLNK(answer_.stx_mode); }
  [[nodiscard]] std::filesystem::perms permissions() const noexcept {
    return static_cast<std::filesystem::perms>(answer_.stx_mode & 07777U);
  }

  /// When what is in it was changed last.
  [[nodiscard]] clock_time modified() const noexcept { return time(answer_.stx_mtime); }
  [[nodiscard]] clock_time accessed() const noexcept { return time(answer_.stx_atime); }
  /// When anything about it was changed last: permissions, owner, names, content.
  [[nodiscard]] clock_time status_changed() const noexcept { return time(answer_.stx_ctime); }

  [[nodiscard]] std::uint32_t owner() const noexcept { return answer_.stx_uid; }
  [[nodiscard]] std::uint32_t group() const noexcept { return answer_.stx_gid; }
  /// How many names it has.
  [[nodiscard]] std::uint32_t links() const noexcept { return answer_.stx_nlink; }

  /// Whether both are about the same file.
  [[nodiscard]] bool same_file(const file_info& other) const noexcept {
    return answer_.stx_ino == other.answer_.stx_ino &&
           answer_.stx_dev_major == other.answer_.stx_dev_major &&
           answer_.stx_dev_minor == other.answer_.stx_dev_minor;
  }

  [[nodiscard]] const struct statx& native() const noexcept { return answer_; }

 private:
  static clock_time time(const statx_timestamp& t) noexcept {
    return clock_time(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
  }
  struct statx answer_;
};

namespace detail {
struct status_op : statx_op {
  using value_type = file_info;
  [[nodiscard]] file_info value(int) const noexcept { return file_info(answer); }
};
inline auto status_of(int directory, path_argument path, int flags) {
  return io::operation<status_op>(
      status_op{{directory, std::move(path), flags, STATX_BASIC_STATS}});
}
}  // namespace detail

/// What a path names, through symbolic links. Keep alive: a path given as an lvalue.
/// Throws: std::system_error that names the path.
inline auto file_status(detail::path_argument path) {
  return detail::status_of(AT_FDCWD, std::move(path), 0);
}
/// The same of a symbolic link itself.
inline auto symlink_status(detail::path_argument path) {
  return detail::status_of(AT_FDCWD, std::move(path), AT_SYMLINK_NOFOLLOW);
}

// Implementation

inline std::filesystem::file_type file_info::type() const noexcept {
  using std::filesystem::file_type;
  switch (answer_.stx_mode & unsigned{S_IFMT}) {
    case S_IFREG: return file_type::regular;
    case S_IFDIR: return file_type::directory;
    case S_IFLNK: return file_type::symlink;
    case S_IFBLK: return file_type::block;
    case S_IFCHR: return file_type::character;
    case S_IFIFO: return file_type::fifo;
    case S_IFSOCK: return file_type::socket;
    default: return file_type::unknown;
  }
}

}  // namespace rondo

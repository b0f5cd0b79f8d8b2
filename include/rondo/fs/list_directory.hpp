// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What is in a directory, one entry after the other, without "." and "..", in no order.
//
//     auto entries = rondo::list_directory("/etc");
//     while (auto entry = co_await entries.next()) {
//       if (entry->is_regular_file()) std::puts(entry->path().c_str());
//     }
//
// io_uring has no operation for this: a thread reads entries by the hundreds.

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/core/task.hpp>
#include <rondo/io/descriptor.hpp>
#include <rondo/io/ops/close.hpp>
#include <rondo/io/ops/path.hpp>
#include <rondo/sync/mutex.hpp>
#include <rondo/threads/to_thread.hpp>

namespace rondo {

/// A name in a directory, and what it is a name of: the link itself if that is a symbolic link.
class directory_entry {
 public:
  directory_entry(std::string_view directory, std::string_view name,
                  std::filesystem::file_type type, std::uint64_t inode);

  /// Without the directory.
  [[nodiscard]] std::string_view name() const& noexcept {
    return std::string_view(path_).substr(name_at_);
  }
  [[nodiscard]] std::string name() && { return path_.substr(name_at_); }
  /// The directory as it was given, and the name.
  [[nodiscard]] const std::string& path() const& noexcept { return path_; }
  [[nodiscard]] std::string path() && { return std::move(path_); }

  /// file_type::unknown on file systems that do not tell (then ask symlink_status).
  [[nodiscard]] std::filesystem::file_type type() const noexcept { return type_; }
  [[nodiscard]] bool is_regular_file() const noexcept {
    return type_ == std::filesystem::file_type::regular;
  }
  [[nodiscard]] bool is_directory() const noexcept {
    return type_ == std::filesystem::file_type::directory;
  }
  [[nodiscard]] bool is_symlink() const noexcept {
    return type_ == std::filesystem::file_type::symlink;
  }
  [[nodiscard]] std::uint64_t inode() const noexcept { return inode_; }

 private:
  std::string path_;
  std::size_t name_at_;
  std::filesystem::file_type type_;
  std::uint64_t inode_;
};

/// The entries of a directory. Movable. Dropped in the middle it closes itself; `close` is awaited.
class directory_stream {
 public:
  explicit directory_stream(std::string path) : state_(std::make_shared<state>(std::move(path))) {}

  /// The next entry; nullopt at the end. What is made or removed meanwhile may or may not come.
  /// In flight: one. Canceled: loses nothing, the next call goes on. Throws: std::system_error that
  /// names the path, the first time when it cannot be opened.
  template <typename = detail::on_use>
  [[nodiscard]] task<std::optional<directory_entry>> next() & {
    return next_of(state_);
  }

  /// Ends it early, and waits for a next that is in flight. Not canceled. After it, and after the
  /// end, `next` gives nullopt.
  template <typename = detail::on_use>
  [[nodiscard]] task<> close() & {
    return close_it(state_);
  }

 private:
  struct state {
    explicit state(std::string p) noexcept : path(std::move(p)) {}
    std::string path;
    descriptor folder;
    mutex turn;           // whose the folder and the entries are
    bool closed = false;  // soon, or already
    bool ended = false;
    std::size_t at = 0;
    std::size_t size = 0;
    alignas(std::uint64_t) std::array<char, 32768> entries;
  };

  template <typename = detail::on_use>
  static task<std::optional<directory_entry>> next_of(std::shared_ptr<state> s);
  template <typename = detail::on_use>
  static task<> close_it(std::shared_ptr<state> s);
  static int read_entries(state* s) noexcept;
  static std::optional<directory_entry> take(state& s);

  std::shared_ptr<state> state_;  // kept by who is in flight
};

/// Opens nothing before the first `next`. The path is copied.
[[nodiscard]] inline directory_stream list_directory(const std::filesystem::path& path) {
  return directory_stream(path.native());
}

// Implementation

namespace detail {

/// What getdents64(2) writes; the C library has it only with _GNU_SOURCE and by another name.
struct kernel_entry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t length;
  unsigned char type;
  static constexpr std::size_t name_at = 19;
};

[[nodiscard]] inline std::filesystem::file_type entry_type(unsigned char type) noexcept {
  using std::filesystem::file_type;
  switch (type) {
    case DT_REG: return file_type::regular;
    case DT_DIR: return file_type::directory;
    case DT_LNK: return file_type::symlink;
    case DT_BLK: return file_type::block;
    case DT_CHR: return file_type::character;
    case DT_FIFO: return file_type::fifo;
    case DT_SOCK: return file_type::socket;
    default: return file_type::unknown;
  }
}

}  // namespace detail

inline directory_entry::directory_entry(std::string_view directory, std::string_view name,
                                        std::filesystem::file_type type, std::uint64_t inode)
    : type_(type), inode_(inode) {
  path_.reserve(directory.size() + 1 + name.size());
  path_ = directory;
  if (!path_.empty() && path_.back() != '/') path_ += '/';
  name_at_ = path_.size();
  path_ += name;
}

inline int directory_stream::read_entries(state* s) noexcept {
  const long n = ::syscall(SYS_getdents64, s->folder.native_handle(), s->entries.data(),
                           s->entries.size());
  const bool removed = n < 0 && errno == ENOENT;  // the directory itself, meanwhile
  if (n < 0 && !removed) return -errno;
  s->at = 0;
  s->size = removed ? 0 : static_cast<std::size_t>(n);
  s->ended = s->size == 0;
  return 0;
}

/// From what was read; nullopt when that is used up.
inline std::optional<directory_entry> directory_stream::take(state& s) {
  using entry = detail::kernel_entry;
  while (s.at < s.size) {
    const char* const raw = s.entries.data() + s.at;
    entry e;
    std::memcpy(&e, raw, sizeof e);
    const std::string_view name(raw + entry::name_at);
    if (name == "." || name == "..") {
      s.at += e.length;
      continue;
    }
    directory_entry taken(s.path, name, detail::entry_type(e.type), e.inode);
    s.at += e.length;  // what had no memory comes again
    return taken;
  }
  return std::nullopt;
}

template <typename>
task<std::optional<directory_entry>> directory_stream::next_of(std::shared_ptr<state> s) {
  co_await checkpoint();
  const auto mine = co_await s->turn.lock();
  for (;;) {
    if (s->closed) co_return std::nullopt;
    if (auto entry = take(*s)) co_return entry;
    if (s->ended) co_return std::nullopt;
    if (!s->folder) {
      const char* const path = s->path.c_str();
      s->folder = co_await io::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    }
    const int result = co_await to_thread(&directory_stream::read_entries, s.get());
    if (result < 0) detail::raise_on_path(-result, "list", s->path);
  }
}

template <typename>
task<> directory_stream::close_it(std::shared_ptr<state> s) {
  s->closed = true;
  const auto mine = co_await shield(s->turn.lock());
  if (s->folder) co_await io::close(std::move(s->folder));
}

}  // namespace rondo

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Files: opened, read, written and closed without blocking the loop.
//
//     rondo::file log = co_await rondo::file::open("app.log", rondo::open_mode::append);
//     co_await log.write("started\n");
//     co_await log.close();
//
// `read` and `write` move the file's position, so one of them may be in flight at a time; any
// number of `read_at` and `write_at` may. For a whole file at once see fs/whole_file.hpp,
// fs/write_file_atomically.hpp and fs/copy_file.hpp.

#include <algorithm>
#include <cstdint>
#include <fcntl.h>
#include <string>
#include <sys/types.h>
#include <unistd.h>
#include <utility>

#include <rondo/core/task.hpp>
#include <rondo/fs/file_info.hpp>
#include <rondo/io/buffer.hpp>
#include <rondo/io/close_owner.hpp>
#include <rondo/io/descriptor.hpp>
#include <rondo/io/ops/close.hpp>
#include <rondo/io/ops/file.hpp>
#include <rondo/io/ops/path.hpp>
#include <rondo/io/ops/read_write.hpp>
#include <rondo/io/path.hpp>

namespace rondo {

enum class open_mode : unsigned {
  read = 1,
  write = 2,
  append = 4,      // every write goes to the end; implies write
  create = 8,      // make it if it is not there
  truncate = 16,   // drop what is in it
  exclusive = 32,  // with create: it must not be there
  direct = 64,     // without the page cache; see io/aligned_buffer.hpp for what that asks
};
[[nodiscard]] constexpr open_mode operator|(open_mode a, open_mode b) noexcept {
  return static_cast<open_mode>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr open_mode& operator|=(open_mode& a, open_mode b) noexcept { return a = a | b; }

namespace detail {
/// As the kernel takes it: there -1 is the position, and what is less is refused (EINVAL).
[[nodiscard]] constexpr std::int64_t file_offset(std::uint64_t offset) noexcept {
  return offset == ~std::uint64_t{} ? -2 : static_cast<std::int64_t>(offset);
}

[[nodiscard]] constexpr int open_flags(open_mode mode) noexcept {
  const auto has = [mode](open_mode bit) {
    return (static_cast<unsigned>(mode) & static_cast<unsigned>(bit)) != 0;
  };
  const bool writes = has(open_mode::write) || has(open_mode::append);
  return (writes ? (has(open_mode::read) ? O_RDWR : O_WRONLY) : O_RDONLY) |
         (has(open_mode::append) ? O_APPEND : 0) | (has(open_mode::create) ? O_CREAT : 0) |
         (has(open_mode::truncate) ? O_TRUNC : 0) | (has(open_mode::exclusive) ? O_EXCL : 0) |
         (has(open_mode::direct) ? O_DIRECT : 0);
}

struct size_op : statx_op {
  using value_type = std::uint64_t;
  [[nodiscard]] std::uint64_t value(int) const noexcept { return answer.stx_size; }
};
struct resize_op : ftruncate_op {
  static constexpr const char* name = "resize";
};

}  // namespace detail

/// An open file. The destructor closes it at once and cannot report; `close` is awaited and can.
class file {
 public:
  file() noexcept = default;
  [[nodiscard]] static file adopt(int fd) noexcept { return file(descriptor(fd)); }
  static file adopt(const descriptor&) = delete;  // it has an owner: release() it

  /// Opens a file. `permissions` are for one that is made, less the process's umask.
  /// Throws: std::system_error that names the path.
  [[nodiscard]] static auto open(detail::path_argument path, open_mode mode = open_mode::read,
                                 mode_t permissions = 0666) {
    using op = detail::openat_op<file>;
    return io::operation<op>(
        op{AT_FDCWD, std::move(path), detail::open_flags(mode), permissions});
  }

  /// Reads at the file's position: at least one byte, or 0 at the end. Keep alive: the buffer.
  auto read(mutable_buffer to) & { return io::read(native_handle(), to); }
  /// Reads at a byte offset; the position does not matter and does not move.
  auto read_at(mutable_buffer to, std::uint64_t offset) & {
    return io::read(native_handle(), to, detail::file_offset(offset));
  }
  /// Fills the buffer. Canceled half-way: how much was read is lost. Throws: unexpected_eof at the
  /// end of the file, which says how much came.
  auto read_exactly(mutable_buffer to) & {
    return io::operation(detail::read_exactly_op{native_handle(), to, -1});
  }
  auto read_exactly_at(mutable_buffer to, std::uint64_t offset) & {
    return io::operation(
        detail::read_exactly_op{native_handle(), to, detail::file_offset(offset)});
  }
  /// Everything from the position to the end.
  template <typename = detail::on_use>
  task<std::string> read_all() &;

  /// Writes everything at the position (with `append`: at the end). Keep alive: the buffer, unless
  /// it is given away. Canceled half-way: how much was written is lost.
  template <detail::source_of_bytes B>
  auto write(B&& from) & {
    return write_everything(std::forward<B>(from), -1);
  }
  /// Writes everything at a byte offset.
  template <detail::source_of_bytes B>
  auto write_at(B&& from, std::uint64_t offset) & {
    return write_everything(std::forward<B>(from), detail::file_offset(offset));
  }
  /// Writes once, at the position, and gives how many bytes went: see io::write.
  template <detail::source_of_bytes B>
  auto write_some(B&& from) & {
    return io::write(native_handle(), std::forward<B>(from));
  }

  /// In bytes.
  auto size() & {
    return io::operation<detail::size_op>(
        detail::size_op{{native_handle(), "", AT_EMPTY_PATH, STATX_SIZE}});
  }
  /// Cuts the file off, or fills it up with zeros. Before Linux 6.9 a thread does it.
  auto resize(std::uint64_t size) & {
    return io::operation(
        detail::resize_op{{native_handle(), static_cast<std::int64_t>(size)}});
  }
  /// Returns when the data and what describes it are on the disk.
  auto sync() & { return io::fsync(native_handle()); }
  /// The same without times and the like.
  auto sync_data() & { return io::fsync(native_handle(), IORING_FSYNC_DATASYNC); }
  /// Makes sure that there is room on the disk for these bytes; the file grows if need be.
  auto allocate(std::uint64_t offset, std::uint64_t length) & {
    return io::fallocate(native_handle(), 0, static_cast<std::int64_t>(offset),
                         static_cast<std::int64_t>(length));
  }
  /// What the file system knows about it: size, kind, permissions, times.
  auto status() & { return detail::status_of(native_handle(), "", AT_EMPTY_PATH); }
  /// Cancels what is in flight on the file (it ends with errc::closed), closes, and reports an error
  /// that the disk had kept for the end. Does nothing when it was closed before. Not canceled, not
  /// refused.
  auto close() & { return detail::close_owner(fd_); }

  [[nodiscard]] int native_handle() const noexcept { return fd_.native_handle(); }
  [[nodiscard]] int release() noexcept { return fd_.release(); }
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

 private:
  explicit file(descriptor fd) noexcept : fd_(std::move(fd)) {}

  template <typename B>
  auto write_everything(B&& from, std::int64_t offset) {
    return detail::writing<detail::write_op>(native_handle(), std::forward<B>(from), offset);
  }
  descriptor fd_;
};

// Implementation

template <typename>
task<std::string> file::read_all() & {
  const std::uint64_t in_file = co_await size();
  const ::off_t position = ::lseek(native_handle(), 0, SEEK_CUR);  // negative: it has none
  const std::uint64_t before = position > 0 ? static_cast<std::uint64_t>(position) : 0;
  std::string all;
  // One byte more than the file says, so that one read can tell that it was all. Files that do not
  // know their size (in /proc, say) grow the string as they go.
  all.resize(static_cast<std::size_t>(in_file - std::min(before, in_file)) + 1);
  std::size_t done = 0;
  for (;;) {
    const std::size_t n = co_await read(mutable_buffer(all.data() + done, all.size() - done));
    if (n == 0) break;
    done += n;
    if (done == all.size()) all.resize(all.size() < 4096 ? 8192 : all.size() * 2);
  }
  all.resize(done);
  co_return all;
}

}  // namespace rondo

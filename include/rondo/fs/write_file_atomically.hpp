// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A file that is replaced as a whole. When a program, or the machine, dies while it writes a file,
// half of the new one is left and the old one is lost. So the new one is written beside the old one
// under another name, brought to the disk, and then given the name, which a file system does in one
// step: whoever opens the file sees the old one or the new one.
//
//     co_await rondo::write_file_atomically("settings.json", text);

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <typeinfo>
#include <unistd.h>
#include <utility>

#include <rondo/compose/as_result.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/core/task.hpp>
#include <rondo/fs/file.hpp>
#include <rondo/fs/file_info.hpp>
#include <rondo/io/buffer.hpp>
#include <rondo/io/ops/file.hpp>
#include <rondo/io/path.hpp>
#include <rondo/threads/to_thread.hpp>

namespace rondo {

namespace detail {
template <typename Fill>
task<> replace_whole_file(path_argument path, Fill fill);

template <typename Source>
struct fill_with {
  Source from;
  task<> operator()(file& f) const { co_await f.write(const_buffer(from)); }
};
}  // namespace detail

/// Makes or replaces a file with these bytes, in one step. When it returns, they are on the disk. A
/// file that is replaced leaves its permissions to the new one, and no more (a new file has its own
/// owner, attributes and hard links); a symbolic link is replaced itself.
///
/// Keep alive: the path and the data, unless they are given away.
/// Canceled: until the step it is as if nothing had been; once it is made, it counts. The same after
/// an error. A program that is killed may leave a file that begins with a dot and ends in ".tmp".
/// Throws: std::system_error that names the path; also when the directory may not be read.
template <detail::source_of_bytes B>
[[nodiscard]] task<> write_file_atomically(detail::path_argument path, B&& from) {
  using bytes = detail::source<B>;
  return detail::replace_whole_file(std::move(path),
                                    detail::fill_with<bytes>{bytes(std::forward<B>(from))});
}

// Implementation

namespace detail {

/// The directory part of a path, with its slash; empty for the current one.
inline std::string_view directory_of(std::string_view path) noexcept {
  return path.substr(0, path.rfind('/') + 1);
}

/// A name in the same directory that nobody else takes: by process, and by number and time in it.
inline std::string temporary_beside(std::string_view path) {
  static std::atomic<unsigned> count{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  char tail[64];
  std::snprintf(tail, sizeof tail, ".%x-%x-%x.tmp", static_cast<unsigned>(::getpid()), ++count,
                static_cast<unsigned>(now));
  const std::string_view directory = directory_of(path);
  std::string name(directory);
  name += '.';
  name += path.substr(directory.size(), 128);  // names have at most 255 bytes
  name += tail;
  return name;
}

/// Of a file that is replaced.
template <typename = on_use>
task<> set_permissions(file& f, int permissions) {
  const auto set_mode = [](int fd, mode_t mode) { return ::fchmod(fd, mode) == 0 ? 0 : errno; };
  const int error =
      co_await to_thread(set_mode, f.native_handle(), static_cast<mode_t>(permissions));
  if (error != 0) throw std::system_error(error, std::system_category());
}

/// The step, and its record in the directory, which is open by then: who may not open it is told
/// before.
template <typename = on_use>
task<> take_the_name(const std::string& temporary, const path_argument& path) {
  const std::string directory(directory_of(path.c_str()));
  const descriptor opened = co_await io::openat(
      AT_FDCWD, directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY);
  co_await io::renameat(AT_FDCWD, temporary, AT_FDCWD, path.c_str());
  co_await io::fsync(opened.native_handle());
}

/// With what `co_await fill(file&)` writes.
template <typename Fill>
task<> replace_whole_file(path_argument path, Fill fill) {
  int permissions = -1;
  const auto there = co_await as_result(symlink_status(path.c_str()));
  if (there) {
    if (there->is_directory()) raise_on_path(EISDIR, "write", path);
    if (there->is_regular_file()) permissions = static_cast<int>(there->permissions());
  }
  const std::string temporary = temporary_beside(path.c_str());
  std::exception_ptr error;
  bool made = false;
  file f;
  try {
    f = co_await file::open(temporary,
                            open_mode::write | open_mode::create | open_mode::exclusive);
    made = true;
    if (permissions >= 0) co_await set_permissions(f, permissions);
    co_await fill(f);
    const bool set_id = permissions >= 0 && (permissions & (S_ISUID | S_ISGID)) != 0;
    if (set_id) co_await set_permissions(f, permissions);  // writing takes those away
    co_await f.sync();
    co_await f.close();
    co_await shield(take_the_name(temporary, path));
    co_return;
  } catch (const std::system_error& e) {
    error = std::current_exception();
    if (typeid(e) == typeid(std::system_error)) {  // of the file, not of where the bytes come from
      const std::string what = std::string("write ") + path.c_str();
      error = std::make_exception_ptr(std::system_error(e.code(), what));
    }
  } catch (...) {
    error = std::current_exception();
  }
  if (made) static_cast<void>(co_await shield(as_result(io::unlinkat(AT_FDCWD, temporary))));
  std::rethrow_exception(error);
}

}  // namespace detail
}  // namespace rondo

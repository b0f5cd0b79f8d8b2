// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>

// The descriptors that this process has open: counted before and after, they show a leak.
namespace rondo_test {

inline std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count - 1;  // the directory itself was open while it was read
}

// One line a descriptor, such as "5 -> socket:[12345]": for the message of a failed check.
inline std::string describe_descriptors() {
  std::string text;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone);
    text += entry.path().filename().string() + " -> " + target.string() + "\n";
  }
  return text;
}

// While this exists, no more than so many descriptors may be opened.
class descriptor_limit {
 public:
  explicit descriptor_limit(std::size_t more) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int lowest = ::dup(0);  // numbers below this one are all taken
    ::close(lowest);
    rlimit low = before_;
    low.rlim_cur = static_cast<rlim_t>(lowest) + more;
    ::setrlimit(RLIMIT_NOFILE, &low);
  }
  descriptor_limit(const descriptor_limit&) = delete;
  descriptor_limit& operator=(const descriptor_limit&) = delete;
  ~descriptor_limit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

// While it exists, 0, 1 and 2 are closed.
class without_standard_streams {
 public:
  without_standard_streams() {
    for (int fd = 0; fd < 3; ++fd) {
      kept_[static_cast<std::size_t>(fd)] = ::fcntl(fd, F_DUPFD_CLOEXEC, 10);
      ::close(fd);
    }
  }
  without_standard_streams(const without_standard_streams&) = delete;
  without_standard_streams& operator=(const without_standard_streams&) = delete;
  // How many still are.
  static int closed() {
    int count = 0;
    for (int fd = 0; fd < 3; ++fd) count += ::fcntl(fd, F_GETFD) < 0;
    return count;
  }
  ~without_standard_streams() {
    for (int fd = 0; fd < 3; ++fd) {
      const int there = kept_[static_cast<std::size_t>(fd)];
      if (there < 0) continue;
      ::dup2(there, fd);
      ::close(there);
    }
  }

 private:
  std::array<int, 3> kept_{};
};

}  // namespace rondo_test

// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/resource.h>
#include <unistd.h>

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

}  // namespace rondo_test

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A path as an argument: whatever a std::filesystem::path or a const char* can be made from.
// Strings that end in a NUL and outlive the call are not copied.

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace rondo::detail {

class path_argument {
 public:
  path_argument(const char* path) noexcept : view_(path) {}
  path_argument(const std::string& path) noexcept : view_(path.c_str()) {}
  path_argument(const std::filesystem::path& path) noexcept : view_(path.c_str()) {}
  path_argument(std::string&& path) noexcept : owned_(std::move(path)) {}
  path_argument(std::filesystem::path&& path) : owned_(std::move(path).native()) {}
  path_argument(std::string_view path) : owned_(path) {}

  /// Valid until the argument is moved or destroyed.
  [[nodiscard]] const char* c_str() const noexcept {
    return view_ != nullptr ? view_ : owned_.c_str();
  }

 private:
  const char* view_ = nullptr;
  std::string owned_;
};

}  // namespace rondo::detail

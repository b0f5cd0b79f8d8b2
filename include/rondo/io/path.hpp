// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A path as an argument: whatever a std::filesystem::path or a const char* can be made from.
// Strings that end in a NUL and outlive the call are not copied. One with a NUL inside is refused
// (std::invalid_argument): the kernel would see another path, which ends there.

#include <concepts>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace rondo::detail {

class path_argument {
 public:
  path_argument(const char* path) noexcept : view_(path) {}
  path_argument(const std::string& path) : view_(whole(path).data()) {}
  path_argument(const std::filesystem::path& path) : view_(whole(path.native()).data()) {}
  path_argument(std::string&& path) : owned_((whole(path), std::move(path))) {}
  path_argument(std::filesystem::path&& path)
      : owned_((whole(path.native()), std::move(path).native())) {}
  path_argument(std::string_view path) : owned_(whole(path)) {}
  /// Whatever else a path is made from: a directory_entry, u8"text", L"text".
  template <typename P>
    requires(!std::convertible_to<const P&, const char*> && !std::derived_from<P, std::string> &&
             !std::derived_from<P, std::string_view> &&
             !std::derived_from<P, std::filesystem::path> &&
             std::convertible_to<const P&, std::filesystem::path>)
  path_argument(const P& path) : path_argument(std::filesystem::path(path)) {}

  /// Valid until the argument is moved or destroyed.
  [[nodiscard]] const char* c_str() const noexcept {
    return view_ != nullptr ? view_ : owned_.c_str();
  }

 private:
  static std::string_view whole(std::string_view path) {
    if (const auto end = path.find('\0'); end != path.npos) [[unlikely]] {
      throw std::invalid_argument("a path or name with a zero byte in it: it would end after \"" +
                                  std::string(path.substr(0, end)) + "\"");
    }
    return path;
  }

  const char* view_ = nullptr;
  std::string owned_;
};

}  // namespace rondo::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// An open file descriptor that closes itself. Every descriptor in rondo is in one of these from the
// first line in which it exists.

#include <unistd.h>
#include <concepts>
#include <utility>

namespace rondo {

class descriptor {
 public:
  descriptor() noexcept = default;
  explicit descriptor(int fd) noexcept : fd_(fd) {}
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    descriptor(std::move(other)).swap(*this);
    return *this;
  }
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  void swap(descriptor& other) noexcept { std::swap(fd_, other.fd_); }

  /// Takes over a descriptor that somebody else opened.
  [[nodiscard]] static descriptor adopt(int fd) noexcept { return descriptor(fd); }
  static descriptor adopt(const descriptor&) = delete;  // it has an owner: release() it
  [[nodiscard]] int native_handle() const noexcept { return fd_; }
  /// So that it can be given to the functions of rondo::io; it stays its owner's.
  operator int() const& noexcept { return fd_; }
  operator int() const&& = delete;  // it would be closed before it was used
  template <std::same_as<bool> Bool>
  operator Bool() const = delete;  // what was meant: if (fd), static_cast<bool>(fd)
  /// Gives it up without closing it.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace rondo

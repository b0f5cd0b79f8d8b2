// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A pointer to what counts its references itself, all on one thread: a T has an `unsigned refs_ = 1`
// for whoever made it, and is deleted with the last one.

#include <utility>

namespace rondo::detail {

/// A friend of T, if the count and the destructor are T's own affair.
template <typename T>
class intrusive_ref {
 public:
  /// Takes over a reference.
  explicit intrusive_ref(T* counted) noexcept : to_(counted) {}
  intrusive_ref(const intrusive_ref& other) noexcept : to_(other.to_) {
    if (to_ != nullptr) ++to_->refs_;
  }
  intrusive_ref(intrusive_ref&& other) noexcept : to_(other.release()) {}
  intrusive_ref& operator=(intrusive_ref other) noexcept {
    std::swap(to_, other.to_);
    return *this;
  }
  ~intrusive_ref() {
    if (to_ != nullptr && --to_->refs_ == 0) delete to_;
  }
  [[nodiscard]] T* operator->() const noexcept { return to_; }
  [[nodiscard]] T* release() noexcept { return std::exchange(to_, nullptr); }
  [[nodiscard]] explicit operator bool() const noexcept { return to_ != nullptr; }

 private:
  T* to_;
};

}  // namespace rondo::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What is read into and written from. A buffer is a view: pointer and size. The memory stays alive
// until the await returns; because nothing outlives the await that waits for it, that is the usual
// rule for a local variable and nothing more.
//
//     std::array<char, 4096> space;
//     std::size_t n = co_await peer.read(space);
//     co_await peer.write(std::string_view(space.data(), n));
//     co_await peer.write("hello " + name + "\n");   // an owner that is given away moves in
//
// An owner that is about to die may be written from (it is moved into the operation), and may not
// be read into: nobody could see what came.

#include <array>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <rondo/config.hpp>

namespace rondo {

class mutable_buffer;
class const_buffer;

namespace detail {

/// What may be seen as its bytes; views are not what is to be read or written.
template <typename T>
concept bytes =
    std::is_trivially_copyable_v<T> && !std::same_as<std::remove_cv_t<T>, mutable_buffer> &&
    !std::same_as<std::remove_cv_t<T>, const_buffer>;

/// Types that own their elements, so that a view of a temporary one dangles.
template <typename T>
struct owns_elements : std::false_type {};
template <typename C, typename T, typename A>
struct owns_elements<std::basic_string<C, T, A>> : std::true_type {};
template <typename T, typename A>
struct owns_elements<std::vector<T, A>> : std::true_type {};
template <typename T, std::size_t N>
struct owns_elements<std::array<T, N>> : std::true_type {};

template <typename T>
concept dying_owner =
    !std::is_lvalue_reference_v<T> && owns_elements<std::remove_cv_t<T>>::value;

}  // namespace detail

/// Memory to read into.
class mutable_buffer {
 public:
  mutable_buffer() noexcept = default;
  mutable_buffer(void* data, std::size_t size) noexcept : data_(data), size_(size) {}
  template <detail::bytes T, std::size_t N>
    requires(!std::is_const_v<T>)
  mutable_buffer(std::span<T, N> s) noexcept : mutable_buffer(s.data(), s.size_bytes()) {}
  template <detail::bytes T, std::size_t N>
    requires(!std::is_const_v<T>)
  mutable_buffer(T (&array)[N] RONDO_LIFETIMEBOUND) noexcept
      : mutable_buffer(array, N * sizeof(T)) {}
  template <detail::bytes T, std::size_t N>
    requires(!std::is_const_v<T>)
  mutable_buffer(std::array<T, N>& array RONDO_LIFETIMEBOUND) noexcept
      : mutable_buffer(array.data(), N * sizeof(T)) {}
  template <detail::bytes T, typename A>
  mutable_buffer(std::vector<T, A>& v RONDO_LIFETIMEBOUND) noexcept
      : mutable_buffer(v.data(), v.size() * sizeof(T)) {}
  mutable_buffer(std::string& s RONDO_LIFETIMEBOUND) noexcept
      : mutable_buffer(s.data(), s.size()) {}
  template <detail::dying_owner T>
  mutable_buffer(T&&) {
    static_assert(!detail::dying_owner<T>,
                  "reading into a temporary: nobody could see what came. Name the container first");
  }

  [[nodiscard]] void* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// What is left behind the first `count` bytes.
  [[nodiscard]] mutable_buffer after(std::size_t count) const noexcept {
    return {static_cast<char*>(data_) + count, size_ - count};
  }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Memory to write from.
class const_buffer {
 public:
  const_buffer() noexcept = default;
  const_buffer(const void* data, std::size_t size) noexcept : data_(data), size_(size) {}
  const_buffer(mutable_buffer b) noexcept : const_buffer(b.data(), b.size()) {}
  const_buffer(std::string_view s) noexcept : const_buffer(s.data(), s.size()) {}
  const_buffer(const std::string& s RONDO_LIFETIMEBOUND) noexcept
      : const_buffer(s.data(), s.size()) {}
  template <detail::bytes T, std::size_t N>
  const_buffer(std::span<T, N> s) noexcept : const_buffer(s.data(), s.size_bytes()) {}
  template <detail::bytes T, std::size_t N>
  const_buffer(const std::array<T, N>& array RONDO_LIFETIMEBOUND) noexcept
      : const_buffer(array.data(), N * sizeof(T)) {}
  template <detail::bytes T, typename A>
  const_buffer(const std::vector<T, A>& v RONDO_LIFETIMEBOUND) noexcept
      : const_buffer(v.data(), v.size() * sizeof(T)) {}
  /// A string literal ends at its NUL, as in std::string_view; constant text without one ends where
  /// it ends.
  template <std::size_t N>
  const_buffer(const char (&literal)[N]) noexcept
      : const_buffer(literal, ::strnlen(literal, N)) {}
  /// Any other array is all of its elements.
  template <detail::bytes T, std::size_t N>
    requires(!std::same_as<T, const char>)
  const_buffer(T (&array)[N] RONDO_LIFETIMEBOUND) noexcept : const_buffer(array, N * sizeof(T)) {}
  template <typename A>
    requires(std::is_bounded_array_v<A> && !std::is_const_v<std::remove_extent_t<A>> &&
             detail::bytes<std::remove_extent_t<A>>)
  const_buffer(A&& array RONDO_LIFETIMEBOUND) noexcept : const_buffer(array) {}

  [[nodiscard]] const void* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const_buffer after(std::size_t count) const noexcept {
    return {static_cast<const char*>(data_) + count, size_ - count};
  }

 private:
  const void* data_ = nullptr;
  std::size_t size_ = 0;
};

namespace detail {

/// An owner that was given away: it lives in the operation, and is looked at only once that has
/// come to rest (a short string moves its bytes along).
template <typename Owner>
class kept_buffer {
 public:
  explicit kept_buffer(Owner&& owner) : owner_(std::move(owner)) {}
  explicit kept_buffer(const Owner& owner) : owner_(owner) {}  // a constant cannot be given away
  operator const_buffer() const noexcept { return const_buffer(owner_); }

 private:
  [[no_unique_address]] Owner owner_;
};

template <typename T>
struct source_impl {
  using type = const_buffer;
};
template <dying_owner T>
struct source_impl<T> {
  using type = kept_buffer<std::remove_cv_t<T>>;
};
/// What a writing operation stores for an argument of type T&&.
template <typename T>
using source = typename source_impl<T>::type;

template <typename T>
concept source_of_bytes =
    (dying_owner<T> && std::convertible_to<T&, const_buffer>) ||
    (!dying_owner<T> && std::convertible_to<T, const_buffer>);

}  // namespace detail
}  // namespace rondo

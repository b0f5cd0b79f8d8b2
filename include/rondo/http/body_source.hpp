// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Where a body comes from that is produced while it is sent: an async_generator, or a stream of
// bytes, behind one face.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <rondo/core/async_generator.hpp>
#include <rondo/core/task.hpp>
#include <rondo/io/async_stream.hpp>
#include <rondo/io/buffer.hpp>

namespace rondo::http::detail {

class body_source {
 public:
  explicit body_source(std::optional<std::uint64_t> size) noexcept : size_(size) {}
  body_source(const body_source&) = delete;
  body_source& operator=(const body_source&) = delete;
  virtual ~body_source() = default;

  /// Waits for the next part, which is empty at the end. It stays where it is until the next call.
  [[nodiscard]] virtual task<const_buffer> next() = 0;

  /// In bytes, if it is known.
  [[nodiscard]] std::optional<std::uint64_t> size() const noexcept { return size_; }
  /// Copies of a request share their source, and it gives its bytes once.
  [[nodiscard]] bool begun() const noexcept { return begun_; }
  void begin() noexcept { begun_ = true; }

 private:
  std::optional<std::uint64_t> size_;
  bool begun_ = false;
};

/// What an async_generator may give.
template <typename T>
concept body_part = std::constructible_from<const_buffer, const T&>;

template <body_part T>
class generated_body final : public body_source {
 public:
  generated_body(async_generator<T>&& parts, std::optional<std::uint64_t> size) noexcept
      : body_source(size), parts_(std::move(parts)) {}

  task<const_buffer> next() override {
    for (;;) {
      part_ = co_await parts_.next();
      if (!part_) co_return const_buffer();
      const const_buffer bytes(std::as_const(*part_));
      if (bytes.size() != 0) co_return bytes;
    }
  }

 private:
  async_generator<T> parts_;
  std::optional<T> part_;
};

template <async_reader S>
class read_body final : public body_source {
 public:
  read_body(S&& from, std::optional<std::uint64_t> size)
      : body_source(size), from_(std::move(from)), part_(std::size_t{64} << 10) {}

  task<const_buffer> next() override {
    const std::size_t n = co_await from_.read(mutable_buffer(part_.data(), part_.size()));
    co_return const_buffer(part_.data(), n);
  }

 private:
  S from_;
  std::vector<std::byte> part_;
};

}  // namespace rondo::http::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The arguments of a statement, $1, $2, ..., as libpq wants them: their values one after the other
// in one block, and four arrays beside it.

#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <rondo/postgres/codec.hpp>
#include <rondo/postgres/codec_array.hpp>
#include <rondo/postgres/codec_time.hpp>

namespace rondo::postgres::detail {

/// The type whose codec writes an argument: what is given is often a reference, or a view.
template <typename T>
struct written_as {
  using type = T;
};
template <std::size_t N>
struct written_as<char[N]> {
  using type = std::string_view;
};
template <>
struct written_as<const char*> {
  using type = std::string_view;
};
template <>
struct written_as<char*> {
  using type = std::string_view;
};
template <std::size_t Extent>
struct written_as<std::span<std::byte, Extent>> {
  using type = std::span<const std::byte>;
};
template <std::size_t Extent>
struct written_as<std::span<const std::byte, Extent>> {
  using type = std::span<const std::byte>;
};

class parameters {
 public:
  parameters() noexcept {}
  template <typename... Args>
  explicit parameters(const Args&... args) {
    if constexpr (sizeof...(Args) > 0) {
      each_.reserve(sizeof...(Args));
      (add(args), ...);
    }
  }

  [[nodiscard]] bool empty() const noexcept { return each_.empty(); }

  /// Calls send(count, types, values, lengths, formats) with the arrays in place.
  template <typename Send>
  int pass_to(Send send) const {
    constexpr std::size_t few = 16;
    if (each_.size() <= few) return pass<few>(send);
    return pass<maximum>(send);
  }

 private:
  static constexpr std::size_t maximum = 65'535;  // of the protocol

  struct parameter {
    std::size_t offset;  // into bytes_; null_value: there is no value
    int length;
    unsigned type;
    bool binary;
  };
  static constexpr std::size_t null_value = std::numeric_limits<std::size_t>::max();

  void add(std::nullptr_t) { each_.push_back({null_value, 0, 0, false}); }
  void add(std::nullopt_t) { add(nullptr); }
  template <typename T>
  void add(const std::optional<T>& value) {
    if (value) return add(*value);
    add(nullptr);
    if constexpr (writable<typename written_as<T>::type>) {
      each_.back().type = codec<typename written_as<T>::type>::oid;
    }
  }
  template <typename T>
  void add(const T& value) {
    using type = typename written_as<T>::type;
    if constexpr (std::is_pointer_v<T>) {
      if (value == nullptr) return add(std::optional<type>());
    }
    static_assert(writable<type>,
                  "rondo: no postgres::codec writes this type; convert the argument, or "
                  "specialise postgres::codec for it");
    const std::size_t begin = bytes_.size();
    if constexpr (std::is_convertible_v<const T&, std::span<const std::byte>> &&
                  codec<type>::oid == 17) {
      const std::span<const std::byte> bytes = value;
      bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      close(begin, codec<type>::oid, true);
    } else {
      codec<type>::write(value, bytes_);
      if (std::memchr(bytes_.data() + begin, 0, bytes_.size() - begin) != nullptr) {
        throw std::invalid_argument("rondo: a text for PostgreSQL cannot contain a zero byte");
      }
      close(begin, codec<type>::oid, false);
    }
  }
  void close(std::size_t begin, unsigned type, bool binary) {
    const std::size_t length = bytes_.size() - begin;
    if (length > std::numeric_limits<int>::max()) {
      throw std::length_error("rondo: an argument of a statement is larger than 2 GiB");
    }
    bytes_ += '\0';
    each_.push_back({begin, static_cast<int>(length), type, binary});
    if (each_.size() > maximum) {
      throw std::length_error("rondo: a statement takes at most 65535 arguments");
    }
  }

  template <std::size_t Room, typename Send>
  int pass(Send send) const {
    struct arrays {
      Oid types[Room];
      const char* values[Room];
      int lengths[Room];
      int formats[Room];
    };
    if constexpr (Room > 16) {
      const auto heap = std::make_unique<arrays>();
      return fill(*heap, send);
    } else {
      arrays here;
      return fill(here, send);
    }
  }
  template <typename Arrays, typename Send>
  int fill(Arrays& a, Send send) const {
    for (std::size_t i = 0; i < each_.size(); ++i) {
      const parameter& p = each_[i];
      a.types[i] = p.type;
      a.values[i] = p.offset == null_value ? nullptr : bytes_.data() + p.offset;
      a.lengths[i] = p.length;
      a.formats[i] = p.binary ? 1 : 0;
    }
    return send(static_cast<int>(each_.size()), a.types, a.values, a.lengths, a.formats);
  }

  std::string bytes_;
  std::vector<parameter> each_;
};

}  // namespace rondo::postgres::detail

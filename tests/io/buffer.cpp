// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/buffer.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

using rondo::const_buffer;
using rondo::mutable_buffer;
using rondo::detail::source;
using rondo::detail::source_of_bytes;

namespace {

std::string_view bytes_of(const_buffer b) { return {static_cast<const char*>(b.data()), b.size()}; }

struct has_a_string {
  std::string text;
};

}  // namespace

static_assert(std::is_convertible_v<std::string&, mutable_buffer>);
static_assert(std::is_convertible_v<std::vector<int>&, mutable_buffer>);
static_assert(std::is_convertible_v<std::span<char>, mutable_buffer>);
static_assert(std::is_convertible_v<mutable_buffer, const_buffer>);
static_assert(std::is_convertible_v<const char*, std::string_view>);

// Memory that must not be written to is not read into.
static_assert(!std::is_convertible_v<std::string_view, mutable_buffer>);
static_assert(!std::is_convertible_v<const std::string&, mutable_buffer>);
static_assert(!std::is_convertible_v<std::span<const char>, mutable_buffer>);
static_assert(!std::is_convertible_v<const std::array<char, 4>&, mutable_buffer>);
static_assert(!std::is_convertible_v<std::array<const char, 4>&, mutable_buffer>);
static_assert(!std::is_convertible_v<const char (&)[4], mutable_buffer>);
static_assert(!std::is_convertible_v<const_buffer, mutable_buffer>);

// Objects that are more than their bytes are neither read into nor written.
static_assert(!std::is_convertible_v<std::vector<std::string>&, mutable_buffer>);
static_assert(!std::is_convertible_v<std::span<has_a_string>, mutable_buffer>);
static_assert(!std::is_convertible_v<std::vector<has_a_string>&, const_buffer>);
static_assert(!source_of_bytes<std::vector<std::unique_ptr<int>>&>);
static_assert(!source_of_bytes<int>);

// What a writing operation stores: a view of what stays, the owner of what is given away.
static_assert(std::is_same_v<source<std::string&>, const_buffer>);
static_assert(std::is_same_v<source<const std::string&>, const_buffer>);
static_assert(std::is_same_v<source<std::string_view>, const_buffer>);
static_assert(std::is_same_v<source<const char (&)[3]>, const_buffer>);
static_assert(!std::is_same_v<source<std::string>, const_buffer>);
static_assert(!std::is_same_v<source<std::vector<int>>, const_buffer>);
static_assert(!std::is_same_v<source<std::array<char, 3>>, const_buffer>);

TEST_CASE("a buffer is made of whatever holds bytes in a row, and has all of them") {
  std::string text = "text";
  std::vector<std::uint32_t> numbers(3);
  std::array<std::uint16_t, 5> array{};
  double plain[2] = {};
  std::span<std::uint64_t> empty;
  CHECK(mutable_buffer(text).data() == text.data());
  CHECK(mutable_buffer(text).size() == 4);
  CHECK(mutable_buffer(numbers).data() == numbers.data());
  CHECK(mutable_buffer(numbers).size() == 12);
  CHECK(mutable_buffer(array).data() == array.data());
  CHECK(mutable_buffer(array).size() == 10);
  CHECK(mutable_buffer(plain).data() == plain);
  CHECK(mutable_buffer(plain).size() == 16);
  CHECK(mutable_buffer(std::span(numbers).subspan(1)).data() == &numbers[1]);
  CHECK(mutable_buffer(std::span(numbers).subspan(1)).size() == 8);
  CHECK(mutable_buffer(empty).size() == 0);
  CHECK(mutable_buffer().data() == nullptr);
  CHECK(mutable_buffer().size() == 0);

  CHECK(const_buffer(text).data() == text.data());
  CHECK(const_buffer(text).size() == 4);
  CHECK(const_buffer(numbers).data() == numbers.data());
  CHECK(const_buffer(numbers).size() == 12);
  CHECK(const_buffer(array).size() == 10);
  CHECK(const_buffer(plain).size() == 16);
  CHECK(const_buffer(std::span<const std::uint32_t>(numbers)).size() == 12);
  CHECK(const_buffer(mutable_buffer(array)).data() == array.data());
  CHECK(const_buffer(std::string_view("xyz")).size() == 3);
  CHECK(const_buffer().size() == 0);
}

TEST_CASE("a string literal ends at its NUL, an array of characters is all of its elements") {
  char space[4] = {'a', 'b', 'c', '\0'};
  CHECK(bytes_of("abc") == "abc");
  CHECK(bytes_of("") == "");
  CHECK(const_buffer(space).size() == 4);
}

TEST_CASE("a string with a NUL inside is written whole") {
  const std::string text("a\0b", 3);
  CHECK(bytes_of(text) == std::string_view("a\0b", 3));
}

TEST_CASE("after gives what is left behind the first bytes") {
  std::string text = "abcdef";
  CHECK(bytes_of(const_buffer(text).after(2)) == "cdef");
  CHECK(bytes_of(const_buffer(text).after(6)).empty());
  CHECK(bytes_of(mutable_buffer(text).after(5)) == "f");
  CHECK(mutable_buffer(text).after(0).data() == text.data());
}

TEST_CASE("an owner that is given away keeps its bytes wherever it moves to") {
  // A short string has its bytes inside the object, a long one outside.
  for (const std::string& text : {std::string("short"), std::string(1000, 'x')}) {
    source<std::string> first{std::string(text)};
    const source<std::string> second(std::move(first));
    const const_buffer view = second;
    CHECK(bytes_of(view) == text);
  }
  source<std::array<char, 3>> first{std::array<char, 3>{'a', 'b', 'c'}};
  const source<std::array<char, 3>> second(std::move(first));
  CHECK(bytes_of(second) == "abc");
}

TEST_CASE("constant text ends at its NUL, and without one where it ends") {
  struct header {
    char name[4];
    char after[4];
  };
  const header h{{'a', 'b', 'c', 'd'}, {'e', 'f', 'g', 'h'}};
  CHECK(bytes_of(h.name) == "abcd");
  const char padded[8] = "ab";
  CHECK(bytes_of(padded) == "ab");
}

TEST_CASE("an array that may change is all of its elements, also one that is given away") {
  char space[4] = {'a', '\0', 'b', 'c'};
  CHECK(bytes_of(std::move(space)) == std::string_view("a\0bc", 4));
}

TEST_CASE("a constant owner is copied where another is given away") {
  const std::string text(1000, 'x');
  const source<const std::string> kept(std::move(text));
  CHECK(bytes_of(kept) == text);
}

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A warning where GCC 12 would destroy a closure twice. Inside a co_await expression that compiler
// copies the bytes of a lambda that is a temporary, and destroys the copy as well; nobody notices
// unless a capture has a destructor.

#include <string_view>
#include <type_traits>

#include <rondo/config.hpp>

namespace rondo::detail {

/// Whether F is the type of a lambda: there is no trait for that, but GCC writes it so.
template <typename F>
constexpr bool is_closure() noexcept {
  const std::string_view name = __PRETTY_FUNCTION__;  // ... [with F = f(std::string)::<lambda()>]
  const auto lambda = name.rfind("<lambda(");
  if (lambda == name.npos || !name.ends_with(">]")) return false;
  int open = 0;
  for (const char c : name.substr(0, lambda)) open += c == '<' ? 1 : c == '>' ? -1 : 0;
  return open == 0;  // and not an argument of a template
}

template <typename F>
[[deprecated(
    "inside a co_await expression GCC 12 destroys a lambda temporary twice, and with it what it "
    "captures: give that as arguments, or name the lambda and pass it by its name")]]
void destroyed_twice() noexcept {}

/// By whoever is given a callable to be called while it is awaited, as F&&.
template <typename F>
void mind_closure() noexcept {
#if RONDO_WARN_CLOSURES
  if constexpr (std::is_class_v<F> && !std::is_trivially_destructible_v<F>) {
    if constexpr (is_closure<F>()) destroyed_twice<F>();
  }
#endif
}

}  // namespace rondo::detail

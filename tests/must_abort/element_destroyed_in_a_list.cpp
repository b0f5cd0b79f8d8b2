// SPDX-License-Identifier: BSL-1.0

// A list that is left with an element that is gone would be followed into nowhere.
// expect: rondo: an element was destroyed while it was in a list

#include <cstdio>
#include <rondo/detail/intrusive_list.hpp>

struct element : rondo::detail::list_hook {};

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  rondo::detail::intrusive_list<element> list;
  element e;
  list.push_back(e);
  return 0;
#endif
}

// SPDX-License-Identifier: BSL-1.0

// An element has the links of one list.
// expect: rondo: an element was put in two lists

#include <cstdio>
#include <rondo/detail/intrusive_list.hpp>

struct element : rondo::detail::list_hook {};

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  element e;
  rondo::detail::intrusive_list<element> first;
  rondo::detail::intrusive_list<element> second;
  first.push_back(e);
  second.push_back(e);
  return 0;
#endif
}

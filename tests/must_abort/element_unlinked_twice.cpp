// SPDX-License-Identifier: BSL-1.0

// An element that has been taken out of its list has no neighbours any more.
// expect: rondo: an element that is in no list was unlinked

#include <cstdio>
#include <rondo/detail/intrusive_list.hpp>

struct element : rondo::detail::list_hook {};

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  element e;
  rondo::detail::intrusive_list<element> list;
  list.push_back(e);
  e.unlink();
  e.unlink();
  return 0;
#endif
}

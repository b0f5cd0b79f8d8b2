// SPDX-License-Identifier: BSL-1.0

// Elements that outlive their list would unlink themselves from what is gone.
// expect: rondo: a list was destroyed before its elements

#include <cstdio>
#include <rondo/detail/intrusive_list.hpp>

struct element : rondo::detail::list_hook {};

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  element e;
  {
    rondo::detail::intrusive_list<element> list;
    list.push_back(e);
  }
  return 0;
#endif
}

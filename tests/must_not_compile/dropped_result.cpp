// SPDX-License-Identifier: BSL-1.0

// A result that nobody looks at may be an error that nobody sees: the compiler warns about it.
// expect: a result may hold an error

#include <rondo/rondo.hpp>

rondo::result<int> look_up();

int caller() {
#ifdef RONDO_CONTROL
  return look_up().has_value() ? 1 : 0;
#else
  look_up();
  return 0;
#endif
}

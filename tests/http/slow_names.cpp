// SPDX-License-Identifier: BSL-1.0

#include "http/slow_names.hpp"

#include <dlfcn.h>
#include <netdb.h>

#include <condition_variable>
#include <mutex>
#include <string_view>

namespace {

// Never destroyed: a look-up may be on its way when the program ends.
struct gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;
  int waiting = 0;
  int asked = 0;
};
gate& the_gate() {
  static gate& g = *new gate;
  return g;
}

void wait_until_open() {
  gate& g = the_gate();
  std::unique_lock lock(g.mutex);
  ++g.waiting;
  ++g.asked;
  g.changed.wait(lock, [&] { return !g.closed; });
  --g.waiting;
}

}  // namespace

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** result) {
  if (name != nullptr && std::string_view(name) == "slow.invalid") {
    wait_until_open();
    return EAI_NONAME;
  }
  static const auto next =
      reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return next(name, service, hints, result);
}

namespace rondo::test {

slow_name::slow_name() {
  const std::lock_guard lock(the_gate().mutex);
  the_gate().closed = true;
}
slow_name::~slow_name() {
  {
    const std::lock_guard lock(the_gate().mutex);
    the_gate().closed = false;
  }
  the_gate().changed.notify_all();
}
int slow_name::asked() {
  const std::lock_guard lock(the_gate().mutex);
  return the_gate().asked;
}
int slow_name::waiting() {
  const std::lock_guard lock(the_gate().mutex);
  return the_gate().waiting;
}

}  // namespace rondo::test

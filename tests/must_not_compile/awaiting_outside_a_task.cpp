// SPDX-License-Identifier: BSL-1.0

// A coroutine of another library has no loop and no scope to give to an operation.
// expect: rondo operations are awaited inside a rondo::task

#include <coroutine>
#include <rondo/rondo.hpp>

struct fire_and_forget {
  struct promise_type {
    fire_and_forget get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
};

#ifdef RONDO_CONTROL
rondo::task<> caller() { co_await rondo::io::nop(); }
#else
fire_and_forget caller() { co_await rondo::io::nop(); }
#endif

// SPDX-License-Identifier: BSL-1.0

// uv_async_send in turns. It carries nothing, so there is no row of numbers.

#include "../question.hpp"

#include <uv.h>

#include <thread>

namespace {

struct side {
  uv_loop_t loop;
  uv_async_t wake;
  side* other = nullptr;
  int left = 0;

  explicit side(uv_async_cb woken) {
    uv_loop_init(&loop);
    uv_async_init(&loop, &wake, woken);
    wake.data = this;
  }
  ~side() {
    uv_close(reinterpret_cast<uv_handle_t*>(&wake), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
  }
  side(const side&) = delete;
  side& operator=(const side&) = delete;
};

void answer(uv_async_t* woken) {
  side& self = *static_cast<side*>(woken->data);
  if (self.other == nullptr) return uv_stop(&self.loop);
  uv_async_send(&self.other->wake);
}

void ask(uv_async_t* woken) {
  side& self = *static_cast<side*>(woken->data);
  if (--self.left == 0) return uv_stop(&self.loop);
  uv_async_send(&self.other->wake);
}

void ping_pong(const question::place& place) {
  side here(ask);
  side there(answer);
  here.other = &there;
  there.other = &here;
  std::thread other([&] {
    bench::pin_this_thread(place.there);
    uv_run(&there.loop, UV_RUN_DEFAULT);
  });
  const std::string name = question::name("ping_pong", place);
  bench::row row("post", name.c_str(), "libuv", question::trips);
  while (row.again()) {
    here.left = question::trips;
    uv_async_send(&there.wake);
    uv_run(&here.loop, UV_RUN_DEFAULT);
  }
  there.other = nullptr;
  uv_async_send(&there.wake);
  other.join();
}

}  // namespace

int main() { question::at_each_place(ping_pong); }

// SPDX-License-Identifier: BSL-1.0

// libuv: each connection has one buffer, and writes at once what the socket takes.

#include "../question.hpp"

#include <uv.h>

namespace {

struct connection {
  uv_tcp_t handle;
  char space[question::buffer];
};
struct counter {
  bench::row* row;
  int left = question::echoes;
};

void lend(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
  auto& c = *static_cast<connection*>(handle->data);
  *buffer = uv_buf_init(c.space, sizeof c.space);
}

void received(uv_stream_t* stream, ssize_t n, const uv_buf_t* buffer) {
  if (n <= 0) return;
  const uv_buf_t answer = uv_buf_init(buffer->base, static_cast<unsigned>(n));
  bench::check(uv_try_write(stream, &answer, 1) == n, "all of it is sent");
  auto& served = *static_cast<counter*>(stream->loop->data);
  if (--served.left > 0) return;
  served.left = question::echoes;
  if (!served.row->again()) uv_stop(stream->loop);
}

}  // namespace

int main() {
  question::at_each_size([](const question::size& size) {
    question::row row("libuv", size);
    question::load load("libuv", size);
    uv_loop_t loop;
    uv_loop_init(&loop);
    counter served{&row};
    loop.data = &served;
    std::vector<connection> all(load.fds.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      uv_tcp_init(&loop, &all[i].handle);
      uv_tcp_open(&all[i].handle, load.fds[i]);
      all[i].handle.data = &all[i];
      uv_read_start(reinterpret_cast<uv_stream_t*>(&all[i].handle), lend, received);
    }
    if (row.again()) uv_run(&loop, UV_RUN_DEFAULT);
    for (connection& c : all) uv_close(reinterpret_cast<uv_handle_t*>(&c.handle), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
  });
}

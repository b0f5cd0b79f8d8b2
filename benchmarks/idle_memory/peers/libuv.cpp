// SPDX-License-Identifier: BSL-1.0

// libuv asks for a buffer when something has come; a record may have its own.

#include "../question.hpp"

#include <uv.h>

#include <memory>

namespace {

std::size_t left = 0;

struct connection {
  uv_tcp_t handle;
};
struct with_buffer : connection {
  char space[question::own_buffer];
};

void lend_own(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
  auto& space = static_cast<with_buffer*>(handle->data)->space;
  *buffer = uv_buf_init(space, sizeof space);
}
void lend_shared(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
  static char space[16 * 1024];
  *buffer = uv_buf_init(space, sizeof space);
}

void received(uv_stream_t* stream, ssize_t n, const uv_buf_t* buffer) {
  if (n <= 0) return;
  const uv_buf_t answer = uv_buf_init(buffer->base, static_cast<unsigned>(n));
  bench::check(uv_try_write(stream, &answer, 1) == n, "all of it is sent");
  if (--left == 0) uv_stop(stream->loop);
}

template <typename Connection>
void ask(const char* row, uv_alloc_cb lend) {
  question::connections connections;
  uv_loop_t loop;
  uv_loop_init(&loop);
  std::vector<std::unique_ptr<Connection>> all;
  all.reserve(connections.warm.fds.size() + connections.all.fds.size());
  for (const auto* group : {&connections.warm, &connections.all}) {
    if (group == &connections.all) connections.begin();
    left = group->fds.size();
    for (const int fd : group->fds) {
      Connection& c = *all.emplace_back(new Connection);
      uv_tcp_init(&loop, &c.handle);
      uv_tcp_open(&c.handle, fd);
      c.handle.data = &c;
      uv_read_start(reinterpret_cast<uv_stream_t*>(&c.handle), lend, received);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
  }
  connections.end(row, "libuv");
  for (auto& c : all) uv_close(reinterpret_cast<uv_handle_t*>(&c->handle), nullptr);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
}

}  // namespace

int main() {
  question::at_each_row([](const char* row) {
    if (question::is_shared(row))
      ask<connection>(row, lend_shared);
    else
      ask<with_buffer>(row, lend_own);
  });
}

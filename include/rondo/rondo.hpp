// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// All of rondo that needs nothing but liburing. To read it, start where you would start to use it:
// core/task.hpp, compose/when_all.hpp, net/tcp.hpp; and follow one read to the kernel and back
// through net/tcp.hpp, io/ops/net.hpp, io/operation.hpp, loop/ring.hpp and loop/engine.hpp.

#include <rondo/compose/as_completed.hpp>
#include <rondo/compose/as_result.hpp>
#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/finally.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/compose/task_group.hpp>
#include <rondo/compose/when_all.hpp>
#include <rondo/compose/when_all_settled.hpp>
#include <rondo/compose/when_any.hpp>
#include <rondo/compose/with_context.hpp>
#include <rondo/config.hpp>
#include <rondo/core/context.hpp>
#include <rondo/core/error.hpp>
#include <rondo/core/result.hpp>
#include <rondo/core/task.hpp>
#include <rondo/fs/copy_file.hpp>
#include <rondo/fs/file.hpp>
#include <rondo/fs/file_info.hpp>
#include <rondo/fs/list_directory.hpp>
#include <rondo/fs/path_operations.hpp>
#include <rondo/fs/watch.hpp>
#include <rondo/fs/whole_file.hpp>
#include <rondo/fs/write_file_atomically.hpp>
#include <rondo/io/aligned_buffer.hpp>
#include <rondo/io/async_stream.hpp>
#include <rondo/io/buffer_ring.hpp>
#include <rondo/io/emulation.hpp>
#include <rondo/io/multishot.hpp>
#include <rondo/io/ops/close.hpp>
#include <rondo/io/ops/file.hpp>
#include <rondo/io/ops/misc.hpp>
#include <rondo/io/ops/net.hpp>
#include <rondo/io/ops/path.hpp>
#include <rondo/io/ops/read_write.hpp>
#include <rondo/io/ops/send_zc.hpp>
#include <rondo/io/ops/splice.hpp>
#include <rondo/io/ops/wait.hpp>
#include <rondo/io/ops/xattr.hpp>
#include <rondo/loop/event_loop.hpp>
#include <rondo/loop/run.hpp>
#include <rondo/loop/spawn.hpp>
#include <rondo/net/connect.hpp>
#include <rondo/net/endpoint.hpp>
#include <rondo/net/resolve.hpp>
#include <rondo/net/send_file.hpp>
#include <rondo/net/serve.hpp>
#include <rondo/net/tcp.hpp>
#include <rondo/net/udp.hpp>
#include <rondo/net/unix.hpp>
#include <rondo/process/signals.hpp>
#include <rondo/streams/buffered_reader.hpp>
#include <rondo/streams/buffered_writer.hpp>
#include <rondo/streams/pipe.hpp>
#include <rondo/threads/loop_pool.hpp>
#include <rondo/threads/on.hpp>
#include <rondo/threads/oneshot.hpp>
#include <rondo/threads/to_thread.hpp>
#include <rondo/threads/with_stop_token.hpp>
#include <rondo/time/interval.hpp>
#include <rondo/time/sleep.hpp>
#include <rondo/time/timeout.hpp>

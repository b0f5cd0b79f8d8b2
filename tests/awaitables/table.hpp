// SPDX-License-Identifier: BSL-1.0
#pragma once

// Everything that can be awaited, in one table. Each row waits until it is canceled; the rows of
// `that_do_not_wait` end at once, and those of `that_are_not_canceled` go on.

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "support/attributes.hpp"
#include "support/loop_test.hpp"
#include "support/other_loop.hpp"

namespace rondo::test {

/// What the rows wait for: nothing ever comes.
class silence {
 public:
  silence() : full_written_(full_.fill()) {}
  [[nodiscard]] int empty() const { return empty_.out(); }
  [[nodiscard]] int full() const { return full_.in(); }
  [[nodiscard]] int peer() const { return pair_.a.native_handle(); }

 private:
  pipe_ends empty_;
  pipe_ends full_;
  std::size_t full_written_;
  sockets pair_;
};

inline std::vector<task<>> two_for_ever() {
  std::vector<task<>> two;
  two.push_back(for_ever());
  two.push_back(for_ever());
  return two;
}
inline task<> group_for_ever(task_group& group) {
  group.spawn(for_ever());
  co_await group.join();
}
inline task<> waits_for_a_child(task_group& group) {
  auto c = group.spawn(for_ever());
  co_await c;
}
inline task<> timed_for_ever(timeout_scope&) { co_await for_ever(); }

inline async_generator<int> nothing_for_ever() {
  co_await for_ever();
  co_yield 1;
}

/// What tasks wait for among themselves.
template <typename Visit>
task<> each_that_waits_for_a_task(Visit visit) {
  event never;
  rondo::latch closed(2);
  rondo::barrier two(2);
  semaphore none(0);
  rondo::mutex locked;
  rondo::mutex::guard guard = co_await locked.lock();
  condition_variable condition;
  rondo::shared_mutex shared;
  const auto writer = co_await shared.lock();
  channel<int> empty(1);
  channel<int> full(0);
  priority_channel<int> urgent(1);
  broadcast<int> quiet(1);
  auto listener = quiet.subscribe();
  once<> unmade;
  auto generator = nothing_for_ever();

  co_await visit("event", [&] { return never.wait(); });
  co_await visit("latch", [&] { return closed.wait(); });
  co_await visit("latch::arrive_and_wait", [&] { return closed.arrive_and_wait(); });
  co_await visit("barrier", [&] { return two.arrive_and_wait(); });
  co_await visit("semaphore", [&] { return none.acquire(); });
  co_await visit("mutex", [&] { return locked.lock(); });
  co_await visit("condition_variable", [&] { return condition.wait(guard); });
  co_await visit("condition_variable with a predicate",
                 [&] { return condition.wait(guard, [] { return false; }); });
  co_await visit("shared_mutex", [&] { return shared.lock(); });
  co_await visit("shared_mutex::lock_shared", [&] { return shared.lock_shared(); });
  co_await visit("channel::receive", [&] { return empty.receive(); });
  co_await visit("channel::send", [&] { return full.send(1); });
  co_await visit("priority_channel::receive", [&] { return urgent.receive(); });
  co_await visit("broadcast", [&] { return listener.next(); });
  co_await visit("once", [&] { return unmade.get(for_ever); });
  co_await visit("async_generator", [&] {
    generator = nothing_for_ever();
    return generator.next();
  });
}

/// Fills a socket's buffers, so that sending waits.
inline void clog(int fd) {
  const std::string much(1 << 20, 'x');
  // Twice in vain: a TCP connection makes room once more when its peer's kernel has taken some.
  for (int in_vain = 0; in_vain < 2;) {
    bool some = false;
    while (::send(fd, much.data(), much.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) some = true;
    while (::send(fd, much.data(), 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) some = true;
    in_vain = some ? 0 : in_vain + 1;
    ::usleep(5000);
  }
}
/// A child that ends with this.
class silent_child {
 public:
  silent_child() : pid_(::fork()) {
    if (pid_ == 0) {
      for (;;) ::pause();
    }
  }
  silent_child(const silent_child&) = delete;
  silent_child& operator=(const silent_child&) = delete;
  ~silent_child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] id_t id() const { return static_cast<id_t>(pid_); }

 private:
  pid_t pid_;
};

/// Calls `visit(name, make)` for everything that waits until it is canceled.
template <typename Visit>
task<> each_that_waits(Visit visit) {
  const silence s;
  const pipe_ends spare;
  static const std::uint32_t unchanging = 0;
  std::array<char, 16> space{};
  const std::string big(1 << 20, 'x');
  iovec in{space.data(), space.size()};
  std::vector<char> much(1 << 20, 'x');
  iovec out{much.data(), much.size()};
  msghdr received{};
  received.msg_iov = &in;
  received.msg_iovlen = 1;
  msghdr sent{};
  sent.msg_iov = &out;
  sent.msg_iovlen = 1;
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  interval ticks(std::chrono::hours(24));
  const oneshot<int> answer;
  auto spawned = spawn(for_ever());
  auto stream = as_completed(two_for_ever());
  auto peers = listener.accept_many();
  buffer_ring ring(4, 64);
  tcp_stream mute = tcp_stream::adopt(::dup(s.peer()));
  auto chunks = mute.receive_many(ring);
  udp_socket deaf = udp_socket::bind(endpoint::loopback(0));
  auto messages = deaf.receive_many(ring);
  signal_stream caught = signals({SIGUSR1});
  const temporary_folder folder;
  watch_stream changes = watch(folder / "", IN_CREATE);
  const auto keep = [](tcp_stream) -> task<> { co_await for_ever(); };
  const sockets full;
  clog(full.a.native_handle());
  const int clogged = full.a.native_handle();
  unix_stream jammed = unix_stream::adopt(::dup(clogged));
  unix_stream silent = unix_stream::adopt(::dup(s.peer()));
  udp_socket idle = udp_socket::bind(endpoint::loopback(0));
  const const_buffer parts[] = {big, big};
  const int handed[] = {clogged};
  const registered_buffers known(1, 16);
  using detail::read_exactly_op;

  co_await visit("read", [&] { return io::read(s.empty(), space); });
  co_await visit("read_fixed", [&] { return io::read_fixed(s.empty(), known[0]); });
  co_await visit("write_fixed", [&] { return io::write_fixed(s.full(), known[0]); });
  co_await visit("read exactly",
                 [&] { return io::operation(read_exactly_op{s.empty(), space, -1}); });
  co_await visit("readv", [&] { return io::readv(s.empty(), &in, 1); });
  co_await visit("write", [&] { return io::write(s.full(), big); });
  co_await visit("writev", [&] { return io::writev(s.full(), &out, 1); });
  co_await visit("recv", [&] { return io::recv(s.peer(), space); });
  co_await visit("recv exactly", [&] {
    return io::operation(detail::recv_exactly_op{s.peer(), space});
  });
  co_await visit("recvmsg", [&] { return io::recvmsg(s.peer(), &received); });
  co_await visit("send", [&] { return io::send(clogged, big); });
  co_await visit("sendmsg", [&] { return io::sendmsg(clogged, &sent); });
  co_await visit("splice", [&] { return io::splice(s.empty(), -1, spare.in(), -1, 16); });
  co_await visit("tee", [&] { return io::tee(s.empty(), spare.in(), 16); });
  co_await visit("futex_wait", [] { return io::futex_wait(&unchanging, 0); });
  const silent_child one;
  co_await visit("waitid", [&] { return io::waitid(P_PID, one.id()); });
  auto tcp = co_await tcp_pair();
  const int little = 4096;
  ::setsockopt(tcp.a.native_handle(), SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
  ::setsockopt(tcp.b.native_handle(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
  clog(tcp.a.native_handle());
  co_await visit("send_zc", [&] { return io::send_zc(tcp.a.native_handle(), "x"); });
  co_await visit("send_zc_fixed",
                 [&] { return io::send_zc_fixed(tcp.a.native_handle(), known[0]); });
  co_await visit("send of several buffers", [&] { return jammed.write(parts); });
  co_await visit("send_descriptors", [&] { return jammed.send_descriptors(big, handed); });
  co_await visit("receive_descriptors", [&] { return silent.receive_descriptors(space); });
  unix_listener full_listener =
      unix_listener::bind(endpoint::unix_path("@rondo-full-" + std::to_string(::getpid())), {.backlog = 0});
  const endpoint no_room = full_listener.local_endpoint();
  const unix_stream first_in_queue = co_await unix_stream::connect(no_room);
  co_await visit("connect of a Unix stream", [&] { return unix_stream::connect(no_room); });
  co_await visit("receive_from", [&] { return idle.receive_from(space); });
  co_await visit("poll", [&] { return io::poll(s.empty(), POLLIN); });
  co_await visit("accept", [&] { return listener.accept(); });
  co_await visit("accept_many", [&] { return peers.next(); });
  co_await visit("receive_many", [&] { return chunks.next(); });
  co_await visit("udp_socket::receive_many", [&] { return messages.next(); });
  co_await visit("signals", [&] { return caught.next(); });
  co_await visit("watch", [&] { return changes.next(); });
  co_await visit("serve", [&] { return serve(listener, keep); });
  co_await visit("sleep_for", [] { return sleep_for(std::chrono::hours(24)); });
  co_await visit("interval", [&] { return ticks.next(); });
  co_await visit("a task", [] { return for_ever(); });
  co_await visit("join_handle", [&] { return std::ref(spawned); });
  co_await visit("join_handle::wait", [&] { return spawned.wait(); });
  co_await visit("oneshot", [&] { return answer.wait(); });
  co_await visit("as_completed", [&] { return stream.next(); });
  co_await visit("for_each_completed",
                 [] { return for_each_completed(two_for_ever(), [](completed<void>&) {}); });
  co_await visit("when_all", [] { return when_all(for_ever(), yield()); });
  co_await visit("when_all of a range", [] { return when_all(two_for_ever()); });
  co_await visit("when_all with a limit",
                 [] { return when_all(two_for_ever(), max_concurrency{1}); });
  co_await visit("when_any", [&] { return when_any(for_ever(), io::read(s.empty(), space)); });
  co_await visit("when_any of a range", [] { return when_any(two_for_ever()); });
  co_await visit("first_success", [] { return first_success(for_ever(), for_ever()); });
  co_await visit("first_success of a range", [] { return first_success(two_for_ever()); });
  co_await visit("with_task_group", [] { return with_task_group(group_for_ever); });
  co_await visit("child", [] { return with_task_group(waits_for_a_child); });
  co_await visit("with_timeout", [] { return with_timeout(std::chrono::hours(1), for_ever()); });
  co_await visit("with_timeout of a body",
                 [] { return with_timeout(std::chrono::hours(1), timed_for_ever); });
  co_await visit("with_deadline", [] { return with_deadline(time_point::max(), for_ever()); });
  co_await visit("try_for", [] { return try_for(std::chrono::hours(1), for_ever()); });
  co_await visit("with_stop_token", [] { return with_stop_token({}, for_ever()); });
  static context_var<int> variable;
  co_await visit("with_context", [] { return with_context(variable, 1, for_ever()); });
  mailbox<int> no_mail(event_loop::current(), 1);
  co_await visit("mailbox::receive", [&] { return no_mail.receive(); });
  mailbox<int> much_mail(event_loop::current(), 1);
  much_mail.try_send(1);
  co_await visit("mailbox::send", [&] { return much_mail.send(2); });
  const other_loop other;
  co_await visit("on", [&] { return on(other.loop(), for_ever()); });
  co_await visit("finally", [] { return finally(for_ever(), [] {}); });

  co_await each_that_waits_for_a_task(visit);

  co_await stream.close();
  spawned.cancel();
}

/// What ends with a result in a canceled task, because a cancellation is a result there.
template <typename Visit>
task<> each_that_gives_a_result(Visit visit) {
  co_await visit("as_result", [] { return as_result(for_ever()); });
  co_await visit("when_all_settled", [] { return when_all_settled(for_ever(), for_ever()); });
  co_await visit("when_all_settled of a range", [] { return when_all_settled(two_for_ever()); });
  co_await visit("when_all_settled with a limit",
                 [] { return when_all_settled(two_for_ever(), max_concurrency{1}); });
}

/// What is over before anybody could cancel it, or takes a moment that nobody can cut short.
template <typename Visit>
task<> each_that_is_short(Visit visit) {
  static context_var<int> variable;
  const temporary_folder folder;
  const std::string name = folder / "file";
  co_await write_file(name, "some bytes");
  file f = co_await file::open(name, open_mode::read | open_mode::write);
  const int fd = f.native_handle();
  const tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const endpoint at = listener.local_endpoint();
  auto stream = as_completed(two_for_ever());
  tcp_listener other = tcp_listener::bind(endpoint::loopback(0));
  auto peers = other.accept_many();

  co_await visit("nop", [] { return io::nop(); });
  co_await visit("pass", [] { return detail::pass(); });
  co_await visit("done", [] { return detail::done(); });
  co_await visit("yield", [] { return yield(); });
  co_await visit("sleep_until", [] { return sleep_until(time_point()); });
  co_await visit("cancellation_requested", [] { return cancellation_requested(); });
  co_await visit("context_var", [] { return std::ref(variable); });
  co_await visit("shield", [] { return shield(yield()); });
  co_await visit("as_completed::close", [&] { return stream.close(); });
  co_await visit("multishot::close", [&] { return peers.close(); });
  co_await visit("to_thread", [] { return to_thread([](int n) { return n; }, 1); });
  co_await visit("openat", [&] { return io::openat(AT_FDCWD, name, O_RDONLY); });
  co_await visit("close", [&] { return io::close(descriptor(::dup(fd))); });
  descriptor owner;
  co_await visit("close of an owner", [&] {
    owner = descriptor(::dup(fd));
    return detail::close_owner(owner);
  });
  udp_socket talks = udp_socket::bind(endpoint::loopback(0));
  co_await visit("send_to", [&] { return talks.send_to("x", talks.local_endpoint()); });
  co_await visit("fsync", [&] { return io::fsync(fd); });
  co_await visit("fallocate", [&] { return io::fallocate(fd, 0, 0, 4096); });
  co_await visit("ftruncate", [&] { return io::ftruncate(fd, 4096); });
  co_await visit("sync_file_range", [&] { return io::sync_file_range(fd, 0, 0, 0); });
  co_await visit("fadvise", [&] { return io::fadvise(fd, 0, 0, POSIX_FADV_NORMAL); });
  co_await visit("madvise", [] { return io::madvise(nullptr, 0, MADV_NORMAL); });
  int made = 0;
  const auto new_name = [&] { return folder / std::to_string(++made); };
  co_await visit("mkdirat", [&] { return io::mkdirat(AT_FDCWD, new_name()); });
  co_await visit("symlinkat", [&] { return io::symlinkat(name, AT_FDCWD, new_name()); });
  co_await visit("linkat", [&] { return io::linkat(AT_FDCWD, name, AT_FDCWD, new_name()); });
  const auto new_file = [&] {
    const std::string path = new_name();
    ::close(::creat(path.c_str(), 0600));
    return path;
  };
  co_await visit("renameat",
                 [&] { return io::renameat(AT_FDCWD, new_file(), AT_FDCWD, new_name()); });
  co_await visit("unlinkat", [&] { return io::unlinkat(AT_FDCWD, new_file()); });
  std::array<char, 16> space{};
  const std::string known = attribute("a");
  co_await visit("setxattr", [&] { return io::setxattr(name, known, "x"); });
  co_await visit("fsetxattr", [&] { return io::fsetxattr(fd, known, "x"); });
  co_await visit("getxattr", [&] { return io::getxattr(name, known, space); });
  co_await visit("fgetxattr", [&] { return io::fgetxattr(fd, known, space); });
  co_await visit("statx", [&] { return io::statx(AT_FDCWD, name); });
  co_await visit("file_status", [&] { return file_status(name); });
  co_await visit("file::status", [&] { return f.status(); });
  co_await visit("create_directory", [&] { return create_directory(new_name()); });
  co_await visit("copy_file", [&] { return copy_file(name, folder / "copy"); });
  co_await visit("write_file_atomically", [&] { return write_file_atomically(name, "some bytes"); });
  auto entries = list_directory(folder / "");
  co_await visit("list_directory", [&] { return entries.next(); });
  co_await visit("directory_stream::close", [&] { return entries.close(); });
  co_await visit("file::size", [&] { return f.size(); });
  co_await visit("write_some", [&] { return f.write_some("x"); });
  co_await visit("file::write", [&] { return f.write("x"); });
  co_await visit("socket", [] { return io::socket(AF_INET, SOCK_STREAM); });
  co_await visit("connect of a stream", [&] { return tcp_stream::connect(at); });
  const auto loose = descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  co_await visit("connect", [&] {
    return io::connect(loose.native_handle(), at.native(), at.native_size());
  });
  const sockets pair;
  const int socket = pair.a.native_handle();
  const sockets done;
  co_await visit("shutdown", [&] { return io::shutdown(done.a.native_handle(), SHUT_RD); });
  const auto any = endpoint::loopback(0);
  std::vector<descriptor> unbound;
  co_await visit("bind", [&] {
    unbound.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return io::bind(unbound.back().native_handle(), any.native(), any.native_size());
  });
  co_await visit("listen", [&] { return io::listen(listener.native_handle()); });
  co_await visit("send everything", [&] {
    using bytes = detail::source<std::string_view>;
    return io::operation(detail::send_op<bytes>{bytes(std::string_view("x")), socket});
  });
}

}  // namespace rondo::test

// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of postgres are written with: a PostgreSQL server of their own.
//
//     POSTGRES_TEST("a query gives rows") {
//       auto c = co_await rondo::postgres::connect(server.conninfo());
//       const auto rows = co_await c.query("select 1");
//       CHECK(rows.size() == 1);
//     }
//
// The body is a coroutine, run by rondo::run, on both rings. The server (server.py) is started once
// a process; tables of the tests are temporary ones.

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <rondo/postgres.hpp>
#include <rondo/rondo.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

#define POSTGRES_TEST(name) RONDO_POSTGRES_TEST(RONDO_LOOP_JOIN(postgres_test_, __COUNTER__), name)
#define RONDO_POSTGRES_TEST(body, name)                                                           \
  static rondo::task<> body(rondo::test::postgres_server& server);                                \
  ON_BOTH_RINGS(                                                                                  \
      name, if (!rondo::test::postgres_server::is_installed()) SKIP("needs PostgreSQL's server"); \
      rondo::run(body(rondo::test::postgres_server::get()));)                                     \
  static rondo::task<> body([[maybe_unused]] rondo::test::postgres_server& server)

namespace rondo::test {

using namespace std::chrono_literals;
namespace postgres = rondo::postgres;

class postgres_server {
 public:
  static bool is_installed() { return std::filesystem::exists("/usr/lib/postgresql"); }
  static postgres_server& get() {
    static postgres_server server;
    return server;
  }

  [[nodiscard]] std::string conninfo() const { return tls() + " sslmode=disable"; }
  /// The same, encrypted where the server can.
  [[nodiscard]] std::string tls() const {
    return "host=127.0.0.1 port=" + port_ + " user=postgres dbname=postgres";
  }
  /// The same over the socket in the file system.
  [[nodiscard]] std::string local() const {
    return "host=" + folder_ / "" + " port=" + port_ + " user=postgres dbname=postgres";
  }
  [[nodiscard]] std::string port() const { return port_; }
  [[nodiscard]] std::string folder() const { return folder_ / ""; }

  /// server.py says what there is. Blocks until it is done.
  void tell(std::string command) {
    command += '\n';
    if (::write(input_.native_handle(), command.data(), command.size()) < 0 || line() != "done") {
      throw std::runtime_error("server.py has not done: " + command);
    }
  }
  /// All of it is gone, as in a crash, until the end of the scope.
  class crash {
   public:
    explicit crash(postgres_server& s) : server_(s) { s.tell("kill"); }
    crash(const crash&) = delete;
    crash& operator=(const crash&) = delete;
    ~crash() { server_.tell("start"); }

   private:
    postgres_server& server_;
  };
  /// It is there and does nothing, as behind a network that is lost, until the end of the scope.
  class freeze {
   public:
    explicit freeze(postgres_server& s) : server_(s) { s.tell("freeze"); }
    freeze(const freeze&) = delete;
    freeze& operator=(const freeze&) = delete;
    ~freeze() { server_.tell("thaw"); }

   private:
    postgres_server& server_;
  };

 private:
  postgres_server() {
    pipe_ends to_it;
    pipe_ends from_it;
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, to_it.out(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, from_it.in(), STDOUT_FILENO);
    std::string script = std::string(RONDO_SOURCE_DIR) + "/tests/postgres/server.py";
    std::string folder = folder_ / "";
    std::string cluster =
        std::filesystem::read_symlink("/proc/self/exe").parent_path() / "postgres-cluster";
    char* argv[] = {const_cast<char*>("python3"), script.data(), folder.data(), cluster.data(),
                    nullptr};
    const int error = ::posix_spawnp(&pid_, "python3", &actions, nullptr, argv, environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::system_error(error, std::system_category(), "python3");
    input_ = std::move(to_it.writer);
    output_ = std::move(from_it.reader);
    from_it.writer = descriptor();  // so that its end is seen
    port_ = line();
    if (port_.empty()) throw std::runtime_error("PostgreSQL did not start; its output says why");
  }
  ~postgres_server() {
    input_ = descriptor();
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  std::string line() {
    std::string text;
    for (char byte = 0; ::read(output_.native_handle(), &byte, 1) == 1 && byte != '\n';) {
      text += byte;
    }
    return text;
  }

  temporary_folder folder_;
  pid_t pid_ = 0;
  descriptor input_;
  descriptor output_;
  std::string port_;
};

/// A line to the server on which the end of what that says can be made to come late: its last six
/// bytes, which are "ready for the next", while what was done has been told already.
class late_line {
 public:
  explicit late_line(const postgres_server& server)
      : server_(endpoint::loopback(static_cast<std::uint16_t>(std::stoi(server.port())))),
        service_(spawn(serve(listener_, hand_on, {}, std::ref(*this)))) {}

  [[nodiscard]] std::string conninfo() const {
    return "host=127.0.0.1 port=" + std::to_string(listener_.local_endpoint().port()) +
           " user=postgres dbname=postgres sslmode=disable";
  }
  /// From now on.
  void be_late(std::chrono::nanoseconds by) { late_ = by; }
  /// Until the rest of an answer has had its time to be read.
  task<> until_held() {
    while (!held_) co_await sleep_for(1ms);
    co_await sleep_for(20ms);
  }
  /// When the connections over it are closed.
  task<> close() {
    service_.cancel();
    co_await service_.wait();
  }

 private:
  static task<> hand_on(tcp_stream client, late_line& line) {
    tcp_stream server = co_await tcp_stream::connect(line.server_);
    co_await when_any(line.hand_on_all(client, server, 0), line.hand_on_all(server, client, 6));
  }
  task<> hand_on_all(tcp_stream& from, tcp_stream& to, std::size_t end) {
    std::string bytes(64 * 1024, '\0');
    for (;;) {
      const std::size_t size = co_await from.read(bytes);
      if (size == 0) co_return;
      const std::size_t at_once = late_ == 0ns || size < end ? size : size - end;
      co_await to.write(std::string_view(bytes).substr(0, at_once));
      if (at_once == size) continue;
      held_ = true;
      co_await sleep_for(late_);
      held_ = false;
      co_await to.write(std::string_view(bytes).substr(at_once, size - at_once));
    }
  }

  tcp_listener listener_ = tcp_listener::bind(endpoint::loopback(0));
  endpoint server_;
  std::chrono::nanoseconds late_{0};
  bool held_ = false;
  join_handle<> service_;
};

/// The error with which something fails.
template <typename A>
task<postgres::error> error_of(A what) {
  std::optional<postgres::error> error;
  try {
    static_cast<void>(co_await std::move(what));
  } catch (const postgres::error& e) {
    error = e;
  }
  if (!error) throw std::logic_error("it has not failed");
  co_return *error;
}

/// What the server's process for a connection does, as pg_stat_activity has it.
inline task<std::string> activity_of(postgres::connection& by, int process_id) {
  const auto rows =
      co_await by.query("select state, query from pg_stat_activity where pid = $1", process_id);
  if (rows.empty()) co_return "gone";
  co_return rows[0].get<std::optional<std::string>>("state").value_or("") + ": " +
      rows[0].get<std::string>("query");
}

/// Waits until that is so.
inline task<> until_activity(postgres::connection& by, int process_id, std::string_view beginning) {
  for (;;) {
    const std::string now = co_await activity_of(by, process_id);
    if (now.starts_with(beginning)) co_return;
    co_await sleep_for(1ms);
  }
}

/// Until the server executes something for that process; seen from a connection that is gone then.
inline task<> until_busy(postgres_server& server, int process_id) {
  auto watcher = co_await postgres::connect(server.conninfo());
  co_await until_activity(watcher, process_id, "active");
  co_await watcher.close();
}

/// How many descriptors are open, when the threads that ask the server to stop have ended: each has
/// a socket of its own for a moment.
inline task<std::size_t> descriptors_at_rest() {
  for (;;) {
    const auto count = rondo_test::open_descriptors();
    co_await sleep_for(200ms);
    if (rondo_test::open_descriptors() == count) co_return count;
  }
}

class stopwatch {
 public:
  [[nodiscard]] std::chrono::nanoseconds elapsed() const {
    return std::chrono::steady_clock::now() - begin_;
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// What comes back of a value, as the type that was sent.
template <typename T>
task<T> back(postgres::connection& c, T value) {
  const postgres::rows rows = co_await c.query("select $1", value);
  co_return rows[0].get<T>(0);
}
/// What a codec says about a text that it cannot read; nothing if it can.
template <typename T>
std::string refuses(std::string_view text) {
  try {
    static_cast<void>(postgres::codec<T>::read(text));
  } catch (const postgres::error& e) {
    return e.what();
  }
  return "";
}

}  // namespace rondo::test

// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of http are written with: servers that other people wrote, and peers that
// misbehave.
//
//     PYTHON_TEST("get gives the answer") {
//       rondo::http::session session;
//       const auto answer = co_await session.get(server / "json");
//       CHECK(answer.status == 200);
//     }
//
// The body is a coroutine, run by rondo::run; `server` is Python's http.server (server.py says what
// it answers), in NGINX_TEST it is nginx (nginx.py).

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <rondo/http.hpp>
#include <rondo/rondo.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

#define PYTHON_TEST(name) RONDO_PYTHON_TEST(RONDO_LOOP_JOIN(python_test_, __COUNTER__), name)
#define RONDO_PYTHON_TEST(body, name)                            \
  static rondo::task<> body(rondo::test::python_server& server); \
  ON_BOTH_RINGS(name, rondo::test::python_server the_server;     \
                rondo::run(body(the_server));)                   \
  static rondo::task<> body([[maybe_unused]] rondo::test::python_server& server)

#define NGINX_TEST(name) RONDO_NGINX_TEST(RONDO_LOOP_JOIN(nginx_test_, __COUNTER__), name)
#define RONDO_NGINX_TEST(body, name)                                                     \
  static rondo::task<> body(rondo::test::nginx_server& server);                          \
  ON_BOTH_RINGS(                                                                         \
      name, if (!rondo::test::nginx_server::is_installed()) SKIP("needs nginx and openssl"); \
      rondo::test::nginx_server the_server; rondo::run(body(the_server));)               \
  static rondo::task<> body([[maybe_unused]] rondo::test::nginx_server& server)

namespace rondo::test {

using namespace std::chrono_literals;
namespace http = rondo::http;

/// A proxy that is meant for the machine that runs the tests would get their requests.
inline const bool no_proxies = [] {
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    ::unsetenv(name);
  }
  return true;
}();

inline std::string url_of(const tcp_listener& listener, const std::string& path = "") {
  return "http://" + to_string(listener.local_endpoint()) + "/" + path;
}

/// A script of this folder, which inherits listening sockets. It says "ready" on its standard
/// output and ends with its standard input.
class server_script {
 public:
  server_script(const std::string& name, std::vector<std::string> arguments, std::size_t sockets) {
    pipe_ends to_it;
    pipe_ends from_it;
    std::vector<tcp_listener> listeners;
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, to_it.out(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, from_it.in(), STDOUT_FILENO);
    for (std::size_t i = 0; i < sockets; ++i) {
      listeners.push_back(tcp_listener::bind(endpoint::loopback(0)));
      ports_.push_back(listeners.back().local_endpoint().port());
      const int number = 100 + static_cast<int>(i);
      ::posix_spawn_file_actions_adddup2(&actions, listeners.back().native_handle(), number);
      arguments.push_back(std::to_string(number));
    }
    std::string path = std::string(RONDO_SOURCE_DIR) + "/tests/http/" + name;
    std::vector<char*> argv{const_cast<char*>("python3"), path.data()};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int error = ::posix_spawnp(&pid_, "python3", &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::system_error(error, std::system_category(), "python3");
    input_ = std::move(to_it.writer);
    from_it.writer = descriptor();  // so that its end is seen
    wait_until_ready(from_it.out());
  }
  server_script(const server_script&) = delete;
  server_script& operator=(const server_script&) = delete;
  ~server_script() { end(); }

  [[nodiscard]] std::uint16_t port(std::size_t i) const { return ports_[i]; }

  /// Nobody listens on its ports after this.
  void end() {
    if (pid_ == 0) return;
    input_ = descriptor();
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
  }

 private:
  void wait_until_ready(int output) {
    for (char byte = 0; ::read(output, &byte, 1) == 1;) {
      if (byte == '\n') return;
    }
    end();
    throw std::runtime_error("a server for the tests did not start; its output says why");
  }

  pid_t pid_ = 0;
  descriptor input_;
  std::vector<std::uint16_t> ports_;
};

class python_server {
 public:
  [[nodiscard]] std::string operator/(const std::string& target) const {
    return "http://127.0.0.1:" + std::to_string(port()) + "/" + target;
  }
  [[nodiscard]] std::uint16_t port() const { return script_.port(0); }
  void end() { script_.end(); }

 private:
  server_script script_{"server.py", {}, 1};
};

/// What the Python server has seen so far.
struct server_stats {
  int connections = 0;
  int open = 0;
  int peak = 0;  // open at the same time
  std::vector<std::string> requests;
};
inline task<server_stats> stats_of(const python_server& server) {
  http::session session;
  const auto json = (co_await session.get(server / "stats")).json();
  server_stats stats;
  stats.connections = json["connections"].get<int>();
  stats.open = json["open"].get<int>();
  stats.peak = json["peak"].get<int>();
  stats.requests = json["requests"].get<std::vector<std::string>>();
  co_return stats;
}

class nginx_server {
 public:
  static bool is_installed() {
    return std::system("PATH=$PATH:/usr/sbin:/sbin; command -v nginx openssl python3 >/dev/null") ==
           0;
  }
  [[nodiscard]] std::string operator/(const std::string& target) const {
    return "http://127.0.0.1:" + std::to_string(script_.port(0)) + "/" + target;
  }
  [[nodiscard]] std::string tls(const std::string& target) const {
    return "https://localhost:" + std::to_string(script_.port(1)) + "/" + target;
  }
  /// Its certificate is for another host.
  [[nodiscard]] std::string other(const std::string& target) const {
    return "https://localhost:" + std::to_string(script_.port(2)) + "/" + target;
  }
  /// It does not speak HTTP/2.
  [[nodiscard]] std::string old(const std::string& target) const {
    return "https://localhost:" + std::to_string(script_.port(3)) + "/" + target;
  }
  /// How often /gone was asked for.
  [[nodiscard]] std::size_t gone() const {
    std::ifstream lines(folder_ / "gone");
    return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(lines), {}, '\n'));
  }
  [[nodiscard]] std::string ca() const { return folder_ / "ca.pem"; }
  /// An authority that signed nothing.
  [[nodiscard]] std::string stranger() const { return folder_ / "stranger.pem"; }
  /// Where /name is served from.
  [[nodiscard]] std::string file(const std::string& name) const {
    return folder_ / ("www/" + name);
  }

 private:
  temporary_folder folder_;
  server_script script_{"nginx.py", {folder_ / ""}, 4};
};

/// See tls_peers.py.
class tls_peers {
 public:
  explicit tls_peers(const nginx_server& certified)
      : script_("tls_peers.py", {std::filesystem::path(certified.ca()).parent_path()}, 2) {}
  [[nodiscard]] std::string strict() const { return url(0); }
  [[nodiscard]] std::string gone() const { return url(1); }

 private:
  [[nodiscard]] std::string url(std::size_t i) const {
    return "https://localhost:" + std::to_string(script_.port(i)) + "/";
  }
  server_script script_;
};

// Peers that misbehave: a listener, and a task for each peer that connects.

using behaviour = task<> (*)(tcp_stream);

inline task<> behave(tcp_stream peer, behaviour how) {
  try {
    co_await how(std::move(peer));
  } catch (const std::system_error&) {  // the peer is gone, which is what the test is about
  }
}
inline task<> accept_for_ever(tcp_listener listener, behaviour how) {
  for (;;) {
    tcp_stream peer = co_await listener.accept();
    spawn(behave(std::move(peer), how));
  }
}

/// Gives the URL, without a path. The listener is closed when the loop's run ends.
inline std::string start_peer(behaviour how) {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  std::string url = url_of(listener);
  spawn(accept_for_ever(std::move(listener), how));
  return url;
}

/// Reads a request without a body; false when the peer ends before.
inline task<bool> read_request(tcp_stream& peer) {
  std::array<char, 4096> buffer;
  for (std::string request; request.find("\r\n\r\n") == request.npos;) {
    const std::size_t n = co_await peer.read(buffer);
    if (n == 0) co_return false;
    request.append(buffer.data(), n);
  }
  co_return true;
}
inline task<> until_the_peer_ends(tcp_stream& peer) {
  std::array<char, 4096> buffer;
  for (;;) {
    const std::size_t n = co_await peer.read(buffer);
    if (n == 0) co_return;
  }
}

/// Answers every request, and says so.
inline task<> answers(tcp_stream peer) {
  for (;;) {
    const bool asked = co_await read_request(peer);
    if (!asked) co_return;
    co_await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  }
}
/// Takes connections and is silent, also to a TLS greeting.
inline task<> says_nothing(tcp_stream peer) { co_await until_the_peer_ends(peer); }
inline task<> begins_an_answer(tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe beginning");
  co_await until_the_peer_ends(peer);
}
inline task<> hangs_up_in_the_body(tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe beginning");
}
inline task<> hangs_up_before_the_answer(tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
}
inline task<> resets(tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  peer.set_option(SOL_SOCKET, SO_LINGER, linger{1, 0});
}
inline task<> talks_nonsense(tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("220 mail.example ESMTP ready\r\n");
  co_await until_the_peer_ends(peer);
}

/// Listens, and leaves every further attempt to connect without an answer: its queue is full.
class deaf_listener {
 public:
  deaf_listener() : listener_(tcp_listener::bind(endpoint::loopback(0), {.backlog = 0})) {
    const endpoint here = listener_.local_endpoint();
    for (auto& filler : fillers_) {
      filler = descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      ::connect(filler.native_handle(), here.native(), here.native_size());
    }
  }
  [[nodiscard]] std::string url() const { return url_of(listener_); }

 private:
  tcp_listener listener_;
  std::array<descriptor, 4> fillers_;
};

inline http::request get(std::string url) { return http::request("GET", std::move(url)); }
inline task<std::string> text_of(http::session& session, std::string url) {
  auto answer = co_await session.get(std::move(url));
  co_return std::move(answer).raise_for_status().text();
}

/// The error with which a request fails.
template <typename A>
task<http::error> error_of(A request) {
  std::optional<http::error> error;
  try {
    static_cast<void>(co_await std::move(request));
  } catch (const http::error& e) {
    error = e;
  }
  if (!error) throw std::logic_error("the request has not failed");
  co_return *error;
}

/// One line that holds each of the words.
inline bool is_one_line_with(std::string_view text, std::initializer_list<std::string_view> words) {
  for (const auto word : words) {
    if (text.find(word) == text.npos) {
      UNSCOPED_INFO("\"" << std::string(word) << "\" is not in: " << std::string(text));
      return false;
    }
  }
  return !text.empty() && text.find('\n') == text.npos;
}

/// Peers close their ends a little later than the session does its own.
inline task<bool> descriptors_return_to(std::size_t count) {
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  while (rondo_test::open_descriptors() != count) {
    if (std::chrono::steady_clock::now() > deadline) {
      UNSCOPED_INFO(rondo_test::describe_descriptors());
      co_return false;
    }
    co_await sleep_for(1ms);
  }
  co_return true;
}

class stopwatch {
 public:
  [[nodiscard]] std::chrono::nanoseconds elapsed() const {
    return std::chrono::steady_clock::now() - begin_;
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace rondo::test

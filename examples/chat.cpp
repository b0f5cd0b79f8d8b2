// SPDX-License-Identifier: BSL-1.0
//
// A chat server: what one says, a line, all others read. The first line that somebody sends is their
// name. Somebody who does not read is not waited for: what does not go into their socket's buffer
// ends their connection. Ctrl-C ends the server; whoever is in the middle has a second.
//
//     ./chat 7000                     (then, in several terminals: nc 127.0.0.1 7000)
//     ./chat --demo                   three who talk to each other
//     ann: hello
//     bob: hello, ann
//
// smoke: --demo
// prints: ann: hello\nbob: hello, ann

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <list>
#include <rondo/rondo.hpp>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

/// Lines of a connection, however they come.
class line_reader {
 public:
  explicit line_reader(rondo::tcp_stream& from) : from_(from) {}

  /// Empty at the end.
  rondo::task<std::string> next() {
    for (;;) {
      if (const auto end = text_.find('\n'); end != text_.npos) {
        std::string line = text_.substr(0, end + 1);
        text_.erase(0, end + 1);
        co_return line;
      }
      std::array<char, 1024> bytes;
      const std::size_t n = co_await from_.read(bytes);
      if (n == 0 || text_.size() > 10'000) co_return "";
      text_.append(bytes.data(), n);
    }
  }

 private:
  rondo::tcp_stream& from_;
  std::string text_;
};

using room = std::list<rondo::tcp_stream*>;

/// To everybody but one, without waiting: a chat has no room for what is late.
void tell(room& everybody, const rondo::tcp_stream* speaker, const std::string& words) {
  for (rondo::tcp_stream* peer : everybody) {
    if (peer == speaker) continue;
    const auto n = ::send(peer->native_handle(), words.data(), words.size(),
                          MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n != static_cast<ssize_t>(words.size())) ::shutdown(peer->native_handle(), SHUT_RDWR);
  }
}

rondo::task<> talk(rondo::tcp_stream peer, room& everybody) {
  line_reader lines(peer);
  std::string name = co_await lines.next();
  if (name.empty()) co_return;
  name.back() = ':';
  const auto place = everybody.insert(everybody.end(), &peer);
  const struct leaving {
    room& from;
    room::iterator at;
    ~leaving() { from.erase(at); }
  } leave{everybody, place};  // in any case, also when the connection breaks
  co_await peer.write("welcome\n");
  for (;;) {
    const std::string line = co_await lines.next();
    if (line.empty()) break;
    tell(everybody, &peer, name + " " + line);
  }
}

rondo::task<> chat(rondo::tcp_listener& listener) {
  room everybody;
  co_await rondo::serve(listener, talk, {.max_connections = 1000, .grace = 1s},
                        std::ref(everybody));
}

rondo::task<> demo(rondo::tcp_listener& listener) {
  auto server = rondo::spawn(chat(listener));
  const auto join = [&listener](std::string name) -> rondo::task<rondo::tcp_stream> {
    auto stream = co_await rondo::tcp_stream::connect(listener.local_endpoint());
    co_await stream.write(name + "\n");
    std::array<char, 8> welcome;
    co_await stream.read_exactly(welcome);
    co_return stream;
  };
  auto listening = co_await join("eve");
  auto ann = co_await join("ann");
  auto bob = co_await join("bob");
  line_reader heard(listening);
  co_await ann.write("hello\n");
  std::string line = co_await heard.next();
  std::fputs(line.c_str(), stdout);
  co_await bob.write("hello, ann\n");
  line = co_await heard.next();
  std::fputs(line.c_str(), stdout);
  server.cancel();
  co_await server.wait();
}

int main(int argc, char** argv) {
  const bool demonstrate = argc == 2 && std::string_view(argv[1]) == "--demo";
  const auto port = static_cast<std::uint16_t>(argc == 2 ? std::atoi(argv[1]) : 0);
  rondo::tcp_listener listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(port));
  if (demonstrate) return rondo::run_main(demo(listener));
  std::printf("listening on %s\n", rondo::to_string(listener.local_endpoint()).c_str());
  std::fflush(stdout);
  return rondo::run_main(chat(listener));
}

// SPDX-License-Identifier: BSL-1.0

// Programs of other people at the other end: nc, socat, curl, dd and Python's asyncio. Everything
// goes both ways at once, and each byte is compared with what was sent.
//
// RONDO_TEST_MIB=1024 is how much goes each way, in MiB; with so much of it, RONDO_TEST_TIMEOUT=0.

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <rondo/rondo.hpp>

#include "support/loop_test.hpp"

using namespace rondo::test;
using rondo::command;
using rondo::process;
using rondo::stdio;
using rondo::task;
using rondo::when_all;

namespace {

/// How many bytes go each way.
std::size_t amount() {
  const char* const text = std::getenv("RONDO_TEST_MIB");
  return std::max(1UL, text != nullptr ? std::strtoul(text, nullptr, 10) : 8) << 20;
}

constexpr std::size_t piece = std::size_t{64} << 10;

/// The bytes that one side sends: random ones, again after a prime number of them, so a piece that
/// is missing, doubled or out of order shows.
class random_bytes {
 public:
  explicit random_bytes(unsigned seed) : bytes_(period + piece, '\0') {
    std::mt19937 random(seed);
    for (std::size_t i = 0; i < period; ++i) bytes_[i] = static_cast<char>(random());
    std::copy_n(bytes_.begin(), piece, bytes_.begin() + period);
  }
  /// `size` of them, a piece at most, from `offset` on.
  [[nodiscard]] std::string_view at(std::size_t offset, std::size_t size) const {
    return std::string_view(bytes_).substr(offset % period, size);
  }

 private:
  static constexpr std::size_t period = 1'000'003;
  std::string bytes_;
};

const random_bytes& ours() {
  static const random_bytes p(1);
  return p;
}
const random_bytes& theirs() {
  static const random_bytes p(2);
  return p;
}

template <typename Writer>
task<> send(Writer& to, const random_bytes& bytes) {
  const std::size_t all = amount();
  for (std::size_t sent = 0; sent < all; sent += piece) {
    co_await to.write(bytes.at(sent, std::min(piece, all - sent)));
  }
}
/// Reads so many and no more.
template <typename Reader>
task<> receive(Reader& from, const random_bytes& bytes) {
  const std::size_t all = amount();
  std::vector<char> space(piece);
  std::size_t received = 0;
  bool equal = true;
  while (received < all) {
    const std::size_t room = std::min(piece, all - received);
    const std::size_t n = co_await from.read(rondo::mutable_buffer(space.data(), room));
    if (n == 0) break;
    equal = equal && bytes.at(received, n) == std::string_view(space.data(), n);
    received += n;
  }
  CHECK(received == all);
  CHECK(equal);
}
template <typename Reader>
task<> nothing_more(Reader& from) {
  char byte = 0;
  const std::size_t n = co_await from.read(rondo::mutable_buffer(&byte, 1));
  CHECK(n == 0);
}

template <typename Stream>
task<> send_and_shut_down(Stream& peer) {
  co_await send(peer, ours());
  peer.shutdown_write();
}
template <typename Stream>
task<> receive_to_the_end(Stream& peer) {
  co_await receive(peer, theirs());
  co_await nothing_more(peer);
}

task<> feed(process& program) {
  co_await send(program.stdin_(), theirs());
  co_await program.stdin_().close();
}
task<> hear(process& program) {
  co_await receive(program.stdout_(), ours());
  co_await nothing_more(program.stdout_());
}

/// A program between two pipes of its and a socket: what it reads goes to us, what it receives
/// comes back through its output.
template <typename Listener>
task<> talk_through(Listener& listener, command what) {
  process program = process::spawn(what, {.in = stdio::pipe, .out = stdio::pipe});
  auto peer = co_await listener.accept();
  co_await when_all(feed(program), hear(program), send_and_shut_down(peer),
                    receive_to_the_end(peer));
  const int status = co_await program.wait();
  CHECK(status == 0);
}

bool succeeds(const char* command) {
  return std::system((std::string("(") + command + ") >/dev/null 2>&1").c_str()) == 0;
}

/// A test that needs a program, or a version of it for which this command succeeds.
#define WITH_PROGRAM(name, sentence) WITH_PROGRAM_IF("command -v " name, name, sentence)
#define WITH_PROGRAM_IF(command, name, sentence) \
  WITH_PROGRAM_AT(command, name, sentence, RONDO_LOOP_JOIN(with_program_, __COUNTER__))
#define WITH_PROGRAM_AT(command, name, sentence, body) \
  static task<> body();                                \
  ON_BOTH_RINGS(sentence, {                            \
    if (!succeeds(command)) SKIP("needs " name);       \
    rondo::run(body());                                \
  })                                                   \
  static task<> body()

std::string port_of(const rondo::endpoint& e) { return std::to_string(e.port()); }

constexpr const char* asyncio_echo_server = R"(
import asyncio

async def main():
    ended = asyncio.Event()
    async def echo(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()  # or what is in its buffer is lost when the program ends
        ended.set()
    server = await asyncio.start_server(echo, '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()

asyncio.run(main())
)";

constexpr const char* asyncio_echo_client = R"(
import asyncio, sys

async def main():
    reader, writer = await asyncio.open_connection('127.0.0.1', int(sys.argv[1]))
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()

asyncio.run(main())
)";

/// The other end sends back what it gets.
template <typename Stream>
task<> hear_the_echo(Stream& peer) {
  co_await receive(peer, ours());
  co_await nothing_more(peer);
}

/// One request with a body, and an answer with one.
task<> answer_upload(rondo::unix_stream peer) {
  rondo::buffered_reader in(peer);
  const std::string head = co_await in.read_until("\r\n\r\n", 4096);
  CHECK(head.find("Content-Length: " + std::to_string(amount()) + "\r\n") != std::string::npos);
  co_await receive(in, theirs());
  co_await peer.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " +
                      std::to_string(amount()) + "\r\n\r\n");
  co_await send(peer, ours());
}

task<> write_to(const std::string& path, const random_bytes& bytes) {
  auto file = co_await rondo::file::open(path, rondo::open_mode::write | rondo::open_mode::create);
  co_await send(file, bytes);
  co_await file.close();
}
task<> compare(const std::string& path, const random_bytes& bytes) {
  auto file = co_await rondo::file::open(path, rondo::open_mode::read);
  co_await receive(file, bytes);
  co_await nothing_more(file);
}

}  // namespace

// Others that are called nc cannot say that they have nothing more to send.
WITH_PROGRAM_IF("nc -h 2>&1 | grep -q -- -N", "nc -N (netcat-openbsd)",
                "nc connects over TCP, and every byte arrives both ways") {
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  co_await talk_through(listener, {"nc", "-N", "127.0.0.1", port_of(listener.local_endpoint())});
}

WITH_PROGRAM("socat", "socat connects to a Unix socket, and every byte arrives both ways") {
  const temporary_folder folder;
  auto listener = rondo::unix_listener::bind(rondo::endpoint::unix_path(folder / "socket"));
  // -t: how long it goes on in one direction when the other has ended.
  co_await talk_through(listener,
                        {"socat", "-t", "600", "STDIO", "UNIX-CONNECT:" + (folder / "socket")});
}

WITH_PROGRAM("python3", "a server of asyncio gives back every byte") {
  process python =
      process::spawn(command("python3", "-c", asyncio_echo_server), {.out = stdio::pipe});
  rondo::buffered_reader says(python.stdout_());
  const auto line = co_await says.read_line();
  REQUIRE(line);
  int port = 0;
  std::from_chars(line->data(), line->data() + line->size(), port);
  auto peer = co_await rondo::connect("127.0.0.1", static_cast<std::uint16_t>(port));
  co_await when_all(send_and_shut_down(peer), hear_the_echo(peer));
  const int status = co_await python.wait();
  CHECK(status == 0);
}

WITH_PROGRAM("python3", "a client of asyncio gives back every byte") {
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  process python = process::spawn(
      command("python3", "-c", asyncio_echo_client, port_of(listener.local_endpoint())));
  auto peer = co_await listener.accept();
  co_await when_all(send_and_shut_down(peer), hear_the_echo(peer));
  co_await peer.close();
  const int status = co_await python.wait();
  CHECK(status == 0);
}

WITH_PROGRAM("curl", "curl sends a file to a Unix socket, and gets another") {
  const temporary_folder folder;
  co_await write_to(folder / "up", theirs());
  auto listener = rondo::unix_listener::bind(rondo::endpoint::unix_path(folder / "socket"));
  process curl = process::spawn(command("curl", "-q", "-sS", "-f", "-H", "Expect:", "--unix-socket",
                                        folder / "socket", "-T", folder / "up", "-o",
                                        folder / "down", "http://localhost/up"));
  co_await answer_upload(co_await listener.accept());
  const int status = co_await curl.wait();
  CHECK(status == 0);
  co_await compare(folder / "down", ours());
}

WITH_PROGRAM("dd", "dd is fed through a pipe, and every byte comes back through another") {
  process dd = process::spawn(command("dd", "bs=100000", "status=none"),
                              {.in = stdio::pipe, .out = stdio::pipe});
  rondo::pipe_writer& in = dd.stdin_();
  auto feeds = [](rondo::pipe_writer& to) -> task<> {
    co_await send(to, ours());
    co_await to.close();
  };
  co_await when_all(feeds(in), hear(dd));
  const int status = co_await dd.wait();
  CHECK(status == 0);
}

WITH_PROGRAM("dd", "dd copies a file that was written here, and its copy is read here") {
  const temporary_folder folder;
  co_await write_to(folder / "from", ours());
  const auto copied = co_await rondo::run_process(
      {"dd", "if=" + (folder / "from"), "of=" + (folder / "to"), "bs=64k", "status=none"});
  CHECK(copied.exit_code == 0);
  CHECK(copied.err == "");
  co_await compare(folder / "to", ours());
}

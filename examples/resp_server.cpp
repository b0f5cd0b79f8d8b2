// SPDX-License-Identifier: BSL-1.0
//
// Enough of Redis for redis-cli and redis-benchmark: PING, ECHO, GET, SET, DEL, EXISTS and INCR over
// its protocol (RESP), as many commands at once as a client cares to send. One task a connection, all
// on one loop, so the data needs no locks.
//
//     ./resp_server 7000            (then: redis-cli -p 7000, or redis-benchmark -p 7000 -t get,set)
//     ./resp_server --demo          talks to itself
//     +PONG
//     +OK
//     $5
//     hello
//     :1
//     :2
//
// smoke: --demo
// prints: ^\+PONG\r?$
// prints: ^hello\r?$
// prints: ^:2\r?$
// prints: ^-ERR unknown command 'NONSENSE'\r?$

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <rondo/rondo.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

struct hash_of_text {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>()(text);
  }
};
using database = std::unordered_map<std::string, std::string, hash_of_text, std::equal_to<>>;
using words = std::vector<std::string_view>;

struct protocol_error : std::runtime_error {
  using runtime_error::runtime_error;
};

// The whole of a number; nullopt for anything else.
std::optional<long long> number(std::string_view text) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// ---- Commands out of bytes ----------------------------------------------------------------------

// What came and was not used yet.
class command_reader {
 public:
  // Where more bytes may go, and how many did.
  rondo::mutable_buffer room() {
    constexpr std::size_t at_least = 16384;
    std::memmove(bytes_.data(), bytes_.data() + used_, filled_ - used_);
    filled_ -= std::exchange(used_, 0);
    if (bytes_.size() - filled_ < at_least) bytes_.resize(std::max(2 * bytes_.size(), at_least));
    return {bytes_.data() + filled_, bytes_.size() - filled_};
  }
  void came(std::size_t n) { filled_ += n; }

  // The next command, as long as nothing else comes; false: more has to come first.
  bool next(words& command) {
    command.clear();
    std::size_t at = used_;
    const auto first = line(at);
    if (!first) return false;
    if (!first->starts_with('*')) {  // typed by hand: words between blanks
      split(*first, command);
      used_ = at;
      return true;
    }
    const auto count = length(first->substr(1), 1 << 20);
    for (std::size_t i = 0; i < count; ++i) {
      const auto head = line(at);
      if (!head) return false;
      if (!head->starts_with('$')) throw protocol_error("expected '$'");
      const auto size = length(head->substr(1), std::size_t{512} << 20);
      if (filled_ - at < size + 2) return false;
      command.push_back(all().substr(at, size));
      if (all().substr(at + size, 2) != "\r\n") throw protocol_error("expected a line end");
      at += size + 2;
    }
    used_ = at;
    return true;
  }

 private:
  std::optional<std::string_view> line(std::size_t& at) const {
    const std::size_t end = all().find("\r\n", at);
    if (end == std::string_view::npos) {
      if (filled_ - at > 65536) throw protocol_error("too big inline request");
      return std::nullopt;
    }
    const std::size_t begin = std::exchange(at, end + 2);
    return all().substr(begin, end - begin);
  }
  static std::size_t length(std::string_view text, std::size_t most) {
    const auto n = number(text);
    if (!n || *n < 0 || static_cast<std::size_t>(*n) > most) {
      throw protocol_error("invalid bulk length");
    }
    return static_cast<std::size_t>(*n);
  }
  static void split(std::string_view line, words& to) {
    while (!line.empty()) {
      const std::size_t end = std::min(line.find(' '), line.size());
      if (end != 0) to.push_back(line.substr(0, end));
      line.remove_prefix(std::min(end + 1, line.size()));
    }
  }

  [[nodiscard]] std::string_view all() const { return {bytes_.data(), filled_}; }

  std::string bytes_;       // as many as there may be
  std::size_t filled_ = 0;  // so many of them have come
  std::size_t used_ = 0;    // and been used
};

// ---- Answers ------------------------------------------------------------------------------------

void put_number(std::string& out, char kind, long long n) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, n).ptr;
  out += kind;
  out.append(digits, end);
  out += "\r\n";
}
void put_text(std::string& out, std::string_view text) {
  put_number(out, '$', static_cast<long long>(text.size()));
  out += text;
  out += "\r\n";
}

void increment(database& data, std::string_view key, std::string& out) {
  const auto found = data.find(key);
  const auto before = found == data.end() ? 0 : number(found->second);
  if (!before || *before == std::numeric_limits<long long>::max()) {
    out += "-ERR value is not an integer or out of range\r\n";
    return;
  }
  data.insert_or_assign(std::string(key), std::to_string(*before + 1));
  put_number(out, ':', *before + 1);
}

bool is(std::string_view word, std::string_view name) {
  return word.size() == name.size() && ::strncasecmp(word.data(), name.data(), name.size()) == 0;
}

void carry_out(const words& command, database& data, std::string& out) {
  const std::string_view name = command[0];
  const std::size_t count = command.size() - 1;
  const auto of = [&](std::string_view known, std::size_t least, std::size_t most) {
    if (!is(name, known)) return false;
    if (count >= least && count <= most) return true;
    throw std::invalid_argument("wrong number of arguments for '" + std::string(known) + "'");
  };
  constexpr std::size_t any = std::numeric_limits<std::size_t>::max();
  if (of("GET", 1, 1)) {
    const auto found = data.find(command[1]);
    if (found == data.end()) {
      out += "$-1\r\n";
    } else {
      put_text(out, found->second);
    }
  } else if (of("SET", 2, 2)) {
    if (const auto found = data.find(command[1]); found != data.end()) {
      found->second = command[2];
    } else {
      data.emplace(command[1], command[2]);
    }
    out += "+OK\r\n";
  } else if (of("PING", 0, 1)) {
    if (count == 0) {
      out += "+PONG\r\n";
    } else {
      put_text(out, command[1]);
    }
  } else if (of("INCR", 1, 1)) {
    increment(data, command[1], out);
  } else if (of("DEL", 1, any)) {
    long long gone = 0;
    for (std::size_t i = 1; i <= count; ++i) {
      const auto found = data.find(command[i]);
      if (found == data.end()) continue;
      data.erase(found);
      ++gone;
    }
    put_number(out, ':', gone);
  } else if (of("EXISTS", 1, any)) {
    const auto there = std::count_if(command.begin() + 1, command.end(),
                                     [&](std::string_view key) { return data.contains(key); });
    put_number(out, ':', there);
  } else if (of("ECHO", 1, 1)) {
    put_text(out, command[1]);
  } else {
    out += "-ERR unknown command '" + std::string(name.substr(0, 128)) + "'\r\n";
  }
}

// ---- The server ---------------------------------------------------------------------------------

// [talk]
rondo::task<> talk(rondo::tcp_stream peer, database& data) {
  command_reader in;
  words command;
  std::string out;
  bool goes_on = true;
  while (goes_on) {
    const std::size_t n = co_await peer.read(in.room());
    in.came(n);
    if (n == 0) break;
    try {
      while (in.next(command)) {
        if (command.empty()) continue;
        try {
          carry_out(command, data, out);
        } catch (const std::invalid_argument& e) {
          out += "-ERR " + std::string(e.what()) + "\r\n";
        }
      }
    } catch (const protocol_error& e) {  // nobody knows where the next command begins
      out += "-ERR Protocol error: " + std::string(e.what()) + "\r\n";
      goes_on = false;
    }
    if (!out.empty()) co_await peer.write(out);  // one answer to everything that came at once
    out.clear();
  }
}
// [talk]

// A connection that a client drops is not worth a line.
rondo::task<> client(rondo::tcp_stream peer, database& data) {
  peer.set_no_delay(true);
  const auto end = co_await rondo::as_result(talk(std::move(peer), data));
  if (!end && end.error() != std::errc::connection_reset && end.error() != std::errc::broken_pipe) {
    std::rethrow_exception(end.exception());
  }
}

rondo::task<> demo(rondo::tcp_listener& listener) {
  database data;
  const auto server = rondo::spawn(rondo::serve(listener, client, {}, std::ref(data)));
  auto peer = co_await rondo::tcp_stream::connect(listener.local_endpoint());
  co_await peer.write(
      "PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$5\r\nhello\r\n*2\r\n$3\r\nGET\r\n$1\r\nx\r\n"
      "INCR n\r\nINCR n\r\nNONSENSE\r\n");
  peer.shutdown_write();
  std::string part(4096, '\0');
  for (;;) {
    const std::size_t n = co_await peer.read(part);
    if (n == 0) break;
    std::fwrite(part.data(), 1, n, stdout);
  }
}

int main(int argc, char** argv) {
  const bool demonstrate = argc == 2 && std::string_view(argv[1]) == "--demo";
  const auto port = static_cast<std::uint16_t>(argc == 2 ? std::atoi(argv[1]) : 6379);
  rondo::tcp_listener listener =
      rondo::tcp_listener::bind(rondo::endpoint::loopback(demonstrate ? 0 : port));
  if (demonstrate) return rondo::run_main(demo(listener));
  std::printf("listening on %s\n", rondo::to_string(listener.local_endpoint()).c_str());
  std::fflush(stdout);
  database data;
  return rondo::run_main(rondo::serve(listener, client, {}, std::ref(data)));
}

// SPDX-License-Identifier: BSL-1.0
//
// Several downloads at the same time, as with asyncio.gather and aiohttp.
//
//     ./fetch                     two JSON APIs of its own, each of which takes 200 ms to answer
//     200 http://127.0.0.1:40313/weather (202 ms)
//     {"celsius":7,"city":"Oslo"}
//     200 http://127.0.0.1:43607/prices (202 ms)
//     {"bread":3.5,"milk":1.2}
//     all in 203 ms
//
//     ./fetch [--timeout SECONDS] [--cacert FILE] [--verbose] URL...
//
// A URL that fails is one line on stderr, and the others go on; the exit status is 1 then. --cacert
// names the certificate authorities to trust, --verbose shows header fields, what took how long,
// and what the loop runs on.
//
// smoke:
// prints: ^200 http://127.0.0.1:\d+/weather \(2\d\d ms\)$
// prints: ^{"celsius":7,"city":"Oslo"}$
// prints: ^{"bread":3.5,"milk":1.2}$
// prints: ^all in 2[0-7]\d ms$

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <rondo/http.hpp>
#include <rondo/rondo.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
namespace http = rondo::http;

void show(const http::response& answer);

// [fetch]
rondo::task<> fetch_both(http::session& session, std::string first, std::string second) {
  auto [a, b] = co_await rondo::when_all(session.get(first), session.get(second));
  show(a.raise_for_status());
  show(b.raise_for_status());
}
// [fetch]

// Each keeps its error to itself, so that the others go on. Gives how many failed.
rondo::task<int> fetch_one(http::session& session, std::string url) {
  try {
    const http::response answer = co_await session.get(url);
    show(answer.raise_for_status());
    co_return 0;
  } catch (const http::error& e) {
    std::fprintf(stderr, "fetch: %s\n", e.what());
    co_return 1;
  }
}

rondo::task<int> fetch_all(http::session& session, std::vector<std::string> urls) {
  std::vector<rondo::task<int>> downloads;
  for (const std::string& url : urls) downloads.push_back(fetch_one(session, url));
  int failed = 0;
  for (const int one : co_await rondo::when_all(std::move(downloads))) failed += one;
  co_return failed;
}

// The APIs: a listener each, and a task for each connection.
rondo::task<> answer(rondo::tcp_stream peer, std::string json) {
  std::array<char, 4096> buffer;
  for (std::string request; request.find("\r\n\r\n") == request.npos;) {
    const std::size_t n = co_await peer.read(buffer);
    if (n == 0) co_return;
    request.append(buffer.data(), n);
  }
  co_await rondo::sleep_for(200ms);
  co_await peer.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                      std::to_string(json.size()) + "\r\nConnection: close\r\n\r\n" + json);
}

rondo::task<> serve(rondo::tcp_listener listener, std::string json) {
  for (;;) {
    rondo::tcp_stream peer = co_await listener.accept();
    rondo::spawn(answer(std::move(peer), json));
  }
}

std::string start_api(std::string json) {
  rondo::tcp_listener listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const std::string url = "http://" + rondo::to_string(listener.local_endpoint());
  rondo::spawn(serve(std::move(listener), std::move(json)));  // ends when the program does
  return url;
}

bool verbose = false;
long in_ms(std::chrono::nanoseconds time) { return static_cast<long>(time / 1ms); }

void show(const http::response& answer) {
  const http::request_timings& t = answer.timings;
  std::printf("%d %s (%ld ms)\n", answer.status, answer.url.c_str(), in_ms(t.total));
  if (verbose) {
    std::printf("  ms until: name %ld, connection %ld, TLS %ld, first byte %ld\n",
                in_ms(t.name_lookup), in_ms(t.connect), in_ms(t.tls), in_ms(t.first_byte));
    for (const auto& [name, value] : answer.headers) {
      std::printf("  %s: %s\n", name.c_str(), value.c_str());
    }
  }
  const auto json = nlohmann::json::parse(answer.text(), nullptr, false);
  const std::string text = json.is_discarded() ? answer.text().substr(0, 200) : json.dump();
  std::printf("%s\n", text.c_str());
}

rondo::task<int> fetch(http::session_options options, std::vector<std::string> urls) {
  const auto begin = std::chrono::steady_clock::now();
  if (verbose) {
    const std::string_view on = rondo::event_loop::current().backend_reason();
    std::printf("on %.*s\n", static_cast<int>(on.size()), on.data());
  }
  http::session session(std::move(options));
  int failed = 0;
  if (urls.empty()) {
    const std::string weather = start_api(R"({"city": "Oslo", "celsius": 7})") + "/weather";
    const std::string prices = start_api(R"({"bread": 3.5, "milk": 1.2})") + "/prices";
    co_await fetch_both(session, weather, prices);
  } else {
    failed = co_await fetch_all(session, std::move(urls));
  }
  std::printf("all in %ld ms\n", in_ms(std::chrono::steady_clock::now() - begin));
  co_return failed == 0 ? 0 : 1;
}

int main(int argc, char** argv) {
  http::session_options options;
  std::vector<std::string> urls;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--verbose") {
      verbose = true;
    } else if (word == "--cacert" && i + 1 < argc) {
      options.ca_file(argv[++i]);
    } else if (word == "--timeout" && i + 1 < argc && std::atof(argv[i + 1]) > 0) {
      options.timeout(std::chrono::milliseconds(static_cast<long>(std::atof(argv[++i]) * 1000)));
    } else if (word.starts_with("-")) {
      std::fputs("usage: fetch [--timeout SECONDS] [--cacert FILE] [--verbose] [URL...]\n", stderr);
      return 2;
    } else {
      urls.emplace_back(word);
    }
  }
  return rondo::run_main(fetch(std::move(options), std::move(urls)));
}

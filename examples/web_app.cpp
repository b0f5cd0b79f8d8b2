// SPDX-License-Identifier: BSL-1.0
//
// A JSON web application with a database behind it: notes, which are listed, added, shown and
// removed. One task a connection, and ten connections to the database for all of them. Whatever
// goes wrong is a status and an object that says it. Ctrl-C and SIGTERM end it; what was asked by
// then is answered.
//
//     ./web_app "host=/tmp user=postgres dbname=postgres" 8080
//     listening on 127.0.0.1:8080
//
//     $ curl -d '{"text": "buy milk"}' 127.0.0.1:8080/notes
//     {"id":1,"text":"buy milk"}
//     $ curl 127.0.0.1:8080/notes/2
//     {"error":"there is no note 2"}
//
// postgres_query.cpp tells how to start a database. Requests are parsed by Boost.Beast (headers
// alone; Debian: libboost-dev): it is well kept, every system has it, and it takes bytes from
// whoever has read them.

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <rondo/postgres.hpp>
#include <rondo/rondo.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

using namespace std::chrono_literals;
namespace http = boost::beast::http;
namespace postgres = rondo::postgres;
using nlohmann::json;
using request = http::request<http::string_body>;

struct response {
  http::status status = http::status::ok;
  json body = {};
  std::string headers = {};  // further ones, each with its line end
};

// To be given or thrown, whichever is at hand.
response problem(http::status status, const std::string& what, std::string headers = "") {
  return {status, {{"error", what}}, std::move(headers)};
}

// ---- The application ----------------------------------------------------------------------------

struct call {
  postgres::pool& db;
  const request& asked;
  std::int64_t id = 0;  // what stands for {id} in the path
};

json note(const postgres::row& row) {
  return {{"id", row.get<std::int64_t>("id")}, {"text", row.get<std::string>("text")}};
}
response no_note(std::int64_t id) {
  return problem(http::status::not_found, "there is no note " + std::to_string(id));
}

rondo::task<response> check_health(const call& c) {
  co_await c.db.query("select 1");
  co_return response{http::status::ok, {{"status", "ok"}}};
}
rondo::task<response> list_notes(const call& c) {
  json notes = json::array();
  const auto rows = co_await c.db.query("select id, text from notes order by id desc limit 100");
  for (const auto row : rows) notes.push_back(note(row));
  co_return response{http::status::ok, std::move(notes)};
}
rondo::task<response> add_note(const call& c) {
  const auto text = json::parse(c.asked.body()).at("text").get<std::string>();
  if (text.empty() || text.size() > 2000) {  // so that a list has a limit, too
    throw problem(http::status::bad_request, "'text' has no byte, or more than 2000");
  }
  const auto rows =
      co_await c.db.query("insert into notes (text) values ($1) returning id, text", text);
  const std::string place = "/notes/" + rows[0].get<std::string>("id");
  co_return response{http::status::created, note(rows[0]), "location: " + place + "\r\n"};
}
rondo::task<response> show_note(const call& c) {
  const auto rows = co_await c.db.query("select id, text from notes where id = $1", c.id);
  if (rows.empty()) throw no_note(c.id);
  co_return response{http::status::ok, note(rows[0])};
}
rondo::task<response> remove_note(const call& c) {
  const auto rows = co_await c.db.query("delete from notes where id = $1", c.id);
  if (rows.affected() == 0) throw no_note(c.id);
  co_return response{http::status::no_content};
}

struct route {
  http::verb verb;
  std::string_view path;
  rondo::task<response> (*handler)(const call&);
};
constexpr route routes[] = {
    {http::verb::get, "/health", check_health},
    {http::verb::get, "/notes", list_notes},
    {http::verb::post, "/notes", add_note},
    {http::verb::get, "/notes/{id}", show_note},
    {http::verb::delete_, "/notes/{id}", remove_note},
};

// ---- From a request to its response -------------------------------------------------------------

bool matches(std::string_view path, std::string_view pattern, std::int64_t& id) {
  const std::size_t place = pattern.find("{id}");
  if (path.substr(0, place) != pattern.substr(0, place)) return false;
  if (place == std::string_view::npos) return true;
  const char* const end = path.data() + path.size();
  const auto [rest, error] = std::from_chars(path.data() + place, end, id);
  return error == std::errc() && rest == end;
}

const route& route_of(http::verb verb, const std::string& path, std::int64_t& id) {
  std::string allowed;
  for (const route& r : routes) {
    if (!matches(path, r.path, id)) continue;
    if (r.verb == verb || (r.verb == http::verb::get && verb == http::verb::head)) return r;
    allowed += (allowed.empty() ? "allow: " : ", ") + std::string(http::to_string(r.verb));
    if (r.verb == http::verb::get) allowed += ", HEAD";
  }
  if (allowed.empty()) throw problem(http::status::not_found, "there is nothing at " + path);
  throw problem(http::status::method_not_allowed, "this method is not for " + path,
                allowed + "\r\n");
}

bool is_lost(const std::exception& e) {
  const auto* const error = dynamic_cast<const postgres::error*>(&e);
  return error != nullptr && (error->kind() == postgres::error_kind::connect_failed ||
                              error->kind() == postgres::error_kind::connection_lost);
}

rondo::task<response> respond(const request& asked, postgres::pool& db) {
  try {
    call c{db, asked};
    const std::string path(asked.target().substr(0, asked.target().find('?')));
    const route& r = route_of(asked.method(), path, c.id);
    co_return co_await rondo::with_timeout(5s, r.handler(c));  // to wait for the database, too
  } catch (const response& r) {
    co_return r;
  } catch (const json::exception& e) {
    co_return problem(http::status::bad_request, e.what());
  } catch (const std::invalid_argument& e) {  // PostgreSQL has no zero bytes in its texts
    co_return problem(http::status::bad_request, e.what());
  } catch (const rondo::timeout_error&) {  // what was asked of it may have been done
    co_return problem(http::status::gateway_timeout, "the database did not answer in time");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", std::string(asked.target()).c_str(), e.what());
    if (is_lost(e)) co_return problem(http::status::service_unavailable, "no database");
    co_return problem(http::status::internal_server_error, "internal error");
  }
}

std::string text_of(const response& r, bool keep_alive, bool with_body = true) {
  char date[64];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  std::strftime(date, sizeof date, "date: %a, %d %b %Y %T GMT\r\n", ::gmtime_r(&now, &utc));
  std::string text = "HTTP/1.1 " + std::to_string(static_cast<int>(r.status)) + ' ' +
                     std::string(http::obsolete_reason(r.status)) + "\r\n" + date + r.headers +
                     (keep_alive ? "connection: keep-alive\r\n" : "connection: close\r\n");
  if (r.status == http::status::no_content) return text + "\r\n";
  const std::string body = r.body.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
  text += "content-type: application/json\r\ncontent-length: " + std::to_string(body.size());
  return text + "\r\n\r\n" + (with_body ? body : "");
}

// ---- The connections ----------------------------------------------------------------------------

http::status status_of(boost::system::error_code error) {
  if (error == http::error::body_limit) return http::status::payload_too_large;
  if (error == http::error::header_limit) return http::status::request_header_fields_too_large;
  return http::status::bad_request;
}

// Nothing when the client is done. What has come behind the request stays in `unread`.
rondo::task<std::optional<request>> next_request(rondo::tcp_stream& peer, std::string& unread) {
  http::request_parser<http::string_body> parser;
  parser.eager(true);  // the body as well
  parser.body_limit(64 * 1024);
  std::array<char, 4096> part;
  for (;;) {
    boost::system::error_code error;
    if (!unread.empty()) unread.erase(0, parser.put(boost::asio::buffer(unread), error));
    if (parser.is_done()) co_return parser.release();
    if (error && error != http::error::need_more) throw problem(status_of(error), error.message());
    const std::size_t n = co_await peer.read(part);
    if (n == 0) co_return std::nullopt;
    unread.append(part.data(), n);
  }
}

rondo::task<> talk(rondo::tcp_stream& peer, postgres::pool& db) {
  std::string unread;
  for (bool keep_alive = true; keep_alive;) {
    const auto asked = co_await rondo::with_timeout(1min, next_request(peer, unread));
    if (!asked) break;
    // Ctrl-C ends it above, and not before the answer below is there and sent, or its limit is
    // over.
    const response r = co_await rondo::shield(respond(*asked, db));
    keep_alive = asked->keep_alive();
    const std::string text = text_of(r, keep_alive, asked->method() != http::verb::head);
    co_await rondo::shield(rondo::with_timeout(10s, peer.write(text)));
  }
}

// A close with bytes unread resets the connection, and the client may lose the answer: so all that
// it still sends is read.
rondo::task<> refuse(rondo::tcp_stream& peer, std::string text) {
  co_await peer.write(text);
  peer.shutdown_write();
  std::array<char, 4096> rest;
  for (std::size_t n = 1; n != 0;) n = co_await peer.read(rest);
}

rondo::task<> client(rondo::tcp_stream peer, postgres::pool& db) {
  std::string refusal;
  try {
    peer.set_no_delay(true);
    co_await talk(peer, db);
  } catch (const response& r) {  // nobody knows where the next request begins
    refusal = text_of(r, false);
  } catch (const std::system_error& e) {  // one that has gone, or is too slow, is not worth a line
    if (e.code() != std::errc::connection_reset && e.code() != std::errc::broken_pipe &&
        e.code() != std::errc::timed_out) {
      throw;
    }
  }
  if (refusal.empty()) co_return;
  static_cast<void>(co_await rondo::as_result(rondo::try_for(2s, refuse(peer, refusal))));
}

rondo::task<> until_told_to_end(rondo::tcp_listener& listener) {
  auto ends = rondo::signals({SIGINT, SIGTERM});
  co_await ends.next();
  co_await listener.close();  // who comes now is refused, and goes elsewhere
}

rondo::task<> serve_notes(std::string conninfo, std::uint16_t port) {
  postgres::pool db(conninfo);
  try {
    co_await db.query(
        "create table if not exists notes (text text not null, "
        "id bigint generated always as identity primary key)");
  } catch (const postgres::error& e) {
    if (e.kind() != postgres::error_kind::connect_failed) throw;
    throw std::runtime_error(
        std::string(e.what()) +
        "\nSay where the database is: ./web_app "
        "\"host=/tmp user=postgres dbname=postgres\", or set PGHOST, PGUSER and PGDATABASE");
  }
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(port));
  std::printf("listening on %s\n", rondo::to_string(listener.local_endpoint()).c_str());
  std::fflush(stdout);
  co_await rondo::when_any(rondo::serve(listener, client, {.max_connections = 500}, std::ref(db)),
                           until_told_to_end(listener));
}

int main(int argc, char** argv) {
  const auto port = static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 8080);
  return rondo::run_main(serve_notes(argc > 1 ? argv[1] : "", port));  // "": what PGHOST, ... say
}

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// tls_stream: an encrypted stream over another one, which is read and written like any other.
//
//     auto peer = co_await rondo::tls_stream<rondo::tcp_stream>::client(context, std::move(plain),
//                                                                      "example.org");
//     auto peer = co_await rondo::tls_stream<rondo::tcp_stream>::server(context, std::move(plain));
//
// One read and one write may be in flight at the same time, as on a socket.

#include <chrono>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <rondo/compose/as_result.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/compose/when_any.hpp>
#include <rondo/core/pass.hpp>
#include <rondo/core/task.hpp>
#include <rondo/io/async_stream.hpp>
#include <rondo/io/buffer.hpp>
#include <rondo/sync/mutex.hpp>
#include <rondo/time/timeout.hpp>
#include <rondo/tls/engine.hpp>

namespace rondo {

/// Stream: the type of the stream beneath, which it owns, or a reference to one, which is kept
/// alive. Keep the tls_stream where it is while something is in flight on it. If it has no
/// `write_some`, a write of its that fails or is canceled leaves nothing to go on with: tls_error.
///
/// Throws, everywhere: tls_error; what the stream beneath throws; unexpected_eof when that ends and
/// the peer had not said so, which somebody between the two may have done.
/// Thread: the loop's.
template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
class tls_stream {
 public:
  /// Agrees with a server, on a stream that is new or in the middle of a conversation (STARTTLS).
  /// Throws: tls_error, when the certificate is not trusted or is not for `host` (a name, or an
  /// address), for example. Canceled: the stream is closed.
  [[nodiscard]] static task<tls_stream> client(tls_context context, Stream stream,
                                               std::string host) {
    return agree({std::forward<Stream>(stream), context, detail::tls_engine::role::client, host});
  }
  /// Agrees with a client.
  [[nodiscard]] static task<tls_stream> server(tls_context context, Stream stream) {
    return agree({std::forward<Stream>(stream), context, detail::tls_engine::role::server, {}});
  }

  tls_stream(tls_stream&& other) noexcept
      : stream_(std::forward<Stream>(other.stream_)),
        engine_(std::move(other.engine_)),
        heard_(other.heard_),
        closed_(other.closed_) {}
  tls_stream& operator=(tls_stream&& other) noexcept
    requires(!std::is_reference_v<Stream>)
  {
    stream_ = std::move(other.stream_);
    engine_ = std::move(other.engine_);
    heard_ = other.heard_;
    closed_ = other.closed_;
    return *this;
  }

  /// Reads what there is, at least one byte; 0 at the end. Keep alive: the buffer. Canceled:
  /// nothing is lost.
  task<std::size_t> read(mutable_buffer to) &;
  /// Fills the buffer. Throws: unexpected_eof, which knows how much came before the end. Canceled
  /// half-way: how much came is lost.
  task<> read_exactly(mutable_buffer to) &;

  /// Writes everything. Keep alive: the buffer, unless it is given away (an rvalue string or
  /// vector). Canceled half-way: how much was taken is lost; what was taken goes before the next.
  template <detail::source_of_bytes B>
  task<> write(B&& from) & {
    return write_all(detail::source<B>(std::forward<B>(from)));
  }

  /// Takes at least one byte and gives how many, when they have gone. Canceled, or failed: nothing
  /// was taken; or some were, which go before the next, and it gives how many all the same.
  template <detail::source_of_bytes B>
  task<std::size_t> write_some(B&& from) & {
    return write_part(detail::source<B>(std::forward<B>(from)));
  }
  /// Returns when everything that was taken has gone: what a canceled write has left.
  task<> flush() &;

  /// Tells the peer that nothing more will come; it reads 0. Reading goes on; a later write throws
  /// std::system_error with EPIPE, as on a socket.
  task<> shutdown_write() &;
  /// Tells the peer that nothing more will come, if it takes that within a second, and closes the
  /// stream. What is in flight ends with errc::closed.
  /// Canceled: no; what gives back is not canceled.
  auto close() & { return shield(end_and_close()); }

  /// What was agreed on by ALPN, such as "h2"; empty if nothing was.
  [[nodiscard]] std::string_view protocol() const noexcept { return engine_.protocol(); }
  /// Whether an earlier session was resumed.
  [[nodiscard]] bool resumed() const noexcept {
    return ::SSL_session_reused(engine_.native_handle()) == 1;
  }
  /// The stream beneath.
  [[nodiscard]] std::remove_reference_t<Stream>& stream() noexcept { return stream_; }
  /// For everything else that OpenSSL can be asked. Not for reading and writing.
  [[nodiscard]] ::SSL* native_handle() const noexcept { return engine_.native_handle(); }

 private:
  tls_stream(Stream&& stream, const tls_context& context, detail::tls_engine::role role,
             const std::string& host)
      : stream_(std::forward<Stream>(stream)), engine_(context, role, host) {}

  static task<tls_stream> agree(tls_stream made);
  template <typename Source>
  task<> write_all(Source from);
  template <typename Source>
  task<std::size_t> write_part(Source from);
  task<std::size_t> take_some(const_buffer from);
  task<> end_and_close();
  task<> refill();
  task<> hear();
  [[nodiscard]] bool others_write() noexcept { return !leaving_.try_lock().has_value(); }
  void check_open() const {
    if (closed_) throw std::system_error(make_error_code(errc::closed), "TLS");
  }

  static constexpr bool can_write_some =
      requires(std::remove_reference_t<Stream>& s, const_buffer from) { s.write_some(from); };

  Stream stream_;
  detail::tls_engine engine_;
  mutex leaving_;         // who hands bytes to the stream beneath
  bool heard_ = false;    // something has come since the handshake
  bool reading_ = false;  // somebody waits for the stream beneath
  bool closed_ = false;
};

/// Agrees with a server on a stream that is in use: tls_stream::client, for those who do not want to
/// name the type.
template <typename Stream>
[[nodiscard]] task<tls_stream<Stream>> start_tls(tls_context context, Stream stream,
                                                 std::string host) {
  return tls_stream<Stream>::client(std::move(context), std::move(stream), std::move(host));
}

// Implementation

template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
task<tls_stream<Stream>> tls_stream<Stream>::agree(tls_stream made) {
  using detail::tls_step;
  std::exception_ptr failure;
  try {
    for (tls_step next{}; (next = made.engine_.handshake()) != tls_step::done;) {
      co_await made.flush();
      if (next == tls_step::wants_input) co_await made.refill();
    }
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {  // the peer is told why, if it listens
    co_await as_result(try_for(std::chrono::seconds(1), made.flush()));
    std::rethrow_exception(failure);
  }
  co_await made.flush();
  made.heard_ = false;
  co_return std::move(made);
}

/// Lets bytes arrive: at least one, or the end.
template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
task<> tls_stream<Stream>::refill() {
  struct reading {
    explicit reading(bool& f) noexcept : flag(f) { flag = true; }
    reading(const reading&) = delete;
    reading& operator=(const reading&) = delete;
    ~reading() { flag = false; }
    bool& flag;
  };
  check_open();
  const reading now(reading_);
  const std::size_t came = co_await stream_.read(engine_.room_to_arrive());
  engine_.has_arrived(came);
  heard_ = true;
}

/// Lets all bytes leave that are there. What is canceled half-way is gone on with by the next one.
template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
task<> tls_stream<Stream>::flush() & {
  co_await detail::pass();
  if (engine_.leaving().size() == 0) co_return;
  const auto mine = co_await leaving_.lock();
  for (const_buffer bytes; (bytes = engine_.leaving()).size() != 0;) {
    check_open();
    if constexpr (can_write_some) {
      const std::size_t gone = co_await stream_.write_some(bytes);
      engine_.has_left(gone);
    } else {
      try {
        co_await stream_.write(bytes);
      } catch (...) {
        engine_.give_up();  // how much has left?
        throw;
      }
      engine_.has_left(bytes.size());
    }
  }
}

/// The peer may wait for what has not left before it sends more, or take nothing before what it
/// sends has been read: whichever goes on first. Who is canceled then has lost no byte.
template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
task<> tls_stream<Stream>::hear() {
  if (engine_.leaving().size() != 0) {
    if constexpr (can_write_some) {
      co_await when_any(flush(), refill());
      co_return;
    }
    // A write that is canceled does not say how far it came, so it is not left half-way.
    if (!others_write()) co_await flush();
  }
  co_await refill();
}

template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
task<std::size_t> tls_stream<Stream>::read(mutable_buffer to) & {
  using detail::tls_step;
  co_await detail::pass();
  if (to.size() == 0) co_return 0;
  for (std::size_t count = 0;;) {
    switch (engine_.read(to, count)) {
      case tls_step::done:
        co_return count;
      case tls_step::ended:
        co_return 0;
      case tls_step::wants_input:
        co_await hear();
        break;
      case tls_step::wants_output:
        co_await flush();
        break;
    }
  }
}

template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
task<> tls_stream<Stream>::read_exactly(mutable_buffer to) & {
  std::size_t done = 0;
  try {
    while (done != to.size()) {
      const std::size_t count = co_await read(to.after(done));
      if (count == 0) break;
      done += count;
    }
  } catch (const unexpected_eof&) {  // that of a read, which does not know what came before
  }
  if (done != to.size()) throw unexpected_eof(done);
}

/// At least one byte, when there is room for them.
template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
task<std::size_t> tls_stream<Stream>::take_some(const_buffer from) {
  using detail::tls_step;
  for (std::size_t count = 0;;) {
    const tls_step next = engine_.write(from, count);
    if (next == tls_step::done) co_return count;
    if (next == tls_step::wants_input) co_await refill();
    if (next == tls_step::wants_output) co_await flush();
  }
}

template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
template <typename Source>
task<> tls_stream<Stream>::write_all(Source from) {
  co_await detail::pass();
  for (const_buffer rest = from; rest.size() != 0;) {
    const std::size_t count = co_await take_some(rest);
    rest = rest.after(count);
  }
  co_await flush();
}

template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
template <typename Source>
task<std::size_t> tls_stream<Stream>::write_part(Source from) {
  co_await detail::pass();
  const const_buffer bytes = from;
  if (bytes.size() == 0) co_return 0;
  const std::size_t count = co_await take_some(bytes);
  try {
    co_await flush();
  } catch (...) {  // taken is taken; what does not pass is met again by the next
  }
  co_return count;
}

template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
task<> tls_stream<Stream>::shutdown_write() & {
  co_await detail::pass();
  engine_.end_output();
  co_await flush();
}

template <typename Stream>
  requires async_reader<Stream> && async_writer<Stream>
task<> tls_stream<Stream>::end_and_close() {
  constexpr std::chrono::seconds patience{1};
  if (!others_write()) {
    engine_.end_output();
    co_await as_result(try_for(patience, flush()));
    // A socket that is closed with bytes in it that nobody has read drops what is on its way out.
    const bool unread = !heard_ && !reading_ && engine_.expects_tickets();
    if (unread) co_await as_result(try_for(patience, refill()));
  }
  closed_ = true;
  if constexpr (requires { stream_.close(); }) co_await stream_.close();
}

}  // namespace rondo

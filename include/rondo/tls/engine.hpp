// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// OpenSSL, kept away from the socket. It reads and writes a pair of rings in memory; whoever uses
// the engine (tls/stream.hpp) carries the bytes between them and the stream beneath, when and as far
// as it likes. So OpenSSL never blocks, and what was carried half-way is not lost.
//
//     plain text  <->  OpenSSL  <->  rings: arriving, leaving  <->  the stream beneath

#include <algorithm>
#include <arpa/inet.h>
#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <rondo/core/error.hpp>
#include <rondo/io/buffer.hpp>
#include <rondo/tls/context.hpp>
#include <rondo/tls/error.hpp>

namespace rondo::detail {

/// What OpenSSL says when it is asked to go on.
enum class tls_step {
  done,
  wants_input,   // more bytes have to arrive first
  wants_output,  // room has to be made: bytes have to leave first
  ended,         // the peer has said that no more will come
};

class tls_engine {
 public:
  enum class role : bool { client, server };

  tls_engine(const tls_context& context, role r, const std::string& host)
      : shared_(context.shared_), host_(host) {
    ::ERR_clear_error();
    ssl_.reset(::SSL_new(context.native_handle()));
    ::BIO* inside = nullptr;
    ::BIO* outside = nullptr;
    if (!ssl_ || ::BIO_new_bio_pair(&inside, leaving_size, &outside, arriving_size) != 1) {
      throw_tls_error("a TLS connection");
    }
    ::SSL_set_bio(ssl_.get(), inside, inside);
    rings_.reset(outside);
    if (r == role::server) {
      ::SSL_set_accept_state(ssl_.get());
    } else {
      ::SSL_set_connect_state(ssl_.get());
      prepare_client(context.verify_);
    }
  }
  tls_engine(tls_engine&& other) noexcept
      : shared_(std::move(other.shared_)),
        host_(std::move(other.host_)),
        ssl_(std::move(other.ssl_)),
        rings_(std::move(other.rings_)),
        code_(other.code_),
        state_(other.state_) {}
  tls_engine& operator=(tls_engine&& other) noexcept {
    std::swap(shared_, other.shared_);
    std::swap(host_, other.host_);
    std::swap(ssl_, other.ssl_);
    std::swap(rings_, other.rings_);
    std::swap(code_, other.code_);
    std::swap(state_, other.state_);
    return *this;
  }
  ~tls_engine() = default;

  // Each throws tls_error, after which nothing works any more; or unexpected_eof; `write` also
  // std::system_error.

  tls_step handshake() {
    ready("TLS handshake");
    return step(::SSL_do_handshake(ssl_.get()), "TLS handshake");
  }
  /// Done: `count` bytes of plain text, at least one.
  tls_step read(mutable_buffer to, std::size_t& count) {
    ready("TLS read");
    return step(::SSL_read_ex(ssl_.get(), to.data(), to.size(), &count), "TLS read");
  }
  /// Done: `count` bytes were taken, at least one. Otherwise none were: OpenSSL would insist on
  /// getting the same bytes again, so it is only asked when there is room for a whole record.
  tls_step write(const_buffer from, std::size_t& count) {
    ready("TLS write");
    if (has_ended_output()) {  // as a socket says it; reading goes on
      throw std::system_error(std::make_error_code(std::errc::broken_pipe),
                              "TLS write after shutdown_write");
    }
    const std::size_t size = std::min<std::size_t>(from.size(), SSL3_RT_MAX_PLAIN_LENGTH);
    const std::size_t room = ::BIO_ctrl_get_write_guarantee(::SSL_get_wbio(ssl_.get()));
    if (room < size + most_around) return tls_step::wants_output;
    return step(::SSL_write_ex(ssl_.get(), from.data(), size, &count), "TLS write");
  }
  /// Says that no more will be written, once: asked again, OpenSSL would look for the peer's end.
  void end_output() noexcept {
    if (state_ != state::fine || !ssl_ || ::SSL_is_init_finished(ssl_.get()) != 1) return;
    if (has_ended_output()) return;
    ::SSL_shutdown(ssl_.get());
    ::ERR_clear_error();
  }

  /// Nobody knows how much has left, so nothing works any more.
  void give_up() noexcept {
    code_ = std::make_error_code(std::errc::io_error);
    state_ = state::failed;
  }

  // The rings, on the stream's side. Their memory stays where it is.

  [[nodiscard]] const_buffer leaving() const noexcept {
    char* bytes = nullptr;
    const int size = ::BIO_nread0(rings_.get(), &bytes);
    return size > 0 ? const_buffer(bytes, static_cast<std::size_t>(size)) : const_buffer();
  }
  void has_left(std::size_t count) noexcept {
    char* bytes = nullptr;
    ::BIO_nread(rings_.get(), &bytes, static_cast<int>(count));
  }
  [[nodiscard]] mutable_buffer room_to_arrive() const noexcept {
    char* bytes = nullptr;
    const int size = ::BIO_nwrite0(rings_.get(), &bytes);
    return size > 0 ? mutable_buffer(bytes, static_cast<std::size_t>(size)) : mutable_buffer();
  }
  /// 0: the stream has ended.
  void has_arrived(std::size_t count) noexcept {
    char* bytes = nullptr;
    if (count == 0) {
      BIO_shutdown_wr(rings_.get());
    } else {
      ::BIO_nwrite(rings_.get(), &bytes, static_cast<int>(count));
    }
  }

  /// A server of TLS 1.3 sends session tickets when the handshake is over for the client already.
  [[nodiscard]] bool expects_tickets() const noexcept {
    return state_ == state::fine && ::SSL_is_server(ssl_.get()) == 0 &&
           ::SSL_version(ssl_.get()) >= TLS1_3_VERSION;
  }
  [[nodiscard]] std::string_view protocol() const noexcept {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    ::SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  [[nodiscard]] ::SSL* native_handle() const noexcept { return ssl_.get(); }

 private:
  // A record of 16 KiB and what is around it; two of them are handed to the stream at once.
  static constexpr std::size_t most_around = 512;
  static constexpr std::size_t arriving_size = SSL3_RT_MAX_PLAIN_LENGTH + most_around;
  static constexpr std::size_t leaving_size = 2 * arriving_size;

  [[nodiscard]] bool has_ended_output() const noexcept {
    return (::SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) != 0;
  }

  void prepare_client(bool verify) {
    if (host_.find('\0') != host_.npos) {
      throw std::invalid_argument("rondo: the name of a host cannot contain a zero byte");
    }
    ::SSL* const s = ssl_.get();
    ::SSL_set_verify(s, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    unsigned char address[sizeof(in6_addr)];
    const bool is_address = ::inet_pton(AF_INET, host_.c_str(), address) == 1 ||
                            ::inet_pton(AF_INET6, host_.c_str(), address) == 1;
    bool right = true;
    if (is_address) {
      right = ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(s), host_.c_str()) == 1;
    } else if (!host_.empty()) {
      ::SSL_set_hostflags(s, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      right = ::SSL_set1_host(s, host_.c_str()) == 1 &&
              SSL_set_tlsext_host_name(s, host_.c_str()) == 1;
    } else if (verify) {
      throw std::invalid_argument("rondo: a TLS client needs the name of the host to verify");
    }
    if (!right) throw_tls_error("the host name " + host_);
    if (const ssl_session_ptr known = shared_->sessions.take(host_)) {
      ::SSL_set_session(s, known.get());
    }
  }

  tls_step step(int result, const char* what) {
    if (result == 1) return tls_step::done;
    switch (::SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        return tls_step::wants_input;
      case SSL_ERROR_WANT_WRITE:
        return tls_step::wants_output;
      case SSL_ERROR_ZERO_RETURN:
        return tls_step::ended;
      default:
        fail(what);
    }
  }
  void ready(const char* what) {
    ::ERR_clear_error();
    if (state_ == state::cut_off) throw unexpected_eof(0);
    if (state_ == state::failed) throw tls_error(code_, std::string(what) + ": it failed before");
  }
  [[noreturn]] void fail(const char* what) {
    code_ = take_tls_code();
    if (was_cut_off(code_)) {
      state_ = state::cut_off;
      throw unexpected_eof(0);
    }
    state_ = state::failed;
    std::string words = what;
    if (!host_.empty()) words += " with " + host_;
    const bool asked = ::SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE;
    const long verdict = asked ? ::SSL_get_verify_result(ssl_.get()) : X509_V_OK;
    if (verdict != X509_V_OK) {
      words += std::string(": ") + ::X509_verify_cert_error_string(verdict);
    }
    throw tls_error(code_, words, verdict);
  }
  /// The stream beneath ended, and the peer had not said that it would.
  [[nodiscard]] static bool was_cut_off(std::error_code code) noexcept {
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING  // from OpenSSL 3 on
    const auto reason = ERR_GET_REASON(static_cast<unsigned long>(code.value()));
    return reason == SSL_R_UNEXPECTED_EOF_WHILE_READING;
#else
    return code.value() == 0;
#endif
  }

  enum class state : unsigned char { fine, cut_off, failed };

  std::shared_ptr<tls_shared> shared_;
  std::string host_;  // of a client
  std::unique_ptr<::SSL, freed_by<&::SSL_free>> ssl_;
  std::unique_ptr<::BIO, freed_by<&::BIO_free>> rings_;
  std::error_code code_;
  state state_ = state::fine;
};

}  // namespace rondo::detail

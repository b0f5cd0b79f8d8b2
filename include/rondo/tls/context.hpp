// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// tls_context: whom a program trusts, who it says that it is, and what it wants to speak. Made once,
// used for all connections.
//
//     rondo::tls_context client;                                    // trusts what the system trusts
//     auto server = rondo::tls_context().certificate("chain.pem", "key.pem").alpn({"h2", "http/1.1"});
//
// Defaults: TLS 1.2 or newer, and a client verifies the server's certificate and name. Sessions are
// resumed: a client keeps the last one of each host that it has verified, if the connection was
// closed in order.

#include <concepts>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <openssl/ssl.h>

#include <rondo/tls/error.hpp>

namespace rondo {

class tls_context;

namespace detail {

template <auto Free>
struct freed_by {
  template <typename T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using ssl_context_ptr = std::unique_ptr<::SSL_CTX, freed_by<&::SSL_CTX_free>>;
using ssl_session_ptr = std::unique_ptr<::SSL_SESSION, freed_by<&::SSL_SESSION_free>>;

/// The last session of each host, for clients. Thread: any.
class tls_session_cache {
 public:
  void put(const std::string& host, ssl_session_ptr session) {
    const std::lock_guard lock(mutex_);
    if (sessions_.size() >= most_ && sessions_.find(host) == sessions_.end()) {
      sessions_.erase(sessions_.begin());
    }
    sessions_[host] = std::move(session);
  }
  /// Those of TLS 1.3 are used once, as RFC 8446 (C.4) asks, so that nobody can tell that two
  /// connections are related; each connection brings new ones. Those of TLS 1.2 are used again.
  [[nodiscard]] ssl_session_ptr take(const std::string& host) {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(host);
    if (found == sessions_.end()) return nullptr;
    if (::SSL_SESSION_get_protocol_version(found->second.get()) < TLS1_3_VERSION) {
      ::SSL_SESSION_up_ref(found->second.get());
      return ssl_session_ptr(found->second.get());
    }
    ssl_session_ptr session = std::move(found->second);
    sessions_.erase(found);
    return session;
  }

 private:
  static constexpr std::size_t most_ = 256;
  std::mutex mutex_;
  std::map<std::string, ssl_session_ptr> sessions_;
};

/// What all copies of a context share, and what OpenSSL's callbacks find.
struct tls_shared {
  ssl_context_ptr context;
  std::string protocols;  // for ALPN, as they go over the wire
  tls_session_cache sessions;
};

class tls_engine;

}  // namespace detail

/// Protocols, as ALPN names them: {"h2", "http/1.1"}. Throws: std::invalid_argument for a name that
/// has not 1 to 255 bytes.
class protocol_list {
 public:
  template <typename... Names>
    requires(sizeof...(Names) > 0 && (std::convertible_to<Names, std::string_view> && ...))
  protocol_list(const Names&... names) {
    (add(names), ...);
  }
  void add(std::string_view name) {
    if (name.empty() || name.size() > 255) {
      throw std::invalid_argument("rondo: the name of a protocol has 1 to 255 bytes");
    }
    wire_ += static_cast<char>(name.size());
    wire_ += name;
  }

 private:
  friend tls_context;
  std::string wire_;  // as it is sent: each name after its length
};

/// The setters may be chained. All but the first use of a context: from one thread, before it is
/// shared; afterwards it does not change, and any thread may use it. Copies share it.
/// Throws, in the setters: tls_error that names the file.
class tls_context {
 public:
  tls_context();

  /// Who this side is: the file of its certificate and those between it and a root, and the file of
  /// its private key, both PEM.
  tls_context& certificate(const std::string& chain_file, const std::string& key_file);
  /// Trusts the certificates in a PEM file, and no longer the system's.
  tls_context& ca_file(const std::string& file);
  /// The protocols to offer, best first. A server that has none of a client's refuses it.
  tls_context& alpn(protocol_list protocols);
  /// Off: a client takes any certificate. For tests, and for nothing else.
  tls_context& verify(bool on);
  /// A server wants to see a certificate of the client, of somebody whom ca_file trusts.
  tls_context& require_client_certificate();
  /// Such as TLS1_3_VERSION. The default is TLS1_2_VERSION.
  tls_context& min_version(int version);

  /// For everything else that OpenSSL can be told.
  [[nodiscard]] ::SSL_CTX* native_handle() const noexcept { return shared_->context.get(); }

 private:
  friend detail::tls_engine;
  static int select_protocol(::SSL*, const unsigned char** out, unsigned char* out_size,
                             const unsigned char* in, unsigned in_size, void* shared) noexcept;
  static int keep_session(::SSL* connection, ::SSL_SESSION* session) noexcept;

  std::shared_ptr<detail::tls_shared> shared_ = std::make_shared<detail::tls_shared>();
  bool verify_ = true;
};

// Implementation

inline tls_context::tls_context() {
  ::ERR_clear_error();
  shared_->context.reset(::SSL_CTX_new(::TLS_method()));
  ::SSL_CTX* const c = native_handle();
  if (c == nullptr) detail::throw_tls_error("SSL_CTX_new");
  ::SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(
      c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_app_data(c, shared_.get());
  ::SSL_CTX_sess_set_new_cb(c, &tls_context::keep_session);
  constexpr unsigned char name[] = "rondo";  // resuming with client certificates needs one
  ::SSL_CTX_set_session_id_context(c, name, sizeof name - 1);
  ::SSL_CTX_set_default_verify_paths(c);
  min_version(TLS1_2_VERSION);
  ::ERR_clear_error();
}

inline tls_context& tls_context::certificate(const std::string& chain_file,
                                             const std::string& key_file) {
  ::ERR_clear_error();
  if (::SSL_CTX_use_certificate_chain_file(native_handle(), chain_file.c_str()) != 1) {
    detail::throw_tls_error("the certificate " + chain_file);
  }
  if (::SSL_CTX_use_PrivateKey_file(native_handle(), key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      ::SSL_CTX_check_private_key(native_handle()) != 1) {
    detail::throw_tls_error("the private key " + key_file);
  }
  return *this;
}

inline tls_context& tls_context::ca_file(const std::string& file) {
  ::ERR_clear_error();
  ::SSL_CTX_set_cert_store(native_handle(), ::X509_STORE_new());
  if (::SSL_CTX_load_verify_locations(native_handle(), file.c_str(), nullptr) != 1) {
    detail::throw_tls_error("the certificates in " + file);
  }
  // A server tells its clients whose certificates it would take.
  ::SSL_CTX_set_client_CA_list(native_handle(), ::SSL_load_client_CA_file(file.c_str()));
  return *this;
}

inline tls_context& tls_context::alpn(protocol_list protocols) {
  std::string& wire = shared_->protocols;
  wire = std::move(protocols.wire_);
  ::SSL_CTX* const c = native_handle();
  const auto* const bytes = reinterpret_cast<const unsigned char*>(wire.data());
  if (::SSL_CTX_set_alpn_protos(c, bytes, static_cast<unsigned>(wire.size())) != 0) {
    throw std::bad_alloc();
  }
  ::SSL_CTX_set_alpn_select_cb(c, &tls_context::select_protocol, shared_.get());
  return *this;
}

inline int tls_context::select_protocol(::SSL*, const unsigned char** out, unsigned char* out_size,
                                        const unsigned char* in, unsigned in_size,
                                        void* shared) noexcept {
  const std::string& mine = static_cast<detail::tls_shared*>(shared)->protocols;
  unsigned char* chosen = nullptr;
  const int found = ::SSL_select_next_proto(
      &chosen, out_size, reinterpret_cast<const unsigned char*>(mine.data()),
      static_cast<unsigned>(mine.size()), in, in_size);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// Servers send the client what they have to remember. A session of a server that was not verified
/// is not kept: who resumes it is not shown a certificate.
/// Gives 0: OpenSSL keeps its own reference.
inline int tls_context::keep_session(::SSL* connection, ::SSL_SESSION* session) noexcept {
  if ((::SSL_get_verify_mode(connection) & SSL_VERIFY_PEER) == 0) return 0;
  const char* const host = ::SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
  if (::SSL_is_server(connection) == 1 || host == nullptr) return 0;
  auto& shared = *static_cast<detail::tls_shared*>(
      SSL_CTX_get_app_data(::SSL_get_SSL_CTX(connection)));
  ::SSL_SESSION_up_ref(session);
  detail::ssl_session_ptr mine(session);
  try {
    shared.sessions.put(host, std::move(mine));
  } catch (const std::bad_alloc&) {  // then it is not resumed
  }
  return 0;
}

inline tls_context& tls_context::verify(bool on) {
  verify_ = on;
  return *this;
}

inline tls_context& tls_context::require_client_certificate() {
  ::SSL_CTX_set_verify(native_handle(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return *this;
}

inline tls_context& tls_context::min_version(int version) {
  if (SSL_CTX_set_min_proto_version(native_handle(), version) != 1) {
    detail::throw_tls_error("the TLS version");
  }
  return *this;
}

}  // namespace rondo

// SPDX-License-Identifier: BSL-1.0
#pragma once

// Certificates that the tests make for themselves, once a process, with the openssl program.

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "support/loop_test.hpp"

namespace rondo::test {

class certificates {
 public:
  static const certificates& get() {
    static const certificates all;
    return all;
  }

  // An authority, a server of that authority for localhost and 127.0.0.1, a client, and an authority
  // that has nothing to do with them.
  [[nodiscard]] std::string ca() const { return folder_ / "ca.pem"; }
  [[nodiscard]] std::string server() const { return folder_ / "server.pem"; }
  [[nodiscard]] std::string server_key() const { return folder_ / "server.key"; }
  [[nodiscard]] std::string client() const { return folder_ / "client.pem"; }
  [[nodiscard]] std::string client_key() const { return folder_ / "client.key"; }
  [[nodiscard]] std::string stranger() const { return folder_ / "stranger.pem"; }

 private:
  certificates() {
    authority("ca");
    authority("stranger");
    issue("server", "subjectAltName=DNS:localhost,IP:127.0.0.1");
    issue("client", "subjectAltName=DNS:client");
  }
  void authority(const std::string& name) {
    run("openssl req -x509 -nodes " + key(name) + " -days 2 -subj /CN=rondo-test-" + name + " -out " +
        (folder_ / (name + ".pem")));
  }
  void issue(const std::string& name, const std::string& extension) {
    const std::string request = folder_ / (name + ".csr");
    const std::string extensions = folder_ / (name + ".ext");
    run("printf '" + extension + "' > " + extensions);
    run("openssl req -new -nodes " + key(name) + " -subj /CN=" + name + " -out " + request);
    run("openssl x509 -req -in " + request + " -CA " + ca() + " -CAkey " + (folder_ / "ca.key") +
        " -CAcreateserial -days 2 -extfile " + extensions + " -out " + (folder_ / (name + ".pem")));
  }
  [[nodiscard]] std::string key(const std::string& name) const {
    return "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout " + (folder_ / (name + ".key"));
  }
  static void run(const std::string& command) {
    if (std::system((command + " 2>/dev/null").c_str()) != 0) {
      throw std::runtime_error("failed: " + command);
    }
  }

  temporary_folder folder_;
};

inline tls_context server_context() {
  const certificates& c = certificates::get();
  return tls_context().certificate(c.server(), c.server_key());
}
inline tls_context client_context() { return tls_context().ca_file(certificates::get().ca()); }

/// Two ends over the loopback, or over any two streams that are connected.
template <typename Stream>
struct tls_ends {
  tls_stream<Stream> client;
  tls_stream<Stream> server;
};
template <typename Stream>
task<tls_ends<Stream>> tls_pair(Stream a, Stream b, tls_context mine, tls_context theirs) {
  using stream = tls_stream<Stream>;
  auto both = co_await when_all(stream::client(mine, std::move(a), "localhost"),
                                stream::server(theirs, std::move(b)));
  tls_ends<Stream> ends{std::move(std::get<0>(both)), std::move(std::get<1>(both))};
  co_return ends;
}
inline task<tls_ends<tcp_stream>> tls_pair() {
  auto plain = co_await tcp_pair();
  co_return co_await tls_pair(std::move(plain.a), std::move(plain.b), client_context(),
                              server_context());
}

}  // namespace rondo::test

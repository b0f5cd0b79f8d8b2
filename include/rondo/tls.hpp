// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// TLS over any stream of bytes, by OpenSSL. Component rondo::tls, which needs OpenSSL 1.1.1 or newer.
//
//     #include <rondo/tls.hpp>
//     const rondo::tls_context trust;                          // the system's certificates
//     auto plain = co_await rondo::connect("example.org", 443);
//     auto peer = co_await rondo::start_tls(trust, std::move(plain), "example.org");
//     co_await peer.write("GET / HTTP/1.0\r\n\r\n");
//
// To read it: context.hpp is what is agreed on beforehand, stream.hpp what you read and write,
// engine.hpp how OpenSSL is kept away from the socket.

#include <rondo/tls/context.hpp>
#include <rondo/tls/error.hpp>
#include <rondo/tls/stream.hpp>

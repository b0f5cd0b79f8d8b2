// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// HTTP: requests over libcurl, driven by the loop. Component rondo::http, which needs libcurl and
// nlohmann_json.
//
//     #include <rondo/http.hpp>
//     rondo::http::session s;
//     auto answer = co_await s.get("https://example.org/prices.json");
//     std::cout << answer.raise_for_status().json()["total"];
//
// To read it: session.hpp is what you use; exchange.hpp is one request, and setup.hpp what libcurl
// is told of it; driver.hpp is how libcurl and the loop work together, and watchers.hpp how its
// sockets are waited for.

#include <rondo/http/error.hpp>
#include <rondo/http/header_map.hpp>
#include <rondo/http/request.hpp>
#include <rondo/http/response.hpp>
#include <rondo/http/retry.hpp>
#include <rondo/http/session.hpp>
#include <rondo/http/session_options.hpp>
#include <rondo/http/streamed_response.hpp>

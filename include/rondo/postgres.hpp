// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// PostgreSQL, over libpq's non-blocking interface. Component rondo::postgres, which needs libpq.
//
//     #include <rondo/postgres.hpp>
//     auto c = co_await rondo::postgres::connect("dbname=shop");
//     auto users = co_await c.query("select name from users where id = $1", 7);
//     std::cout << users[0].get<std::string>("name");
//
// To read it: connection.hpp is what you use; session.hpp is how libpq and the loop work together.

#include <rondo/postgres/codec.hpp>
#include <rondo/postgres/codec_array.hpp>
#include <rondo/postgres/codec_time.hpp>
#include <rondo/postgres/connection.hpp>
#include <rondo/postgres/copy.hpp>
#include <rondo/postgres/error.hpp>
#include <rondo/postgres/notifications.hpp>
#include <rondo/postgres/pipeline.hpp>
#include <rondo/postgres/pool.hpp>
#include <rondo/postgres/rows.hpp>
#include <rondo/postgres/statement.hpp>

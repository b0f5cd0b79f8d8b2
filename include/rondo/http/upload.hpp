// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A body on its way from its source to libcurl, which asks for bytes when it can send some. One
// part at a time: the next one is produced when libcurl has taken the last byte of this one, so a
// peer that does not read stops the source.
//
//     asked     libcurl wants bytes and there are none: it is paused until somebody resumes it
//     fetched   there is a part, and libcurl takes of it what it can send
//     ended     the source has no more; libcurl is told so when it asks again
//     stopped   the server has refused it, or a redirect goes on without it; libcurl sends no more,
//               and closes the connection

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <curl/curl.h>

#include <rondo/core/changes.hpp>
#include <rondo/core/task.hpp>
#include <rondo/http/body_source.hpp>
#include <rondo/http/curl.hpp>
#include <rondo/io/buffer.hpp>

namespace rondo::http::detail {

class upload {
 public:
  explicit upload(std::shared_ptr<body_source> source) noexcept : source_(std::move(source)) {}
  upload(const upload&) = delete;
  upload& operator=(const upload&) = delete;

  void set_up(option_setter& set) noexcept {
    set(CURLOPT_READFUNCTION, &upload::on_read);
    set(CURLOPT_READDATA, static_cast<void*>(this));
    set(CURLOPT_SEEKFUNCTION, &upload::on_seek);
    set(CURLOPT_SEEKDATA, static_cast<void*>(this));
  }

  /// Waits until libcurl has taken all there is, and then for the next part. False: there is none.
  /// Throws: what the source throws; std::length_error when its size is not the one it has said;
  /// std::logic_error when it was sent before.
  task<bool> fetch();
  /// Whether libcurl waits to be resumed; once.
  [[nodiscard]] bool take_pause() noexcept { return std::exchange(paused_, false); }
  /// The server does not want the rest.
  void stop() noexcept {
    part_ = const_buffer();
    stopped_ = true;
  }

 private:
  static std::size_t on_read(char* to, std::size_t, std::size_t size, void* self) noexcept;
  static int on_seek(void* self, curl_off_t offset, int origin) noexcept;
  [[noreturn]] void wrong_size(const char* what) const {
    throw std::length_error("rondo: the body of a request has " + std::string(what) + " than the " +
                            std::to_string(*source_->size()) + " bytes that were announced");
  }

  std::shared_ptr<body_source> source_;
  const_buffer part_;            // what libcurl has not taken of it
  std::uint64_t produced_ = 0;   // bytes
  bool asked_ = false;
  bool is_ours_ = false;         // the source was begun for this request
  bool taken_any_ = false;
  bool paused_ = false;
  bool ended_ = false;
  bool stopped_ = false;
  rondo::detail::changes news_;  // from libcurl
};

// Implementation

inline task<bool> upload::fetch() {
  for (;;) {
    if (!is_ours_ && source_->begun()) {
      throw std::logic_error("rondo: the body of this request is a stream, and was sent before");
    }
    const bool is_wanted = asked_ || source_->size() == 0;  // libcurl does not ask for nothing
    if (is_wanted && part_.size() == 0) break;
    co_await news_.next();
  }
  if (!std::exchange(is_ours_, true)) source_->begin();
  const const_buffer part = co_await source_->next();
  produced_ += part.size();
  if (const auto size = source_->size()) {
    if (produced_ > *size) wrong_size("more");
    if (produced_ < *size && part.size() == 0) wrong_size("fewer");
  }
  part_ = part;
  ended_ = part.size() == 0;
  co_return !ended_;
}

inline std::size_t upload::on_read(char* to, std::size_t, std::size_t size, void* self) noexcept {
  auto& u = *static_cast<upload*>(self);
  if (u.stopped_) return curl_library::get().forgets_paused_uploads() ? 0 : CURL_READFUNC_PAUSE;
  if (u.part_.size() == 0 && !u.ended_) {
    u.asked_ = u.paused_ = true;
    u.news_.notify_all();
    return CURL_READFUNC_PAUSE;
  }
  const std::size_t n = std::min(u.part_.size(), size);
  if (n == 0) return 0;
  std::memcpy(to, u.part_.data(), n);
  u.part_ = u.part_.after(n);
  u.taken_any_ = true;
  if (u.part_.size() == 0) u.news_.notify_all();
  return n;
}

/// libcurl wants to begin anew: after a redirect, or because a connection that was kept is dead.
inline int upload::on_seek(void* self, curl_off_t offset, int origin) noexcept {
  const auto& u = *static_cast<upload*>(self);
  const bool is_there = offset == 0 && origin == SEEK_SET && !u.taken_any_;
  return is_there ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

}  // namespace rondo::http::detail

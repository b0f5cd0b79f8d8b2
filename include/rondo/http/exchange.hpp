// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// One request and its answer, as libcurl carries them: from its beginning, through what libcurl
// calls on the way, to how it ends. What libcurl is told is in setup.hpp; what is kept of the answer's
// head, in received_head.hpp; what becomes of the body, and who waits, in transfer.hpp (an answer as a
// whole) and received_body.hpp (a stream).
//
// Who ends it first: libcurl (with an answer or an error), a limit, or a cancellation. The last two
// give the transfer up, which takes effect in the driver's next step; an answer that libcurl has by
// then counts.

#include <cstddef>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <rondo/config.hpp>
#include <rondo/http/deadlines.hpp>
#include <rondo/http/driver.hpp>
#include <rondo/http/failure.hpp>
#include <rondo/http/head_lines.hpp>
#include <rondo/http/received_head.hpp>
#include <rondo/http/request.hpp>
#include <rondo/http/resending.hpp>
#include <rondo/http/response.hpp>
#include <rondo/http/setup.hpp>

namespace rondo::http::detail {

class exchange : transfer, deadlines {
 public:
  exchange(const exchange&) = delete;
  exchange& operator=(const exchange&) = delete;

 protected:
  using outcome = rondo::detail::outcome;

  exchange(driver& d, request&& r)
      : transfer(&exchange::has_ended),
        deadlines(&exchange::due),
        driver_(d),
        request_(std::move(r)),
        head_(request_.attempt_) {}
  ~exchange() = default;

  /// False: nothing was sent, and `answer` throws why.
  [[nodiscard]] bool begin(engine& loop) noexcept;
  /// It ends soon; as canceled, unless it has its answer by then.
  void give_up() noexcept;
  /// The request, for another exchange, once this one has ended or was abandoned.
  [[nodiscard]] request&& take_back() noexcept { return std::move(request_); }
  /// It ends here, unless it has; `over` is not called any more.
  void abandon() noexcept;
  /// It was not to begin.
  void refuse() noexcept { how_ = outcome::canceled; }

  [[nodiscard]] engine& loop() const noexcept { return *loop_; }
  [[nodiscard]] outcome how() const noexcept { return how_; }
  /// libcurl has it.
  [[nodiscard]] bool is_running() const noexcept { return transfer::linked(); }
  /// By whoever waits for it, who may do so in another run of the loop.
  void go_on() noexcept { driver_.go_on(); }
  /// Goes on with a body that was not taken.
  void resume() noexcept;
  /// What is there of the answer. Throws: what it has failed of.
  [[nodiscard]] response& answer();
  [[nodiscard]] const response& head() const noexcept { return head_.answer(); }
  [[nodiscard]] const request& sent() const noexcept { return request_; }
  void make_room(std::string& body) const noexcept { head_.make_room(body); }

 private:
  // These run no foreign code, and start and destroy nothing.
  /// What libcurl is to know of a body that is produced while it is sent.
  virtual void set_up_upload(option_setter&) noexcept {}
  /// The head of the answer is complete: of the one that is not redirected any more.
  virtual void has_head() noexcept {}
  /// The head of a redirect that is followed is complete, and the redirect is in its history.
  virtual void is_redirected() noexcept {}
  /// False: not now. libcurl keeps the bytes and brings no more until `resume`.
  /// Throws: std::bad_alloc, std::length_error.
  [[nodiscard]] virtual bool take_body(std::string_view bytes) = 0;
  /// Before an answer that follows a redirect.
  virtual void drop_body() noexcept = 0;
  virtual void over() noexcept = 0;

  [[nodiscard]] const session_options& options() const noexcept { return driver_.options(); }

  [[nodiscard]] CURLcode set_up();

  static std::size_t on_line(char* line, std::size_t, std::size_t size, void* self) noexcept;
  static std::size_t on_body(char* bytes, std::size_t, std::size_t size, void* self) noexcept;
  void take_line(std::string_view text);
  void first_byte() noexcept;

  static void due(timer& self) noexcept;
  static void has_ended(transfer& self, CURLcode code, int error) noexcept;
  void conclude(CURLcode code, int error) noexcept;
  [[nodiscard]] bool collect() noexcept;
  void fail(CURLcode code, int error) noexcept;

  driver& driver_;
  engine* loop_ = nullptr;
  request request_;
  string_list fields_;  // what libcurl sends; it keeps no copy
  received_head head_;
  resending resending_;
  failure failure_;
  timeout_kind exceeded_ = timeout_kind::none;  // the limit that it was given up for
  outcome how_ = outcome::value;
  CURLcode not_resumed_ = CURLE_OK;  // why
  bool no_memory_ = false;  // in a callback
  bool wrong_loop_ = false;
};

// Implementation

inline bool exchange::begin(engine& loop) noexcept {
  loop_ = &loop;
  how_ = outcome::error;
  if (!driver_.move_to(loop)) [[unlikely]] {
    wrong_loop_ = true;
    return false;
  }
  try {
    easy = driver_.take_easy();
    failure_.code = easy ? set_up() : CURLE_OUT_OF_MEMORY;
  } catch (const std::bad_alloc&) {
    failure_.code = CURLE_OUT_OF_MEMORY;
  }
  if (failure_.code != CURLE_OK) [[unlikely]] return false;

  if (!set_off(loop, request_.complete_by_) || driver_.start(*this) != CURLM_OK) [[unlikely]] {
    failure_.code = CURLE_OUT_OF_MEMORY;
    call_off(loop);
    return false;
  }
  how_ = outcome::value;
  return true;
}

inline void exchange::give_up() noexcept { driver_.give_up(*this); }

inline void exchange::abandon() noexcept {
  if (!is_running()) return;
  call_off(loop());
  driver_.take_out(*this);
  driver_.give_back(std::move(easy));
}

inline void exchange::resume() noexcept {
  if (!is_running()) return;
  const CURLcode code = curl_easy_pause(easy.get(), CURLPAUSE_CONT);
  // A bad argument is a request that waits for a connection, after a redirect: it is not paused.
  if (code == CURLE_OK || code == CURLE_BAD_FUNCTION_ARGUMENT) return;
  not_resumed_ = code;
  driver_.give_up(*this);
}

inline CURLcode exchange::set_up() {
  option_setter set(easy.get());
  driver_.set_up(set);
  set(CURLOPT_PRIVATE, static_cast<void*>(static_cast<transfer*>(this)));
  set(CURLOPT_ERRORBUFFER, &failure_.text[0]);
  set(CURLOPT_HEADERFUNCTION, &exchange::on_line);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, &exchange::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // a proxy's consent is no answer

  setup tell(options(), request_);
  limits = tell.limits();
  tell(set, fields_);
  set_up_upload(set);
  if (!is_idempotent(request_.method())) {
    resending_.hold_back(set, easy.get(), driver_.in_http1());
  }
  return set.result();
}

inline std::size_t exchange::on_line(char* line, std::size_t, std::size_t size,
                                     void* self) noexcept {
  auto& t = *static_cast<exchange*>(self);
  t.resending_.answered();
  t.first_byte();
  try {
    t.take_line(std::string_view(line, size));
    return size;
  } catch (const std::bad_alloc&) {
    t.no_memory_ = true;
    return 0;
  }
}

inline std::size_t exchange::on_body(char* bytes, std::size_t, std::size_t size,
                                     void* self) noexcept {
  auto& t = *static_cast<exchange*>(self);
  t.first_byte();
  if (t.no_memory_) return size + 1;  // after a gap nothing more is taken
  try {
    if (!t.take_body(std::string_view(bytes, size))) return std::size_t{CURL_WRITEFUNC_PAUSE};
    t.head_.body_taken(size);
    return size;
  } catch (const std::bad_alloc&) {
    t.no_memory_ = true;
  } catch (const std::length_error&) {
    t.no_memory_ = true;
  }
  return size + 1;  // anything but size ends the transfer; with a size of 0, so would 0 not
}

inline void exchange::take_line(std::string_view text) {
  if (head_.is_whole()) return;  // trailers come later, and the head is in use
  const auto line = head_.take(text);
  const int status = head().status;
  const bool follows = options().follow_redirects_;
  if (line == head_lines::line::begins) {
    if (text.starts_with("HTTP/1") && is_over_tls(easy.get())) {
      driver_.in_http1().note(info<long>(easy.get(), CURLINFO_LOCAL_PORT));
    }
    drop_body();
    // libcurl would follow every 3xx with a Location, which it has not looked at yet.
    if (follows) {
      curl_easy_setopt(easy.get(), CURLOPT_FOLLOWLOCATION, is_redirect(status) ? 1L : 0L);
    }
    // After 303 any method goes on as GET (RFC 9110, 15.4.4).
    if (status == 303 && follows && request_.method() != "HEAD") {
      curl_easy_setopt(easy.get(), CURLOPT_CUSTOMREQUEST, nullptr);
    }
  } else if (line == head_lines::line::ends && (status >= 200 || status == 101)) {
    if (head_.complete(easy.get(), follows)) return has_head();
    is_redirected();
  }
}

inline void exchange::first_byte() noexcept {
  if (!has_begun(loop())) no_memory_ = true;
}

inline void exchange::due(timer& self) noexcept {
  auto& t = static_cast<exchange&>(static_cast<deadlines&>(self));
  if (t.given_up) return;
  t.exceeded_ = t.passed();
  t.driver_.give_up(t);
}

inline void exchange::has_ended(transfer& self, CURLcode code, int error) noexcept {
  auto& t = static_cast<exchange&>(self);
  t.call_off(t.loop());
  t.conclude(code, error);
  t.driver_.give_back(std::move(t.easy));
  t.over();
}

/// Over HTTP/2 a server that has answered may refuse to hear the rest of the request. That is the
/// stream's last word then, and an error for libcurl (8.14, for one).
inline void exchange::conclude(CURLcode code, int error) noexcept {
  if (code == CURLE_HTTP2_STREAM && head_.has_whole_body(easy.get())) code = CURLE_OK;
  if (code == CURLE_OK && error == 0) {
    const bool in_head = !head_.is_whole() && !no_memory_;  // libcurl takes that for the end
    if (!in_head && !no_memory_ && collect()) return;
    code = in_head ? CURLE_PARTIAL_FILE : CURLE_OUT_OF_MEMORY;
  }
  if (code == CURLE_ABORTED_BY_CALLBACK && not_resumed_ != CURLE_OK) code = not_resumed_;
  if (resending_.was_refused()) code = CURLE_GOT_NOTHING;
  fail(code, error);
}

inline bool exchange::collect() noexcept {
  try {
    head_.collect(easy.get());
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

inline void exchange::fail(CURLcode code, int error) noexcept {
  how_ = outcome::error;
  failure_.ask(easy.get(), no_memory_ ? CURLE_OUT_OF_MEMORY : code, error);
  failure_.lacks_memory = no_memory_;
  failure_.before_head = failure_.asked && !head_.is_whole();
  if (code == CURLE_OPERATION_TIMEDOUT) exceeded_ = timeout_kind::connect;
  if (code == CURLE_OPERATION_TIMEDOUT || code == CURLE_ABORTED_BY_CALLBACK) {
    failure_.limit = exceeded_;
    failure_.duration = limit(exceeded_);
    if (exceeded_ == timeout_kind::none && !no_memory_) how_ = outcome::canceled;
  }
}

inline response& exchange::answer() {
  switch (how_) {
    case outcome::value:
      return head_.answer();
    case outcome::canceled:
      throw operation_canceled();
    case outcome::error:
      break;
  }
  if (wrong_loop_) {
    throw std::logic_error(
        "rondo: an http::session was used on two loops at once; make one for each");
  }
  const auto [kind, cause] = failure_.explain();
  throw error(kind, request_.method(), request_.url(), cause, failure_.limit);
}

}  // namespace rondo::http::detail

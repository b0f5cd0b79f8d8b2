// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// libcurl's handles as objects that free themselves, and what has to be known about libcurl as a
// whole.

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <unistd.h>

#include <curl/curl.h>

#include <rondo/config.hpp>

namespace rondo::http::detail {

struct curl_deleter {
  void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
using easy_handle = std::unique_ptr<CURL, curl_deleter>;
using string_list = std::unique_ptr<curl_slist, curl_deleter>;

/// Null when there is no memory.
[[nodiscard]] inline bool append(string_list& list, const std::string& text) noexcept {
  curl_slist* const longer = curl_slist_append(list.get(), text.c_str());
  if (longer == nullptr) return false;
  static_cast<void>(list.release());
  list.reset(longer);
  return true;
}

/// Sets options until the first that fails.
class option_setter {
 public:
  explicit option_setter(CURL* easy) noexcept : easy_(easy) {}

  template <typename T>
  void operator()(CURLoption option, T value) noexcept {
    if (result_ == CURLE_OK) result_ = curl_easy_setopt(easy_, option, value);
  }
  void fail_with(CURLcode code) noexcept {
    if (result_ == CURLE_OK) result_ = code;
  }
  [[nodiscard]] CURLcode result() const noexcept { return result_; }

 private:
  CURL* easy_;
  CURLcode result_ = CURLE_OK;
};

template <typename T>
[[nodiscard]] T info(CURL* easy, CURLINFO what) noexcept {
  T value{};
  curl_easy_getinfo(easy, what, &value);
  return value;
}

/// What is the same for the whole process. It is set up once and never taken down, because other
/// users of libcurl in the process may have relied on it meanwhile.
class curl_library {
 public:
  static const curl_library& get() {
    static const curl_library library;
    return library;
  }

  /// Whether libcurl knows a file with the system's certificates. It usually knows a folder, too,
  /// which holds the same ones; and with a folder set it reads everything anew for each connection,
  /// while it keeps what it has read from a file.
  [[nodiscard]] bool has_certificate_file() const noexcept { return has_certificate_file_; }

  /// Whether a transfer whose upload is paused does not end with its answer, when the server refuses
  /// the upload and closes the connection: so before 8.7.
  [[nodiscard]] bool forgets_paused_uploads() const noexcept { return forgets_paused_uploads_; }

  /// Whether over HTTP/2 an answer is lost, and an error in its place, when it comes before the body
  /// of the request was sent: if the answer and the end of its stream (RST_STREAM) were read in one
  /// go, which other transfers on the connection do. So from 7.88 to 8.0.
  [[nodiscard]] bool loses_early_answers() const noexcept { return loses_early_answers_; }

 private:
  curl_library() {
    if (const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT); code != CURLE_OK) {
      throw std::runtime_error(std::string("curl_global_init: ") + curl_easy_strerror(code));
    }
#if CURL_AT_LEAST_VERSION(7, 84, 0)
    const easy_handle easy(curl_easy_init());
    if (!easy) throw std::bad_alloc();
    const char* const file = info<char*>(easy.get(), CURLINFO_CAINFO);
    has_certificate_file_ = file != nullptr && ::access(file, R_OK) == 0;
#endif
  }

  bool has_certificate_file_ = false;
  unsigned version_ = curl_version_info(CURLVERSION_NOW)->version_num;
  bool forgets_paused_uploads_ = version_ < 0x080700;
  bool loses_early_answers_ = version_ >= 0x075800 && version_ < 0x080100;
};

/// Makes a whole URL of a reference (RFC 3986, 5). An error: it is as it was.
/// Throws: std::bad_alloc.
[[nodiscard]] inline CURLcode resolve(const std::string& base, std::string& reference) {
  struct parts {
    CURLU* handle = curl_url();
    ~parts() { curl_url_cleanup(handle); }
  };
  const parts url;
  if (url.handle == nullptr) return CURLE_OUT_OF_MEMORY;
  char* text = nullptr;
  CURLUcode code = curl_url_set(url.handle, CURLUPART_URL, base.c_str(),
                                CURLU_DEFAULT_SCHEME | CURLU_NON_SUPPORT_SCHEME);
  if (code == CURLUE_OK) code = curl_url_set(url.handle, CURLUPART_URL, reference.c_str(), 0);
  if (code == CURLUE_OK) code = curl_url_get(url.handle, CURLUPART_URL, &text, 0);
  const std::unique_ptr<char, decltype(&curl_free)> owned(text, &curl_free);
  if (code == CURLUE_OUT_OF_MEMORY) return CURLE_OUT_OF_MEMORY;
  if (code != CURLUE_OK) return CURLE_URL_MALFORMAT;
  reference = text;
  return CURLE_OK;
}

}  // namespace rondo::http::detail

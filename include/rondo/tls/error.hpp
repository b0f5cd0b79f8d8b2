// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What goes wrong in TLS: a certificate that is not trusted, a peer that speaks something else, a
// file that holds no key.

#include <string>
#include <system_error>
#include <utility>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <rondo/config.hpp>

namespace rondo {

class RONDO_VISIBLE tls_category_type final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "tls"; }
  [[nodiscard]] std::string message(int code) const override {
    const auto whole = static_cast<unsigned long>(static_cast<unsigned>(code));
#ifdef ERR_SYSTEM_ERROR  // since OpenSSL 3
    if (ERR_SYSTEM_ERROR(whole)) return std::system_category().message(ERR_GET_REASON(whole));
#endif
    const char* const reason = ::ERR_reason_error_string(whole);
    return reason != nullptr ? reason : "TLS error";
  }
};
/// The codes are OpenSSL's.
[[nodiscard]] inline const std::error_category& tls_category() noexcept {
  static const tls_category_type category;
  return category;
}

class RONDO_VISIBLE tls_error : public std::system_error {
 public:
  tls_error(std::error_code code, const std::string& what, long verification = X509_V_OK)
      : std::system_error(code, what), verification_(verification) {}

  /// Why the peer's certificate was refused: a number of OpenSSL, such as
  /// X509_V_ERR_CERT_HAS_EXPIRED. X509_V_OK: it was not.
  [[nodiscard]] long verification() const noexcept { return verification_; }

 private:
  long verification_;
};

namespace detail {

/// The first error of OpenSSL's list, which is emptied.
[[nodiscard]] inline std::error_code take_tls_code() noexcept {
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  return {static_cast<int>(code), tls_category()};
}
[[noreturn]] inline void throw_tls_error(const std::string& what) {
  throw tls_error(take_tls_code(), what);
}

}  // namespace detail
}  // namespace rondo

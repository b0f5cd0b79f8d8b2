// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What can go wrong, as types.
//
// - An operation that the kernel refused throws `std::system_error` with the kernel's errno.
// - A timeout throws `timeout_error`, which is one of those.
// - A cancellation throws `operation_canceled`, which is *not* a `std::exception`: code that
// handles
//   errors must not swallow it by accident, as with asyncio's CancelledError.
// - An error that nobody awaited goes to `loop_options::on_unhandled` as an `unhandled_error`.

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <rondo/config.hpp>

namespace rondo {

using time_point = std::chrono::steady_clock::time_point;

/// Thrown out of what was canceled, so that destructors run on the way. Let it pass, or clean up
/// and rethrow it; after swallowing it, the next operation in the same scope throws it again.
class RONDO_VISIBLE operation_canceled {
 public:
  virtual ~operation_canceled() = default;
  [[nodiscard]] virtual const char* what() const noexcept { return "operation canceled"; }
};

/// Thrown by `run` when Ctrl-C canceled the root task.
class RONDO_VISIBLE interrupted final : public operation_canceled {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "interrupted"; }
};

enum class errc {
  exception = 1,   // a result holds an exception that carries no code of its own
  canceled,        // the code of operation_canceled in a result
  closed,          // the descriptor or channel was closed while, or before, somebody waited on it
  unexpected_eof,  // the stream ended in the middle of what was asked for
  line_too_long,   // the end of a line did not come within the limit
};

class RONDO_VISIBLE error_category_type final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "rondo"; }
  [[nodiscard]] std::string message(int code) const override {
    switch (static_cast<errc>(code)) {
      case errc::exception:
        return "an exception without an error code";
      case errc::canceled:
        return "operation canceled";
      case errc::closed:
        return "closed while the operation was waiting";
      case errc::unexpected_eof:
        return "unexpected end of stream";
      case errc::line_too_long:
        return "line too long";
    }
    return "unknown error";
  }
  [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
    if (static_cast<errc>(code) == errc::canceled) return std::errc::operation_canceled;
    return {code, *this};
  }
};

[[nodiscard]] inline const std::error_category& error_category() noexcept {
  static const error_category_type category;
  return category;
}

[[nodiscard]] inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), error_category()};
}

}  // namespace rondo

template <>
struct std::is_error_code_enum<rondo::errc> : std::true_type {};

namespace rondo {

/// Thrown by `with_timeout`. `code()` is `std::errc::timed_out`.
class RONDO_VISIBLE timeout_error : public std::system_error {
 public:
  explicit timeout_error(time_point deadline)
      : std::system_error(std::make_error_code(std::errc::timed_out)), deadline_(deadline) {}

  /// Not what the system says of that code, which is about connections.
  [[nodiscard]] const char* what() const noexcept override { return "timed out: the limit has passed"; }
  /// The moment that passed.
  [[nodiscard]] time_point deadline() const noexcept { return deadline_; }

 private:
  time_point deadline_;
};

/// Thrown by `read_exactly` and its kin. `code()` is `errc::unexpected_eof`.
class RONDO_VISIBLE unexpected_eof : public std::system_error {
 public:
  explicit unexpected_eof(std::size_t received)
      : std::system_error(make_error_code(errc::unexpected_eof)), received_(received) {}

  /// How many bytes came before the end; they are in the buffer.
  [[nodiscard]] std::size_t received() const noexcept { return received_; }

 private:
  std::size_t received_;
};

/// Thrown by `buffered_reader::read_line` and `read_until`. `code()` is `errc::line_too_long`.
class RONDO_VISIBLE line_too_long : public std::system_error {
 public:
  explicit line_too_long(std::size_t limit)
      : std::system_error(make_error_code(errc::line_too_long)), limit_(limit) {}

  /// In bytes.
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

 private:
  std::size_t limit_;
};

/// Thrown by a loop with virtual time when nothing can happen any more: nothing is in flight, no
/// timer is armed, and the root waits. `what()` names the spawned tasks that wait as well.
class RONDO_VISIBLE deadlock_error : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Thrown by a loop with loop_options::drain_timeout: the root has ended, and what was left then
/// has been canceled and has not ended in time.
class RONDO_VISIBLE drain_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Something that went wrong with nobody there to catch it.
struct unhandled_error {
  enum class kind {
    spawned,               // a spawned task failed and its handle is gone
    post,                  // a posted callable threw
    suppressed,            // an error that lost against the one a combinator rethrew
    ignores_cancellation,  // a canceled task swallowed a thousand cancellations
    slow_resume,    // a task kept the loop for longer than loop_options::slow_resume_threshold
    never_awaited,  // a task was made and destroyed without having been awaited
    left_over,      // a task was still running when the loop ended
  };
  kind what;
  std::string_view name;     // of the spawned task, if it has one; valid during the call
  std::exception_ptr error;  // may be null
  std::string message;
};

namespace detail {

/// Whether an exception is a cancellation, without throwing it where that can be avoided.
[[nodiscard]] inline bool is_cancellation(const std::exception_ptr& error) noexcept {
#if defined(__GLIBCXX__)
  const std::type_info* const type = error.__cxa_exception_type();
  if (type != nullptr && *type == typeid(operation_canceled)) return true;
#endif
  try {
    std::rethrow_exception(error);
  } catch (const operation_canceled&) {
    return true;
  } catch (...) {
    return false;
  }
}

/// One line that says what an exception is.
[[nodiscard]] inline std::string describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (const operation_canceled& e) {
    return e.what();
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

}  // namespace detail
}  // namespace rondo

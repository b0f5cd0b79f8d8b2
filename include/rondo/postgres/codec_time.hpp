// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Times of the server as those of std::chrono.
//
//     std::chrono::system_clock::time_point    timestamp with time zone
//     std::chrono::local_time<microseconds>    timestamp without time zone
//     std::chrono::sys_days, year_month_day    date
//
// The server counts microseconds; what is finer is cut off. 'infinity' and '-infinity' are
// time_point::max() and min(), and no year_month_day. std::chrono's years end with 32767; the server
// knows later ones, which are a conversion error here, and std::invalid_argument as an argument. A timestamp without time zone that is read as a time_point is taken
// for UTC. Read is the ISO style, which a connection sets if the server's is another one.

#include <charconv>
#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <rondo/postgres/codec.hpp>

namespace rondo::postgres {

namespace detail {

/// Reads "2024-02-29", "2024-02-29 23:59:59.123456", and either with a zone (+02, -03:30,
/// +01:02:03) or " BC".
class time_reader {
 public:
  explicit time_reader(std::string_view text) noexcept : text_(text), rest_(text) {}

  /// The distance from the epoch, in UTC if there is a zone.
  std::chrono::microseconds read() {
    using namespace std::chrono;
    const bool before_christ = rest_.ends_with(" BC");
    if (before_christ) rest_.remove_suffix(3);
    int y = number();
    expect('-');
    const unsigned m = static_cast<unsigned>(number());
    expect('-');
    const unsigned d = static_cast<unsigned>(number());
    if (before_christ) y = 1 - y;
    if (y > static_cast<int>(year::max()) || y < static_cast<int>(year::min())) {
      does_not_fit(text_, "in a year of std::chrono's");
    }
    microseconds time = sys_days(year(y) / month(m) / day(d)).time_since_epoch();
    if (accept(' ')) time += clock();
    if (!rest_.empty()) time -= zone();
    if (!rest_.empty()) fail();
    return time;
  }

 private:
  std::chrono::microseconds clock() {
    using namespace std::chrono;
    microseconds time = hours(number());
    expect(':');
    time += minutes(number());
    expect(':');
    time += seconds(number());
    if (accept('.')) {
      long long fraction = 0;
      for (int digits = 0; digits < 6; ++digits) {
        fraction *= 10;
        if (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
          fraction += rest_.front() - '0';
          rest_.remove_prefix(1);
        }
      }
      time += microseconds(fraction);
    }
    return time;
  }
  std::chrono::microseconds zone() {
    using namespace std::chrono;
    const bool west = rest_.front() == '-';
    if (!west && rest_.front() != '+') fail();
    rest_.remove_prefix(1);
    microseconds offset = hours(number());
    if (accept(':')) offset += minutes(number());
    if (accept(':')) offset += seconds(number());
    return west ? -offset : offset;
  }

  int number() {
    int value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc() || value < 0) fail();
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }
  bool accept(char c) noexcept {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail();
  }
  [[noreturn]] void fail() const { does_not_fit(text_, "a time in the ISO style"); }

  std::string_view text_;
  std::string_view rest_;
};

inline void append_padded(long long value, std::size_t width, std::string& to) {
  std::string digits;
  append_number(value, digits);
  if (digits.size() < width) to.append(width - digits.size(), '0');
  to += digits;
}

/// Throws: std::invalid_argument.
inline std::chrono::year_month_day date_of(std::chrono::sys_days day) {
  using namespace std::chrono;
  if (day < sys_days(year::min() / January / 1) || day > sys_days(year::max() / December / 31)) {
    throw std::invalid_argument(
        "rondo: a date for PostgreSQL is in a year that std::chrono does not have");
  }
  return day;
}

/// Gives whether it was before Christ, which the server wants to be told at the end.
inline bool append_date(std::chrono::year_month_day date, std::string& to) {
  const int y = static_cast<int>(date.year());
  append_padded(y > 0 ? y : 1 - y, 4, to);
  to += '-';
  append_padded(static_cast<unsigned>(date.month()), 2, to);
  to += '-';
  append_padded(static_cast<unsigned>(date.day()), 2, to);
  return y <= 0;
}

/// Of a moment that counts from the epoch of sys_days.
inline void append_time(std::chrono::microseconds since_epoch, std::string_view zone,
                        std::string& to) {
  using namespace std::chrono;
  const auto day = floor<days>(since_epoch);
  const auto clock = since_epoch - day;
  const bool before_christ = append_date(date_of(sys_days(day)), to);
  to += ' ';
  append_padded(clock / hours(1), 2, to);
  to += ':';
  append_padded(clock % hours(1) / minutes(1), 2, to);
  to += ':';
  append_padded(clock % minutes(1) / seconds(1), 2, to);
  to += '.';
  append_padded((clock % seconds(1)).count(), 6, to);
  to += zone;
  if (before_christ) to += " BC";
}

template <typename Clock, typename Duration, unsigned Oid, unsigned ArrayOid>
struct moment_codec {
  using moment = std::chrono::time_point<Clock, Duration>;
  static constexpr unsigned oid = Oid;
  static constexpr unsigned array_oid = ArrayOid;

  static void write(moment value, std::string& to) {
    if (value == moment::max() || value == moment::min()) {
      to += value == moment::max() ? "infinity" : "-infinity";
      return;
    }
    using std::chrono::microseconds;
    append_time(std::chrono::floor<microseconds>(value.time_since_epoch()),
                Oid == 1184 ? "+00" : "", to);
  }
  static moment read(std::string_view text) {
    using namespace std::chrono;
    if (text == "infinity") return moment::max();
    if (text == "-infinity") return moment::min();
    const microseconds time = time_reader(text).read();
    // Comparing whole seconds cannot overflow.
    using wide = std::chrono::duration<double>;
    if (wide(time) >= wide(Duration::max()) || wide(time) <= wide(Duration::min())) {
      does_not_fit(text, "a time that the clock's time_point can hold");
    }
    return moment(floor<Duration>(time));
  }
};

}  // namespace detail

template <typename Duration>
struct codec<std::chrono::time_point<std::chrono::system_clock, Duration>>
    : detail::moment_codec<std::chrono::system_clock, Duration, 1184, 1185> {};
template <typename Duration>
struct codec<std::chrono::time_point<std::chrono::local_t, Duration>>
    : detail::moment_codec<std::chrono::local_t, Duration, 1114, 1115> {};

template <>
struct codec<std::chrono::sys_days> {
  static constexpr unsigned oid = 1082;
  static constexpr unsigned array_oid = 1182;
  static void write(std::chrono::sys_days value, std::string& to) {
    using std::chrono::sys_days;
    if (value == sys_days::max() || value == sys_days::min()) {
      to += value == sys_days::max() ? "infinity" : "-infinity";
      return;
    }
    if (detail::append_date(detail::date_of(value), to)) to += " BC";
  }
  static std::chrono::sys_days read(std::string_view text) {
    using namespace std::chrono;
    if (text == "infinity") return sys_days::max();
    if (text == "-infinity") return sys_days::min();
    return sys_days(floor<days>(detail::time_reader(text).read()));
  }
};
template <>
struct codec<std::chrono::year_month_day> {
  static constexpr unsigned oid = 1082;
  static constexpr unsigned array_oid = 1182;
  static void write(std::chrono::year_month_day value, std::string& to) {
    if (detail::append_date(value, to)) to += " BC";
  }
  static std::chrono::year_month_day read(std::string_view text) {
    if (text.ends_with("infinity")) {
      detail::does_not_fit(text, "a year_month_day; read it as std::chrono::sys_days");
    }
    return codec<std::chrono::sys_days>::read(text);
  }
};

}  // namespace rondo::postgres

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A stream gives bytes as they come; a program wants lines, headers of a known size, or everything.
// A buffered_reader is in between: it reads large pieces and gives what was asked for.
//
//     rondo::buffered_reader in(peer);                   // refers to peer
//     while (auto line = co_await in.read_line()) ...    // without its end; nullopt at the end
//     std::string body = co_await in.read_exactly(length);
//
// Nothing is lost: whatever a call throws (a cancellation, a timeout, an error, a limit), the bytes
// that it has not given are still in the buffer, and the next call goes on with them. So it is the
// reader that may be read from under a time limit, again and again.
//
// It is a stream itself (`read`), and passes on writing and closing to the one beneath.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/core/error.hpp>
#include <rondo/core/task.hpp>
#include <rondo/io/async_stream.hpp>
#include <rondo/io/buffer.hpp>

namespace rondo {

template <async_reader Stream>
class line_stream;

/// Stream: the type of a stream that it owns, or a reference to one, which is kept alive.
/// Allocates its buffer at the first read; only what is asked for in one piece and does not fit
/// makes it grow.
/// In flight: one call at a time (writing beside it is the stream's affair). Keep it where it is
/// meanwhile.
/// Throws, everywhere: what the stream throws. Thread: the loop's.
template <async_reader Stream>
class buffered_reader {
 public:
  static constexpr std::size_t default_max_line = std::size_t{64} << 10;

  /// max_line: how many bytes a line may have, not counting its end.
  explicit buffered_reader(Stream&& stream, std::size_t max_line = default_max_line)
      : stream_(std::forward<Stream>(stream)), max_line_(max_line) {}
  buffered_reader(buffered_reader&& other) noexcept
      : stream_(std::forward<Stream>(other.stream_)),
        max_line_(other.max_line_),
        buffer_(std::move(other.buffer_)),
        capacity_(std::exchange(other.capacity_, 0)),
        begin_(std::exchange(other.begin_, 0)),
        end_(std::exchange(other.end_, 0)) {}
  buffered_reader& operator=(buffered_reader&&) = delete;

  /// The next line without its end: "\n" and one "\r" before that are dropped. A last line without
  /// an end counts. Gives: nullopt at the end of the stream.
  /// Throws: line_too_long; the line stays, and read_some can take it in pieces.
  task<std::optional<std::string>> read_line() &;
  /// All lines, as a stream: `while (auto line = co_await lines.next())`. Keep alive: the reader.
  [[nodiscard]] line_stream<Stream> lines() & { return line_stream<Stream>(*this); }

  /// Everything up to and including a delimiter, at most `max` bytes in all (0: as for a line).
  /// Throws: line_too_long, and unexpected_eof, which knows how many bytes came; they stay.
  task<std::string> read_until(std::string delimiter, std::size_t max = 0) &;
  task<std::string> read_until(char delimiter, std::size_t max = 0) & {
    return read_until(std::string(1, delimiter), max);
  }

  /// Exactly `count` bytes. Throws: unexpected_eof, which knows how many came; they stay.
  task<std::string> read_exactly(std::size_t count) &;
  /// Fills a buffer, in the same way. Keep alive: the buffer.
  task<> read_exactly(mutable_buffer to) &;
  /// What there is, at least one byte and at most `max`; empty at the end.
  task<std::string> read_some(std::size_t max) &;
  /// Everything up to the end of the stream.
  task<std::string> read_all() &;
  /// What there is, at least one byte; 0 at the end. Keep alive: the buffer.
  task<std::size_t> read(mutable_buffer to) &;

  /// Waits until `count` bytes are there, or the stream ends, and gives all that are there without
  /// taking them. They are valid until the next call.
  task<std::string_view> peek(std::size_t count = 1) &;

  /// What has been read from the stream and not been given yet.
  [[nodiscard]] std::string_view buffered() const noexcept {
    return {buffer_.get() + begin_, end_ - begin_};
  }
  /// The stream beneath.
  [[nodiscard]] std::remove_reference_t<Stream>& stream() noexcept { return stream_; }

  template <detail::source_of_bytes B>
    requires async_writer<Stream>
  auto write(B&& from) & {
    return stream_.write(std::forward<B>(from));
  }
  template <detail::source_of_bytes B>
    requires requires(std::remove_reference_t<Stream>& s, B&& from) {
      s.write_some(std::forward<B>(from));
    }
  auto write_some(B&& from) & {
    return stream_.write_some(std::forward<B>(from));
  }
  auto flush() &
    requires requires(std::remove_reference_t<Stream>& s) { s.flush(); }
  {
    return stream_.flush();
  }
  auto shutdown_write() &
    requires requires(std::remove_reference_t<Stream>& s) { s.shutdown_write(); }
  {
    return stream_.shutdown_write();
  }
  auto close() &
    requires requires(std::remove_reference_t<Stream>& s) { s.close(); }
  {
    return stream_.close();
  }

 private:
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] std::string take(std::size_t count) {
    std::string taken(buffer_.get() + begin_, count);
    drop(count);
    return taken;
  }
  void drop(std::size_t count) noexcept {
    begin_ += count;
    if (begin_ != end_) return;
    begin_ = end_ = 0;
    if (capacity_ > usual()) {  // it has grown for something large, which is gone
      buffer_.reset();
      capacity_ = 0;
    }
  }
  /// The size of the buffer at first: a line and its end, within reason.
  [[nodiscard]] std::size_t usual() const noexcept {
    constexpr std::size_t smallest = 4096;
    return std::max(std::min(max_line_, default_max_line) + 2, smallest);
  }
  void make_room(std::size_t count);
  task<bool> fill(std::size_t wanted);

  Stream stream_;
  std::size_t max_line_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;  // the bytes that have not been given are from here
  std::size_t end_ = 0;    // to here
};

template <typename Stream>
buffered_reader(Stream&&) -> buffered_reader<Stream>;
template <typename Stream>
buffered_reader(Stream&&, std::size_t) -> buffered_reader<Stream>;

/// The lines of a reader.
template <async_reader Stream>
class line_stream {
 public:
  explicit line_stream(buffered_reader<Stream>& from) noexcept : from_(&from) {}
  /// As buffered_reader::read_line. Canceled: nothing is lost, it may be called again.
  auto next() & { return from_->read_line(); }
  /// Nothing is in flight between the calls of next, so there is nothing to wait for.
  task<> close() & { co_return; }

 private:
  buffered_reader<Stream>* from_;
};

// Implementation

/// Makes the buffer large enough for `count` bytes in one piece, those that are there included.
template <async_reader Stream>
void buffered_reader<Stream>::make_room(std::size_t count) {
  if (count > capacity_) {
    const std::size_t larger = std::max({count, usual(), capacity_ * 2});
    std::unique_ptr<char[]> fresh(new char[larger]);  // not zeroed
    if (size() != 0) std::memcpy(fresh.get(), buffer_.get() + begin_, size());
    buffer_ = std::move(fresh);
    capacity_ = larger;
  } else if (begin_ + count > capacity_ || begin_ > capacity_ / 2) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, size());
  } else {
    return;
  }
  end_ = size();
  begin_ = 0;
}

/// Reads once, with room for `wanted` bytes in all. False at the end of the stream.
template <async_reader Stream>
task<bool> buffered_reader<Stream>::fill(std::size_t wanted) {
  make_room(std::max(wanted, size() + 1));
  const std::size_t came =
      co_await stream_.read(mutable_buffer(buffer_.get() + end_, capacity_ - end_));
  end_ += came;
  co_return came != 0;
}

template <async_reader Stream>
task<std::optional<std::string>> buffered_reader<Stream>::read_line() & {
  co_await detail::pass();
  for (std::size_t seen = 0;;) {
    const std::string_view there = buffered();
    const std::size_t end = there.find('\n', seen);
    const std::size_t length = std::min(end, there.size());
    const std::size_t without_cr = length - (length != 0 && there[length - 1] == '\r' ? 1 : 0);
    if (without_cr > max_line_) throw line_too_long(max_line_);
    if (end != there.npos) {
      std::string line(there.substr(0, without_cr));
      drop(end + 1);
      co_return line;
    }
    seen = there.size();
    const bool more = co_await fill(seen + 1);
    if (more) continue;
    if (seen == 0) co_return std::nullopt;
    if (seen > max_line_) throw line_too_long(max_line_);
    co_return take(seen);
  }
}

template <async_reader Stream>
task<std::string> buffered_reader<Stream>::read_until(std::string delimiter, std::size_t max) & {
  co_await detail::pass();
  if (delimiter.empty()) throw std::invalid_argument("read_until needs a delimiter");
  const std::size_t most = std::numeric_limits<std::size_t>::max() - delimiter.size();
  const std::size_t limit = max != 0 ? max : std::min(max_line_, most) + delimiter.size();
  for (std::size_t seen = 0;;) {
    const std::string_view there = buffered();
    const std::size_t at = there.find(delimiter, seen);
    const std::size_t length = at != there.npos ? at + delimiter.size() : there.size();
    if (length > limit || (at == there.npos && length == limit)) throw line_too_long(limit);
    if (at != there.npos) co_return take(length);
    seen = there.size() < delimiter.size() ? 0 : there.size() - delimiter.size() + 1;
    const bool more = co_await fill(there.size() + 1);
    if (!more) throw unexpected_eof(size());
  }
}

template <async_reader Stream>
task<std::string> buffered_reader<Stream>::read_exactly(std::size_t count) & {
  co_await detail::pass();
  while (size() < count) {
    const bool more = co_await fill(count);
    if (!more) throw unexpected_eof(size());
  }
  co_return take(count);
}

template <async_reader Stream>
task<> buffered_reader<Stream>::read_exactly(mutable_buffer to) & {
  co_await detail::pass();
  while (size() < to.size()) {
    const bool more = co_await fill(to.size());
    if (!more) throw unexpected_eof(size());
  }
  if (to.size() != 0) std::memcpy(to.data(), buffer_.get() + begin_, to.size());
  drop(to.size());
}

template <async_reader Stream>
task<std::string> buffered_reader<Stream>::read_some(std::size_t max) & {
  co_await detail::pass();
  if (size() == 0 && max != 0) co_await fill(1);
  co_return take(std::min(max, size()));
}

template <async_reader Stream>
task<std::string> buffered_reader<Stream>::read_all() & {
  co_await detail::pass();
  for (bool more = true; more;) more = co_await fill(size() + 1);
  co_return take(size());
}

template <async_reader Stream>
task<std::size_t> buffered_reader<Stream>::read(mutable_buffer to) & {
  co_await detail::pass();
  if (size() == 0) {
    // What is large goes where it belongs at once.
    if (to.size() >= usual()) co_return co_await stream_.read(to);
    if (to.size() != 0) co_await fill(1);
  }
  const std::size_t count = std::min(to.size(), size());
  if (count != 0) std::memcpy(to.data(), buffer_.get() + begin_, count);
  drop(count);
  co_return count;
}

template <async_reader Stream>
task<std::string_view> buffered_reader<Stream>::peek(std::size_t count) & {
  co_await detail::pass();
  for (bool more = true; more && size() < count;) more = co_await fill(count);
  co_return buffered();
}

}  // namespace rondo

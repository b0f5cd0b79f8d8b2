// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Many small writes cost a system call each. A buffered_writer collects them, and hands them on when
// its buffer is full or when it is told to.
//
//     rondo::buffered_writer out(peer);
//     for (const row& r : rows) co_await out.write(r.text());
//     co_await out.flush();                               // or close(), which flushes first
//
// Nothing is lost: a flush that is canceled or fails keeps what has not gone, and the next one goes
// on with it. Only a stream without `write_some` does not say how much that is: what it was given
// is never given to it again. And a destructor cannot wait: what was not flushed when the writer is
// dropped goes with it.

#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/core/task.hpp>
#include <rondo/io/async_stream.hpp>
#include <rondo/io/buffer.hpp>

namespace rondo {

/// Stream: the type of a stream that it owns, or a reference to one, which is kept alive.
/// Allocates its buffer at the first write.
/// In flight: one call at a time. Keep it where it is meanwhile.
/// Throws, everywhere: what the stream throws. Thread: the loop's.
template <async_writer Stream>
class buffered_writer {
 public:
  static constexpr std::size_t default_capacity = std::size_t{16} << 10;

  explicit buffered_writer(Stream&& stream, std::size_t capacity = default_capacity)
      : stream_(std::forward<Stream>(stream)), capacity_(capacity) {}
  buffered_writer(buffered_writer&& other) noexcept
      : stream_(std::forward<Stream>(other.stream_)),
        capacity_(other.capacity_),
        buffer_(std::move(other.buffer_)),
        begin_(std::exchange(other.begin_, 0)),
        end_(std::exchange(other.end_, 0)) {}
  buffered_writer& operator=(buffered_writer&&) = delete;

  /// Takes everything: into the buffer if it fits, after a flush if need be; what is larger than the
  /// buffer goes to the stream directly. Keep alive: the bytes, unless they are given away.
  /// Canceled: nothing was taken; but how much of what is larger than the buffer went is lost.
  template <detail::source_of_bytes B>
  task<> write(B&& from) & {
    return take_in(detail::source<B>(std::forward<B>(from)));
  }

  /// Hands on what was collected, and returns when it has gone, also out of a buffer beneath.
  /// Canceled: go on with the next one.
  task<> flush() &;

  /// Flushes and closes the stream. Closes it also when flushing fails or is canceled.
  task<> close() &
    requires requires(std::remove_reference_t<Stream>& s) { s.close(); }
  {
    return flush_and_close();
  }

  /// How many bytes wait to be handed on.
  [[nodiscard]] std::size_t pending() const noexcept { return end_ - begin_; }
  /// The stream beneath.
  [[nodiscard]] std::remove_reference_t<Stream>& stream() noexcept { return stream_; }

  auto read(mutable_buffer to) &
    requires async_reader<Stream>
  {
    return stream_.read(to);
  }

 private:
  template <typename Source>
  task<> take_in(Source from);
  task<> flush_and_close();

  Stream stream_;
  std::size_t capacity_;
  std::unique_ptr<char[]> buffer_;
  std::size_t begin_ = 0;  // what has not gone is from here
  std::size_t end_ = 0;    // to here
};

template <typename Stream>
buffered_writer(Stream&&) -> buffered_writer<Stream>;
template <typename Stream>
buffered_writer(Stream&&, std::size_t) -> buffered_writer<Stream>;

// Implementation

template <async_writer Stream>
template <typename Source>
task<> buffered_writer<Stream>::take_in(Source from) {
  co_await detail::pass();
  const const_buffer bytes = from;
  if (bytes.size() > capacity_ - end_) co_await flush();
  if (bytes.size() > capacity_) {
    co_await stream_.write(bytes);
    co_return;
  }
  if (bytes.size() == 0) co_return;
  if (buffer_ == nullptr) buffer_.reset(new char[capacity_]);
  std::memcpy(buffer_.get() + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

template <async_writer Stream>
task<> buffered_writer<Stream>::flush() & {
  co_await detail::pass();
  while (begin_ != end_) {
    const const_buffer rest(buffer_.get() + begin_, end_ - begin_);
    if constexpr (requires { stream_.write_some(rest); }) {
      begin_ += co_await stream_.write_some(rest);
    } else {
      begin_ = end_;  // never twice
      co_await stream_.write(rest);
    }
  }
  begin_ = end_ = 0;
  if constexpr (requires { { stream_.flush() } -> awaitable; }) co_await stream_.flush();
}

template <async_writer Stream>
task<> buffered_writer<Stream>::flush_and_close() {
  std::exception_ptr failure;
  try {
    co_await flush();
  } catch (...) {
    failure = std::current_exception();
  }
  co_await stream_.close();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace rondo

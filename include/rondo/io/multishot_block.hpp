// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What is behind a stream over one operation of the kernel (io/multishot.hpp): all that the kernel
// and the loop may still touch when the stream has gone.
//
//   resting ---> armed ---> resting       the kernel's last completion: an error, the end, or
//      ^           |                      because it wants to be asked again
//      |           v
//      '-------- ending                   it was asked to end: too much is waiting, close, drop
//
// *What* is asked, and where what arrives is kept, is the struct Source:
//
//   using value_type, static constexpr const char* name
//   int begin(engine&) noexcept           before each asking: 0, or a negative errno that ends it
//   void prepare(io_uring_sqe&, int fd) noexcept
//   arrival arrived(int result, std::uint32_t flags) noexcept    of each completion
//   bool empty(), bool full(), value_type take()                 what has arrived
//   void discard() noexcept                                      nobody wants it any more
//   bool park(engine&, in_flight&) noexcept   after arrival::too_early, while somebody waits: calls
//                                         its `go_on` when asking makes sense again, and may have it
//                                         in a list until then. False: it cannot know (no memory)
//   void unpark(in_flight&) noexcept      not any more; also if it is not parked
//   void passed() noexcept                it was told to go on, and does not
//
// Completions are recorded, and whatever asks for an entry waits until there may be one
// (loop/flights.hpp).
//
// Ten thousand idle connections have ten thousand of these, and of what waits in next(). So what can
// be in only one list at a time has only one place for it: in flight, parked, or about to go on.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <rondo/config.hpp>
#include <rondo/core/awaitable.hpp>
#include <rondo/core/error.hpp>
#include <rondo/detail/frame_pool.hpp>
#include <rondo/loop/engine.hpp>

namespace rondo::detail {

/// What a completion was.
enum class arrival : unsigned char {
  kept,       // something to take
  nothing,    // to be asked again, if it was the last
  too_early,  // the same, but not at once
  end,
  error,  // the result is a negative errno
};

/// In place of an errno: the descriptor was closed under the stream.
inline constexpr int stream_closed = 100'001;

/// Somebody who awaits next().
struct place_in_stream : ready_node {
  static constexpr int was_canceled = -1;
  union {
    scope* line;  // while it waits
    int outcome;  // afterwards: 0, what to throw, or was_canceled
  };
};

/// Somebody who waits until nothing is in flight any more.
struct place_in_closing : leaf, ready_node {
  scope* line;
};

template <typename Source>
class multishot_block final : in_flight, guest {
 public:
  multishot_block(int descriptor, Source&& source)
      : in_flight(kind), guest(&multishot_block::heard), source_(std::move(source)) {
    fd = descriptor;
    if (running_loop == nullptr) return;
    // Nothing is in flight that a close of the descriptor could end, so it has to hear of one.
    loop_ = static_cast<engine*>(running_loop);
    loop_->admit(*this);
    closed_ = loop_->is_being_closed(fd);
  }

  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* block, std::size_t size) noexcept { free_frame(block, size); }

  /// As start of a state (core/awaitable.hpp).
  [[nodiscard]] bool start(place_in_stream& place, scope& line, continuation told) noexcept {
    place.waiter = told;
    if (line.canceled()) [[unlikely]] {
      place.outcome = place.was_canceled;
      line.refuse(place);
      return true;
    }
    if (has_something()) {
      place.outcome = take_error();
      return line.loop().ready_at_once(place);
    }
    RONDO_ASSERT(next_ == nullptr, "a second next() on a stream while one is awaited");
    next_ = &place;
    place.line = &line;
    line.enter(*this);
    wait(static_cast<engine&>(line.loop()));
    return true;
  }
  [[nodiscard]] auto take() {
    using given = std::optional<typename Source::value_type>;
    return source_.empty() ? given() : given(source_.take());
  }

  /// The stream gives nothing any more. True: something is in flight still.
  [[nodiscard]] bool close() noexcept {
    ended_ = true;
    disband();
    if (next_ != nullptr) {
      tell();
      loop_->rouse();
    }
    return phase_ != phase::resting;
  }
  /// After that, to wait until nothing is.
  void wait_for_end(place_in_closing& place) noexcept {
    place.next = closing_;
    closing_ = &place;
  }

  /// The stream has gone.
  void drop() noexcept {
    RONDO_ASSERT(next_ == nullptr && closing_ == nullptr,
                 "a stream was destroyed while it is awaited");
    dropped_ = true;
    disband();
    free_if_done();
  }

 private:
  enum class phase : unsigned char { resting, armed, ending };

  ~multishot_block() = default;

  /// Whether next() need not wait.
  [[nodiscard]] bool has_something() const noexcept {
    return !source_.empty() || error_ != 0 || ended_ || closed_;
  }
  /// What next() is to throw, if there is nothing to take.
  [[nodiscard]] int take_error() noexcept {
    if (!source_.empty()) return 0;
    const int error = std::exchange(error_, 0);
    return error == 0 && closed_ && !ended_ ? stream_closed : error;
  }

  void wait(engine& loop) noexcept {
    RONDO_ASSERT((phase_ == phase::resting && !queued_) || loop_ == &loop,
                 "a stream is used on two loops");
    if (phase_ != phase::resting || queued_) return;
    if (loop_ != &loop && guest::linked()) static_cast<guest&>(*this).unlink();
    loop_ = &loop;
    arm();
  }
  void unpark() noexcept {
    if (phase_ == phase::resting && !queued_) source_.unpark(*this);
  }

  void disband() noexcept {
    unwanted_ = true;
    unpark();
    source_.discard();
    error_ = 0;
    if (phase_ == phase::armed) end_it();
    if (guest::linked()) static_cast<guest&>(*this).unlink();
  }
  void end_it() noexcept {
    phase_ = phase::ending;
    queued_ = false;  // from here on it is in the list of what is to be canceled
    loop_->cancel(*this);
  }
  void free_if_done() noexcept {
    if (phase_ == phase::resting && !queued_) delete this;
  }

  void arm() noexcept {
    if (const int error = source_.begin(*loop_); error < 0) return fail(-error);
    io_uring_sqe* const entry = loop_->reserve();
    if (entry == nullptr) [[unlikely]] return fail(EAGAIN);
    source_.prepare(*entry, fd);
    loop_->launch(*entry, *this);
    phase_ = phase::armed;
    if (guest::linked()) static_cast<guest&>(*this).unlink();
  }
  void fail(int error) noexcept {
    error_ = error;
    go_on_later();
  }

  /// Whoever waits does so no more.
  place_in_stream& release(int outcome) noexcept {
    place_in_stream& place = *std::exchange(next_, nullptr);
    place.line->leave();
    place.outcome = outcome;
    return place;
  }
  void tell() noexcept { loop_->complete(release(take_error())); }
  static void cancel_it(leaf& self) noexcept {
    auto& state = static_cast<multishot_block&>(self);
    state.unpark();
    state.loop_->push(state.release(place_in_stream::was_canceled));
  }

  static void completed(in_flight& self, int result, std::uint32_t flags) noexcept {
    auto& b = static_cast<multishot_block&>(self);
    const bool last = (flags & IORING_CQE_F_MORE) == 0;
    b.record(result, b.source_.arrived(result, flags), last);
    if (last) {
      b.in_flight::unlink();
      b.phase_ = phase::resting;
      if (b.queued_) b.loop_->go_on_later(b);
    }
    if (b.unwanted_) {
      b.source_.discard();
      if (last) b.let_go();
      return;
    }
    // Whoever waits for it may be about to take it all: that is seen later.
    if (b.phase_ == phase::armed && b.source_.full()) b.go_on_later();
    if (b.phase_ != phase::armed && !b.guest::linked()) {
      b.loop_->admit(b);  // it must hear of a close, and of one that has begun already
      if (b.loop_->is_being_closed(b.fd)) b.closed_ = true;
    }
    if (b.next_ == nullptr) return;
    if (b.has_something()) {
      b.tell();
    } else if (last) {
      b.go_on_later();
    }
  }

  void record(int result, arrival it, bool last) noexcept {
    too_early_ = it == arrival::too_early;
    if (it == arrival::end) ended_ = true;
    if (it != arrival::error) return;
    if (result == -ECANCELED && last) {
      // The loop has canceled it, or whoever has closed the descriptor.
      if (phase_ == phase::armed && !loop_->winds_up()) closed_ = true;
    } else {
      error_ = -result;
    }
  }

  /// Nothing is in flight any more, and nobody wants anything.
  void let_go() noexcept {
    while (closing_ != nullptr) {
      place_in_closing& place = *closing_;
      closing_ = static_cast<place_in_closing*>(place.next);
      place.line->leave();
      loop_->complete(place);
    }
    if (dropped_) free_if_done();
  }

  // What cannot be done where it turns out, because it asks for an entry.

  void go_on_later() noexcept {
    if (queued_) return;
    queued_ = true;
    loop_->go_on_later(*this);
  }
  static void go_on(in_flight& self) noexcept {
    auto& b = static_cast<multishot_block&>(self);
    if (!b.queued_) return b.go_on_later();  // it was parked, and has a chance
    b.queued_ = false;
    if (b.phase_ == phase::ending) b.loop_->cancel(b);  // that may not have been asked for yet
    if (b.phase_ == phase::armed) b.loop_->still_in_flight(b);
    if (b.dropped_) {
      b.source_.passed();
      return b.free_if_done();
    }
    if (b.phase_ == phase::armed && (b.source_.full() || b.loop_->winds_up())) b.end_it();
    const bool tells = b.next_ != nullptr && b.has_something();
    if (b.next_ == nullptr || b.phase_ != phase::resting || tells) {
      b.source_.passed();
      return tells ? b.tell() : void();
    }
    if (!b.too_early_) return b.arm();
    b.too_early_ = false;
    if (!b.source_.park(*b.loop_, b)) b.fail(ENOMEM);
  }

  static void heard(guest& self, news what, int fd) noexcept {
    auto& b = static_cast<multishot_block&>(self);
    if (what == news::loop_ends) {
      b.loop_ = nullptr;
    } else if (fd == b.fd) {
      b.closed_ = true;
      b.unpark();
      if (b.next_ != nullptr) b.go_on_later();
    }
  }

  static constexpr flight_kind kind{{Source::name, &cancel_it}, &completed, &go_on};

  engine* loop_ = nullptr;               // that it was used on last
  place_in_stream* next_ = nullptr;      // who waits in next()
  place_in_closing* closing_ = nullptr;  // those who wait in close()
  [[no_unique_address]] Source source_;
  phase phase_ : 2 = phase::resting;
  bool too_early_ : 1 = false;  // asking again at once would be in vain
  bool ended_ : 1 = false;      // nothing more will come
  bool unwanted_ : 1 = false;   // and nobody wants what does
  bool closed_ : 1 = false;     // the descriptor is somebody else's by now
  bool queued_ : 1 = false;     // to go on later
  bool dropped_ : 1 = false;
  int error_ = 0;  // to be thrown by next()
};

}  // namespace rondo::detail

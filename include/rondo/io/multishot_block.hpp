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
//   using value_type, static constexpr const char* name, int fd
//   int begin(engine&) noexcept           before each asking: 0, or a negative errno that ends it
//   void prepare(io_uring_sqe&) noexcept
//   arrival arrived(int result, std::uint32_t flags) noexcept    of each completion
//   bool empty(), bool full(), value_type take()                 what has arrived
//   void discard() noexcept                                      nobody wants it any more
//   bool park(engine&, parked_stream&) noexcept   after arrival::too_early, while somebody waits:
//                                         calls `go_on` when asking makes sense again. False: it
//                                         cannot know (no memory)
//   void unpark() noexcept                not any more; also if it is not parked
//   void passed() noexcept                it was told to go on, and does not
//
// Completions are recorded, and whatever asks for an entry goes through the ready queue.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <rondo/config.hpp>
#include <rondo/core/wait_list.hpp>
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

/// A stream whose source waits for something else than the kernel.
struct parked_stream : list_hook {
  explicit parked_stream(void (*on_chance)(parked_stream&) noexcept) noexcept : go_on(on_chance) {}
  void (*go_on)(parked_stream&) noexcept;
};

template <typename Source>
class multishot_block final : in_flight, guest, parked_stream, listener, ready_node {
 public:
  explicit multishot_block(Source&& source)
      : in_flight(&multishot_block::completed),
        guest(&multishot_block::heard),
        parked_stream(&multishot_block::has_a_chance),
        listener{&multishot_block::go_on_now},
        source_(std::move(source)) {
    waiter = continuation(static_cast<listener&>(*this));
  }

  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* block, std::size_t size) noexcept { free_frame(block, size); }

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
  [[nodiscard]] auto take() {
    using given = std::optional<typename Source::value_type>;
    return source_.empty() ? given() : given(source_.take());
  }

  void wait(listener& w, engine& loop) noexcept {
    RONDO_ASSERT(waiting_ == nullptr, "a second next() on a stream while one is awaited");
    RONDO_ASSERT(phase_ == phase::resting || loop_ == &loop, "a stream is used on two loops");
    waiting_ = &w;
    if (phase_ != phase::resting) return;
    if (loop_ != &loop && guest::linked()) static_cast<guest&>(*this).unlink();
    loop_ = &loop;
    arm();
  }
  void stop_waiting() noexcept {
    waiting_ = nullptr;
    source_.unpark();
  }

  /// The stream gives nothing any more. True: something is in flight still.
  [[nodiscard]] bool close() noexcept {
    ended_ = true;
    disband();
    if (waiting_ != nullptr) {
      tell();
      loop_->rouse();
    }
    return phase_ != phase::resting;
  }
  /// Those who wait until nothing is.
  [[nodiscard]] wait_list& closing() noexcept { return closing_; }

  /// The stream has gone.
  void drop() noexcept {
    RONDO_ASSERT(waiting_ == nullptr && closing_.empty(),
                 "a stream was destroyed while it is awaited");
    dropped_ = true;
    disband();
    free_if_done();
  }

 private:
  enum class phase : unsigned char { resting, armed, ending };

  ~multishot_block() = default;

  void disband() noexcept {
    unwanted_ = true;
    source_.unpark();
    source_.discard();
    error_ = 0;
    if (phase_ == phase::armed) end_it();
    if (guest::linked()) static_cast<guest&>(*this).unlink();
  }
  void end_it() noexcept {
    phase_ = phase::ending;
    loop_->cancel(*this);
  }
  void free_if_done() noexcept {
    if (phase_ == phase::resting && !queued_) delete this;
  }

  void arm() noexcept {
    if (const int error = source_.begin(*loop_); error < 0) return fail(-error);
    io_uring_sqe* const entry = loop_->reserve();
    if (entry == nullptr) [[unlikely]] return fail(EAGAIN);
    source_.prepare(*entry);
    in_flight::fd = source_.fd;
    loop_->launch(*entry, *this);
    phase_ = phase::armed;
    if (guest::linked()) static_cast<guest&>(*this).unlink();
  }
  void fail(int error) noexcept {
    error_ = error;
    go_on_later();
  }

  void tell() noexcept {
    listener& w = *std::exchange(waiting_, nullptr);
    w.notify(w);
  }

  static void completed(in_flight& self, int result, std::uint32_t flags) noexcept {
    auto& b = static_cast<multishot_block&>(self);
    const bool last = (flags & IORING_CQE_F_MORE) == 0;
    b.record(result, b.source_.arrived(result, flags), last);
    if (last) {
      b.in_flight::unlink();
      b.phase_ = phase::resting;
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
      if (b.loop_->is_being_closed(b.source_.fd)) b.closed_ = true;
    }
    if (b.waiting_ == nullptr) return;
    if (b.has_something()) {
      b.tell();
    } else if (last) {
      b.go_on_later();
    }
  }

  void record(int result, arrival what, bool last) noexcept {
    too_early_ = what == arrival::too_early;
    if (what == arrival::end) ended_ = true;
    if (what != arrival::error) return;
    if (result == -ECANCELED && last) {
      // The loop has canceled it, or whoever has closed the descriptor.
      if (phase_ == phase::armed && !loop_->winds_up()) closed_ = true;
    } else {
      error_ = -result;
    }
  }

  /// Nothing is in flight any more, and nobody wants anything.
  void let_go() noexcept {
    closing_.wake_all();
    if (dropped_) free_if_done();
  }

  // What cannot be done where it turns out, because it asks for an entry.

  void go_on_later() noexcept {
    if (std::exchange(queued_, true)) return;
    loop_->push(*this);
    loop_->rouse();
  }
  static void has_a_chance(parked_stream& self) noexcept {
    static_cast<multishot_block&>(self).go_on_later();
  }
  static void go_on_now(listener& self) noexcept {
    auto& b = static_cast<multishot_block&>(self);
    b.queued_ = false;
    if (b.dropped_) {
      b.source_.passed();
      return b.free_if_done();
    }
    if (b.phase_ == phase::armed && b.source_.full()) b.end_it();
    const bool tells = b.waiting_ != nullptr && b.has_something();
    if (b.waiting_ == nullptr || b.phase_ != phase::resting || tells) {
      b.source_.passed();
      return tells ? b.tell() : void();
    }
    if (!std::exchange(b.too_early_, false)) return b.arm();
    if (!b.source_.park(*b.loop_, b)) b.fail(ENOMEM);
  }

  static void heard(guest& self, news what, int fd) noexcept {
    auto& b = static_cast<multishot_block&>(self);
    if (what == news::loop_ends) {
      b.loop_ = nullptr;
    } else if (fd == b.source_.fd) {
      b.closed_ = true;
      b.source_.unpark();
      if (b.waiting_ != nullptr) b.go_on_later();
    }
  }

  engine* loop_ = nullptr;       // that it was used on last
  listener* waiting_ = nullptr;  // next()
  wait_list closing_;            // close()
  int error_ = 0;                // to be thrown by next()
  phase phase_ = phase::resting;
  bool too_early_ = false;  // asking again at once would be in vain
  bool ended_ = false;      // nothing more will come
  bool unwanted_ = false;   // and nobody wants what does
  bool closed_ = false;     // the descriptor is somebody else's by now
  bool queued_ = false;     // to go on later
  bool dropped_ = false;
  Source source_;
};

}  // namespace rondo::detail

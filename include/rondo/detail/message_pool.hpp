// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Where messages to loops come from. One thread makes them and another frees them, and that is what
// malloc does slowest: each block goes from processor to processor and back, one by one.
//
// So a thread makes its messages one after the other in a page, and the page counts those that are
// left. Whoever frees the last one puts the page into the stock, where the next thread that needs
// one finds it; so a lock is taken twice a page, and not for each message. Messages are read in the
// order in which they lie there, so the processor fetches them ahead.
//
// - A page comes from operator new, so any shared object may free it. It is held until its last
//   message is gone.
// - The stock keeps at most `page_stock::most_kept` bytes; pages beyond that are deleted.
// - What is thread-local is as in frame_pool.hpp: usable at any time in a thread's life.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#include <rondo/config.hpp>

namespace rondo::detail {

struct message_page {
  static constexpr std::size_t alignment = 4096;  // a message's page is found from its address
  static constexpr std::size_t size = alignment - 2 * sizeof(void*);  // the rest is for malloc

  static message_page& of(void* message) noexcept {
    return *reinterpret_cast<message_page*>(reinterpret_cast<std::uintptr_t>(message) &
                                            ~(alignment - 1));
  }

  std::atomic<std::uint32_t> owners;  // its messages, and those that its thread may still make
  message_page* next;                 // in the stock
};

/// What a message takes of its page.
constexpr std::size_t message_size(std::size_t size) noexcept {
  constexpr std::size_t granule = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  return (size + granule - 1) / granule * granule;
}

class page_stock {
 public:
  static constexpr std::size_t most_kept = std::size_t{8} << 20;

  /// Throws: std::bad_alloc.
  message_page& take() {
    {
      const std::lock_guard lock(mutex_);
      if (first_ != nullptr) {
        kept_ -= message_page::alignment;
        return *std::exchange(first_, first_->next);
      }
    }
    return *::new (::operator new(message_page::size, std::align_val_t{message_page::alignment}))
        message_page;
  }
  void put(message_page& page) noexcept {
    {
      const std::lock_guard lock(mutex_);
      if (kept_ < most_kept) {
        kept_ += message_page::alignment;
        page.next = std::exchange(first_, &page);
        return;
      }
    }
    ::operator delete(&page, std::align_val_t{message_page::alignment});
  }

 private:
  std::mutex mutex_;
  message_page* first_ = nullptr;
  std::size_t kept_ = 0;
};

RONDO_VISIBLE inline constinit page_stock empty_pages{};

/// The page in which this thread makes its messages.
class message_pool {
 public:
  /// Throws: std::bad_alloc.
  void* allocate(std::size_t size) {
    size = message_size(size);
    if (left_ < size) [[unlikely]] turn_page(size);
    void* const message = reinterpret_cast<char*>(page_) + message_page::size - left_;
    left_ -= size;
    --unmade_;
    return message;
  }
  static void free(void* message) noexcept { disown(message_page::of(message), 1); }

  /// The thread ends. What it still sends has a page each.
  void end() noexcept {
    leave_page();
    ended_ = true;
  }

 private:
  static constexpr std::uint32_t room = message_page::size - message_size(sizeof(message_page));
  static constexpr std::uint32_t plenty = room;  // messages, more than fit

  static void disown(message_page& page, std::uint32_t by) noexcept {
    if (page.owners.fetch_sub(by, std::memory_order_acq_rel) == by) empty_pages.put(page);
  }
  void leave_page() noexcept {
    left_ = 0;
    if (unmade_ != 0) disown(*page_, std::exchange(unmade_, 0));
  }
  void turn_page(std::size_t size);

  message_page* page_ = nullptr;
  std::size_t left_ = 0;      // bytes of it
  std::uint32_t unmade_ = 0;  // owners of it that are no messages yet; 0: the thread has no page
  bool ended_ = false;
};

RONDO_VISIBLE inline constinit thread_local message_pool messages{};

struct message_pool_owner {
  ~message_pool_owner() { messages.end(); }
};

[[gnu::noinline]] inline void message_pool::turn_page(std::size_t size) {
  static thread_local message_pool_owner owner;
  leave_page();
  page_ = &empty_pages.take();
  left_ = ended_ ? size : room;
  unmade_ = ended_ ? 1 : plenty;
  page_->owners.store(unmade_, std::memory_order_relaxed);
}

template <typename Message>
inline constexpr bool fits_page = RONDO_FRAME_POOL && sizeof(Message) <= 512 &&
                                  alignof(Message) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;

/// For a class to derive from whose objects are made by one thread and deleted by another.
template <typename Message>
struct made_in_pages {
  static void* operator new(std::size_t size) {
    if constexpr (fits_page<Message>) {
      return messages.allocate(size);
    } else {
      return ::operator new(size, std::align_val_t{alignof(Message)});
    }
  }
  static void operator delete(void* message) noexcept {
    if constexpr (fits_page<Message>) {
      message_pool::free(message);
    } else {
      ::operator delete(message, std::align_val_t{alignof(Message)});
    }
  }
};

}  // namespace rondo::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A doubly linked list whose links live in its elements: no allocation, and an element takes itself
// out without knowing which list it is in.
//
//     struct timer : list_hook {};
//     intrusive_list<timer> armed;
//     armed.push_back(t);   t.unlink();

#include <rondo/config.hpp>

namespace rondo::detail {

class list_hook {
 public:
  list_hook() noexcept : previous_(nullptr), next_(nullptr) {}
  /// Is not asked whether it is in a list before it was in one; only the asserts ask, and for them it
  /// is in none.
  struct later {};
  explicit list_hook(later) noexcept {
#ifndef NDEBUG
    next_ = nullptr;
#endif
  }
  list_hook(const list_hook&) = delete;
  list_hook& operator=(const list_hook&) = delete;

  [[nodiscard]] bool linked() const noexcept { return next_ != nullptr; }

  /// Takes the element out of the list it is in.
  void unlink() noexcept {
    RONDO_ASSERT(linked(), "an element that is in no list was unlinked");
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = nullptr;
  }

 protected:
  ~list_hook() { RONDO_ASSERT(!linked(), "an element was destroyed while it was in a list"); }

 private:
  template <typename>
  friend class intrusive_list;

  list_hook* previous_;
  list_hook* next_;  // null: in no list
};

template <typename T>
class intrusive_list {
 public:
  intrusive_list() noexcept { head_.next_ = head_.previous_ = &head_; }
  intrusive_list(const intrusive_list&) = delete;
  intrusive_list& operator=(const intrusive_list&) = delete;
  ~intrusive_list() {
    RONDO_ASSERT(empty(), "a list was destroyed before its elements");
    head_.next_ = nullptr;
  }

  [[nodiscard]] bool empty() const noexcept { return head_.next_ == &head_; }
  [[nodiscard]] T& front() noexcept { return static_cast<T&>(*head_.next_); }

  void push_back(T& element) noexcept {
    list_hook& hook = element;
    RONDO_ASSERT(!hook.linked(), "an element was put in two lists");
    hook.previous_ = head_.previous_;
    hook.next_ = &head_;
    head_.previous_->next_ = &hook;
    head_.previous_ = &hook;
  }

  T& pop_front() noexcept {
    T& first = front();
    static_cast<list_hook&>(first).unlink();
    return first;
  }

  /// The first of whom it is true; null: there is none.
  template <typename F>
  [[nodiscard]] T* find(F is) noexcept {
    for (list_hook* hook = head_.next_; hook != &head_; hook = hook->next_) {
      if (is(static_cast<T&>(*hook))) return static_cast<T*>(hook);
    }
    return nullptr;
  }

  /// Calls f with every element. f may unlink the element that it is given, and no other.
  template <typename F>
  void for_each(F f) {
    for (list_hook* hook = head_.next_; hook != &head_;) {
      list_hook* const next = hook->next_;
      f(static_cast<T&>(*hook));
      hook = next;
    }
  }

 private:
  struct sentinel : list_hook {};
  sentinel head_;
};

}  // namespace rondo::detail

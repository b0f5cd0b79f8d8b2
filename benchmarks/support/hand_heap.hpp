// SPDX-License-Identifier: BSL-1.0
#pragma once

// Deadlines by hand: a heap with four children a node. Each entry has a `due`, and is told by
// moved_to(place) where it is, in case that it is to be taken out before.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace hand {

/// An entry of somebody who knows his `place`.
template <typename Owner>
struct deadline {
  std::chrono::steady_clock::time_point due;
  Owner* who;
  void moved_to(std::size_t place) const { who->place = place; }
};

template <typename Entry>
class heap {
 public:
  bool empty() const { return all_.empty(); }
  const Entry& first() const { return all_.front(); }

  void push(const Entry& entry) {
    all_.push_back(entry);
    rise(all_.size() - 1, entry);
  }
  Entry pop() {
    const Entry first = all_.front();
    erase(0);
    return first;
  }
  void erase(std::size_t place) {
    const Entry last = all_.back();
    all_.pop_back();
    if (place == all_.size()) return;
    if (place > 0 && last.due < all_[(place - 1) / 4].due) {
      rise(place, last);
    } else {
      sink(place, last);
    }
  }

 private:
  void put(std::size_t place, const Entry& entry) {
    all_[place] = entry;
    entry.moved_to(place);
  }
  void rise(std::size_t at, const Entry& entry) {
    for (; at > 0 && entry.due < all_[(at - 1) / 4].due; at = (at - 1) / 4) {
      put(at, all_[(at - 1) / 4]);
    }
    put(at, entry);
  }
  void sink(std::size_t at, const Entry& entry) {
    for (std::size_t child; (child = at * 4 + 1) < all_.size(); at = child) {
      const std::size_t end = std::min(child + 4, all_.size());
      for (std::size_t i = child + 1; i < end; ++i) {
        if (all_[i].due < all_[child].due) child = i;
      }
      if (entry.due <= all_[child].due) break;
      put(at, all_[child]);
    }
    put(at, entry);
  }

  std::vector<Entry> all_;
};

}  // namespace hand

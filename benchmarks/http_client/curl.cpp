// SPDX-License-Identifier: BSL-1.0

// libcurl's multi_socket interface and epoll, as its documentation has it, with handles that are
// used again as they are. The limit.

#include "question.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include <curl/curl.h>

namespace {

class client {
 public:
  explicit client(const std::string& url) : url_(url), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    multi_ = curl_multi_init();
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &client::on_socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &client::on_timer);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    bodies_.resize(question::connections);
    for (std::string& body : bodies_) {
      CURL* const easy = curl_easy_init();
      curl_easy_setopt(easy, CURLOPT_URL, url_.c_str());
      curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
      curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &client::on_body);
      curl_easy_setopt(easy, CURLOPT_WRITEDATA, static_cast<void*>(&body));
      curl_easy_setopt(easy, CURLOPT_PRIVATE, static_cast<void*>(&body));
      handles_.push_back(easy);
    }
  }
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  ~client() {
    for (CURL* const easy : handles_) curl_easy_cleanup(easy);
    curl_multi_cleanup(multi_);
    ::close(epoll_);
  }

  void ask(int requests) {
    to_begin_ = requests;
    to_end_ = requests;
    for (CURL* const easy : handles_) begin(easy);
    while (to_end_ > 0) turn();
  }

 private:
  void begin(CURL* easy) {
    if (to_begin_ == 0) return;
    --to_begin_;
    curl_multi_add_handle(multi_, easy);
  }

  void turn() {
    std::array<epoll_event, 64> events;
    const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_);
    int running = 0;
    for (int i = 0; i < n; ++i) {
      const auto& e = events[static_cast<std::size_t>(i)];
      int ready = 0;
      if ((e.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) ready |= CURL_CSELECT_IN;
      if ((e.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) ready |= CURL_CSELECT_OUT;
      curl_multi_socket_action(multi_, e.data.fd, ready, &running);
    }
    if (n == 0 || timeout_ == 0) {
      timeout_ = -1;
      curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    int left = 0;
    while (CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
      CURL* const easy = message->easy_handle;
      std::string* body = nullptr;
      long status = 0;
      bench::check(message->data.result == CURLE_OK, "no error");
      curl_easy_getinfo(easy, CURLINFO_PRIVATE, &body);
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
      bench::check(status == 200 && *body == question::answer, "the answer");
      body->clear();
      curl_multi_remove_handle(multi_, easy);
      --to_end_;
      begin(easy);
    }
  }

  static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void* known) {
    auto& c = *static_cast<client*>(self);
    if (what == CURL_POLL_REMOVE) {
      ::epoll_ctl(c.epoll_, EPOLL_CTL_DEL, fd, nullptr);
      return 0;
    }
    epoll_event e{};
    e.data.fd = fd;
    if ((what & CURL_POLL_IN) != 0) e.events |= EPOLLIN;
    if ((what & CURL_POLL_OUT) != 0) e.events |= EPOLLOUT;
    ::epoll_ctl(c.epoll_, known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e);
    if (known == nullptr) curl_multi_assign(c.multi_, fd, self);
    return 0;
  }
  static int on_timer(CURLM*, long milliseconds, void* self) {
    static_cast<client*>(self)->timeout_ = static_cast<int>(milliseconds);
    return 0;
  }
  static std::size_t on_body(char* bytes, std::size_t, std::size_t size, void* body) {
    static_cast<std::string*>(body)->append(bytes, size);
    return size;
  }

  std::string url_;
  int epoll_;
  CURLM* multi_ = nullptr;
  int timeout_ = -1;
  int to_begin_ = 0;
  int to_end_ = 0;
  std::vector<CURL*> handles_;
  std::vector<std::string> bodies_;
};

void measure(bench::row& row, client& c) {
  while (row.again()) c.ask(question::requests);
}

}  // namespace

int main() {
  client c(question::url());
  bench::row get = question::get("curl");
  measure(get, c);
  bench::row get_cpu = question::get_cpu("curl");
  measure(get_cpu, c);
}

// SPDX-License-Identifier: BSL-1.0
#pragma once

// Servers in Python and Go are programs of their own, which get their connections by inheritance.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "bench.hpp"

namespace bench {

/// A server of the question's folder: in Python, or in Go together with support/bench.go, which is
/// compiled here.
class script {
 public:
  /// source: __FILE__ of a contender in the folder peers. Skips if there is no Go.
  script(const std::filesystem::path& source, std::string_view name) {
    const auto question = source.parent_path().parent_path();
    if (name.ends_with(".py")) {
      const char* const python = std::getenv("PYTHON");
      command_ = {python ? python : "python3", question / name};
      return;
    }
    if (std::system("go version >/dev/null 2>&1") != 0) skip("needs go (golang-go)");
    std::string folder = std::filesystem::temp_directory_path() / "rondo-go-XXXXXX";
    check(::mkdtemp(folder.data()) != nullptr, "a folder");
    built_in_ = folder;
    for (const auto& file : {question / name, question.parent_path() / "support/bench.go"}) {
      std::filesystem::copy(file, built_in_);
    }
    const std::string build = "cd " + built_in_.string() + " && go build -o server *.go";
    check(std::system(build.c_str()) == 0, "go build");
    command_ = {built_in_ / "server"};
  }
  script(const script&) = delete;
  script& operator=(const script&) = delete;
  ~script() {
    if (!built_in_.empty()) std::filesystem::remove_all(built_in_);
  }

  /// With these arguments and then the descriptors, a comma after each. The server's ends are closed
  /// here: they are the script's. Ends this program if that was skipped or failed.
  void run(const std::vector<std::string>& words, const std::vector<std::vector<int>*>& groups) {
    std::vector<std::string> texts = command_;
    texts.insert(texts.end(), words.begin(), words.end());
    for (const auto* group : groups) {
      std::string& list = texts.emplace_back();
      for (const int fd : *group) list += std::to_string(fd) + ",";
    }
    std::vector<char*> arguments;
    for (std::string& text : texts) arguments.push_back(text.data());
    arguments.push_back(nullptr);

    const pid_t child = ::fork();
    if (child == 0) {
      for (const auto* group : groups) {
        for (const int fd : *group) ::fcntl(fd, F_SETFD, 0);
      }
      ::execvp(arguments.front(), arguments.data());
      std::perror(arguments.front());
      ::_exit(127);
    }
    for (const auto* group : groups) {
      for (const int fd : *group) ::close(fd);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) std::exit(77);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the server ends well");
  }

 private:
  std::vector<std::string> command_;
  std::filesystem::path built_in_;  // empty: it was not
};

}  // namespace bench

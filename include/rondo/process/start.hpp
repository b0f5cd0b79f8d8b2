// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Starting a program: descriptors for its standard streams, and one call of posix_spawn(3), which
// does not copy this process's memory and reports what went wrong in the child.
//
// The child gets its three standard streams and no other descriptor of rondo's (all close on exec),
// an empty signal mask, and SIGPIPE as the system has it, which the loop ignores in this process.

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <rondo/io/descriptor.hpp>
#include <rondo/process/child_process.hpp>
#include <rondo/process/command.hpp>
#include <rondo/streams/pipe.hpp>

namespace rondo {

/// What a standard stream of a program is.
enum class stdio {
  inherit,  // this process's
  pipe,     // a pipe, whose other end the `process` has
  null,     // /dev/null: nothing to read, and what is written is forgotten
};

namespace detail {

/// One of the three, on both sides.
struct standard_stream {
  descriptor theirs;  // none: inherited
  descriptor ours;    // none: not a pipe
};

[[nodiscard]] inline standard_stream make_standard_stream(stdio what, int number) {
  standard_stream made;
  if (what == stdio::pipe) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::system_category(), "pipe for a process");
    }
    descriptor reader(ends[0]);
    descriptor writer(ends[1]);
    made.theirs = std::move(number == STDIN_FILENO ? reader : writer);
    made.ours = std::move(number == STDIN_FILENO ? writer : reader);
  } else if (what == stdio::null) {
    made.theirs = descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!made.theirs) throw std::system_error(errno, std::system_category(), "open /dev/null");
  }
  // Where this process has closed its own 0, 1 or 2, a pipe may have got the number: putting the
  // child's streams in place would overwrite it.
  if (made.theirs && made.theirs.native_handle() <= STDERR_FILENO) {
    made.theirs = descriptor(duplicate(made.theirs.native_handle(), "pipe for a process"));
  }
  return made;
}

/// The attributes and file actions of posix_spawn, and their errors as exceptions.
class spawn_setup {
 public:
  spawn_setup() {
    check(::posix_spawn_file_actions_init(&actions_));
    if (const int error = ::posix_spawnattr_init(&attributes_); error != 0) {
      ::posix_spawn_file_actions_destroy(&actions_);
      check(error);
    }
  }
  spawn_setup(const spawn_setup&) = delete;
  spawn_setup& operator=(const spawn_setup&) = delete;
  ~spawn_setup() {
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&actions_);
  }

  void reset_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    check(::posix_spawnattr_setsigmask(&attributes_, &set));
    ::sigaddset(&set, SIGPIPE);
    check(::posix_spawnattr_setsigdefault(&attributes_, &set));
    check(::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  }
  void put(const descriptor& fd, int number) {
    if (fd) check(::posix_spawn_file_actions_adddup2(&actions_, fd.native_handle(), number));
  }
  void change_folder(const std::string& folder) {
    if (!folder.empty()) {
      check(::posix_spawn_file_actions_addchdir_np(&actions_, folder.c_str()));
    }
  }
  /// 0 or an errno.
  [[nodiscard]] int start(pid_t& child, std::vector<std::string> words,
                          std::vector<std::string> environment) const {
    return ::posix_spawnp(&child, words.front().c_str(), &actions_, &attributes_,
                          pointers(words).data(), pointers(environment).data());
  }

 private:
  static void check(int error) {
    if (error != 0) throw std::system_error(error, std::system_category(), "posix_spawn");
  }
  static std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> all;
    all.reserve(strings.size() + 1);
    for (std::string& s : strings) all.push_back(s.data());
    all.push_back(nullptr);
    return all;
  }

  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

/// Throws: std::system_error that names the program, and the folder if that is what is wrong.
[[noreturn]] inline void throw_not_started(const command& what, int error) {
  std::string text = "run " + what.words().front();
  if (!what.cwd().empty()) {
    const descriptor folder(::open(what.cwd().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    // To be in it takes another permission than to see it.
    if (!folder || ::faccessat(AT_FDCWD, what.cwd().c_str(), X_OK, AT_EACCESS) != 0) {
      error = errno;
      text += " in " + what.cwd();
    }
  }
  throw std::system_error(error, std::system_category(), text);
}

[[nodiscard]] inline child_handle start_process(const command& what, const descriptor& in,
                                                const descriptor& out, const descriptor& err) {
  child_process::reap_left_over();
  spawn_setup setup;
  setup.reset_signals();
  setup.put(in, STDIN_FILENO);
  setup.put(out, STDOUT_FILENO);
  setup.put(err, STDERR_FILENO);
  setup.change_folder(what.cwd());
  child_handle child(new child_process());
  pid_t pid = -1;
  if (const int error = setup.start(pid, what.words(), what.environment()); error != 0) {
    throw_not_started(what, error);
  }
  if (const int error = child->adopt(pid); error != 0) {  // no descriptor left
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    throw std::system_error(error, std::system_category(), "run " + what.words().front());
  }
  return child;
}

}  // namespace detail
}  // namespace rondo

// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Which of the two rings serves a loop, and why. What loop_options say counts, else the
// environment:
//
//     RONDO_BACKEND=epoll ./program        # or io_uring, or automatic
//
// `automatic` takes io_uring where it works, and epoll where it is refused, missing, too old or
// short of memory. The reason is one line for people (event_loop::backend_reason).

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <rondo/loop/options.hpp>

namespace rondo::detail {

struct backend_wish {
  backend which = backend::automatic;
  std::string_view whose;  // for the reason
};

/// Throws: std::invalid_argument, when the environment names none.
inline backend_wish wished_backend(backend option) {
  if (option != backend::automatic) return {option, "loop_options ask for it"};
  const char* const text = std::getenv("RONDO_BACKEND");
  const std::string_view name = text != nullptr ? text : "";
  if (name.empty() || name == "automatic") return {};
  if (name == "io_uring") return {backend::io_uring, "RONDO_BACKEND=io_uring"};
  if (name == "epoll") return {backend::epoll, "RONDO_BACKEND=epoll"};
  throw std::invalid_argument("rondo: RONDO_BACKEND=" + std::string(name) +
                              ": it can be automatic, io_uring or epoll");
}

/// RONDO_DEBUG=1 is as good as loop_options::debug.
inline const loop_options& add_environment(loop_options& options) {
  const char* const text = std::getenv("RONDO_DEBUG");
  const std::string_view value = text != nullptr ? text : "";
  if (!value.empty() && value != "0") options.debug = true;
  return options;
}

/// What to do about ENOMEM.
inline constexpr std::string_view locked_memory_advice =
    "the limit on locked memory is too low. Raise it (ulimit -l, LimitMEMLOCK= in a systemd unit, "
    "--ulimit memlock= for docker run)";

/// Why the kernel's ring cannot be used: a system call and its errno.
struct ring_failure {
  int error = 0;  // 0: it can
  std::string_view call;

  /// Without a descriptor the other ring would fail as well.
  [[nodiscard]] bool is_fatal() const noexcept { return error == EMFILE || error == ENFILE; }

  /// In one line.
  [[nodiscard, gnu::cold]] std::string reason() const {
    return std::string(call).append(": ").append(cause());
  }

  /// Says what is wrong and what to do about it.
  [[noreturn, gnu::cold]] void raise(unsigned entries) const {
    std::string text(call);
    switch (error) {
      case EPERM:
      case EACCES:
        text +=
            " is refused: a seccomp profile (Docker's and containerd's default is one) or the "
            "sysctl kernel.io_uring_disabled forbids io_uring. Allow io_uring_setup, "
            "io_uring_enter and io_uring_register in the profile (docker run --security-opt "
            "seccomp=PROFILE), or set the sysctl to 0";
        break;
      case ENOSYS:
        text +=
            " does not exist here: the kernel was built without io_uring, or a seccomp profile "
            "hides it. rondo's io_uring backend needs Linux 6.1 or newer with io_uring allowed";
        break;
      case ENOMEM:
        text += " found no memory for " + std::to_string(entries) + " entries: ";
        text += locked_memory_advice;
        text += " or ask for fewer entries in loop_options";
        break;
      case EMFILE:
      case ENFILE:
        text += " found no free descriptor: raise the limit on open files (ulimit -n)";
        break;
      case EINVAL:
        text += " does not know what rondo asks for: its io_uring backend needs Linux 6.1 or newer";
        break;
      default:
        text += " failed";
    }
    if (!is_fatal()) text += ". The backends automatic and epoll run without io_uring";
    throw std::system_error(error, std::generic_category(), text);
  }

 private:
  [[nodiscard, gnu::cold]] std::string cause() const {
    switch (error) {
      case EPERM:
        return "EPERM (a seccomp profile or kernel.io_uring_disabled forbids io_uring)";
      case EACCES:
        return "EACCES (a seccomp profile or a security module forbids io_uring)";
      case ENOSYS:
        return "ENOSYS (the kernel has no io_uring, or a seccomp profile hides it)";
      case ENOMEM:
        return "ENOMEM (the limit on locked memory is too low: ulimit -l)";
      case EINVAL:
        return "EINVAL (this io_uring is older than Linux 6.1)";
      default:
        return std::generic_category().message(error);
    }
  }
};

}  // namespace rondo::detail

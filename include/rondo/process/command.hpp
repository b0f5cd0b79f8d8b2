// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What is to be run: a program, its arguments, and the environment it finds.
//
//     command("ls", "-l").cwd("/tmp").env("LC_ALL", "C")
//     shell("grep -c error *.log | sort")                  // for /bin/sh, which expands and pipes
//
// A program without a slash is looked for in the PATH of this process. No shell sees the arguments,
// so nothing in them needs to be quoted.

#include <concepts>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <vector>

namespace rondo {

class command;

namespace detail {

template <typename S>
concept command_word = !std::same_as<std::remove_cvref_t<S>, command> &&
                       (std::convertible_to<S, std::string> || std::convertible_to<S, std::string_view> ||
                        std::same_as<std::remove_cvref_t<S>, std::filesystem::path>);

template <command_word S>
std::string to_word(S&& word) {
  std::string text;
  if constexpr (std::same_as<std::remove_cvref_t<S>, std::filesystem::path>) {
    text = word.native();
  } else if constexpr (std::convertible_to<S, std::string>) {
    text = std::forward<S>(word);
  } else {
    text = std::string_view(word);
  }
  if (text.find('\0') != text.npos) {
    throw std::invalid_argument("a command cannot contain a zero byte");
  }
  return text;
}

}  // namespace detail

/// Setters may be chained, on a temporary and on a variable. Throws, everywhere:
/// std::invalid_argument for a zero byte.
class command {
 public:
  /// The program, and its arguments. Implicit, so that `run_process({"ls", "-l"})` works.
  template <detail::command_word Program, detail::command_word... Arguments>
  command(Program&& program, Arguments&&... arguments) {
    words_.reserve(1 + sizeof...(arguments));
    words_.push_back(detail::to_word(std::forward<Program>(program)));
    (words_.push_back(detail::to_word(std::forward<Arguments>(arguments))), ...);
  }

  /// One more argument.
  template <detail::command_word S>
  command& arg(S&& argument) & {
    words_.push_back(detail::to_word(std::forward<S>(argument)));
    return *this;
  }
  /// The folder that it runs in; this process's by default.
  template <detail::command_word S>
  command& cwd(S&& folder) & {
    cwd_ = detail::to_word(std::forward<S>(folder));
    return *this;
  }
  /// Adds or replaces a variable of the environment, which is this process's otherwise.
  template <detail::command_word K, detail::command_word V>
  command& env(K&& name, V&& value) & {
    std::string entry = detail::to_word(std::forward<K>(name));
    if (entry.empty() || entry.find('=') != entry.npos) {
      throw std::invalid_argument("\"" + entry + "\" is no name for an environment variable");
    }
    entry += '=';
    remove(entry);
    environment_.push_back(entry + detail::to_word(std::forward<V>(value)));
    return *this;
  }
  /// Nothing of this process's environment, and nothing that was added before.
  command& clear_env() & {
    inherit_ = false;
    environment_.clear();
    return *this;
  }

  template <detail::command_word S>
  command&& arg(S&& argument) && {
    return std::move(arg(std::forward<S>(argument)));
  }
  template <detail::command_word S>
  command&& cwd(S&& folder) && {
    return std::move(cwd(std::forward<S>(folder)));
  }
  template <detail::command_word K, detail::command_word V>
  command&& env(K&& name, V&& value) && {
    return std::move(env(std::forward<K>(name), std::forward<V>(value)));
  }
  command&& clear_env() && { return std::move(clear_env()); }

  [[nodiscard]] const std::vector<std::string>& words() const noexcept { return words_; }
  [[nodiscard]] const std::string& cwd() const noexcept { return cwd_; }
  /// "NAME=value" for each variable that the program will find.
  [[nodiscard]] std::vector<std::string> environment() const {
    std::vector<std::string> all;
    for (char** entry = inherit_ ? ::environ : nullptr; entry != nullptr && *entry != nullptr;
         ++entry) {
      const std::string_view text(*entry);
      if (!sets(text.substr(0, text.find('=') + 1))) all.emplace_back(text);
    }
    all.insert(all.end(), environment_.begin(), environment_.end());
    return all;
  }

 private:
  [[nodiscard]] bool sets(std::string_view name_and_sign) const noexcept {
    for (const std::string& entry : environment_) {
      if (entry.compare(0, name_and_sign.size(), name_and_sign) == 0) return true;
    }
    return false;
  }
  void remove(std::string_view name_and_sign) {
    std::erase_if(environment_, [&](const std::string& entry) {
      return entry.compare(0, name_and_sign.size(), name_and_sign) == 0;
    });
  }

  std::vector<std::string> words_;
  std::vector<std::string> environment_;  // besides what is inherited
  std::string cwd_;                       // empty: this process's
  bool inherit_ = true;
};

/// A line for /bin/sh.
template <detail::command_word S>
[[nodiscard]] command shell(S&& line) {
  return command("/bin/sh", "-c", std::forward<S>(line));
}

}  // namespace rondo

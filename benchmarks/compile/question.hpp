// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does it cost to compile? The echo servers of the question echo, whose harness is the same
// for all, with $CXX $CXXFLAGS (g++ -std=c++20 -O2 -DNDEBUG):
//
//   seconds      that the processor spent on compiling and linking
//   size         of the program without its symbols, in KiB

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "../support/bench.hpp"

namespace question {

/// The processor's time of a command and all that it started, in seconds.
inline double run(const std::string& command, const char* what) {
  const auto spent = [] {
    rusage all{};
    ::getrusage(RUSAGE_CHILDREN, &all);
    return static_cast<double>(all.ru_utime.tv_sec + all.ru_stime.tv_sec) +
           static_cast<double>(all.ru_utime.tv_usec + all.ru_stime.tv_usec) * 1e-6;
  };
  const double before = spent();
  bench::check(std::system(command.c_str()) == 0, what);
  return spent() - before;
}

inline std::string variable(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value ? value : otherwise;
}

/// source: of a contender of `echo`. `file` is __FILE__ of one here.
inline void ask(const char* contender, const std::string& file, const std::string& source,
                const std::string& flags) {
  namespace fs = std::filesystem;
  const std::string root =
      fs::path(file.substr(0, file.rfind("compile/"))).parent_path().parent_path();
  std::string made = fs::temp_directory_path() / "rondo-compile-XXXXXX";
  const int fd = ::mkstemp(made.data());
  bench::check(fd >= 0, "a temporary file");
  ::close(fd);

  const std::string command = variable("CXX", "g++") + " " +
                              variable("CXXFLAGS", "-std=c++20 -O2 -DNDEBUG") +
                              " -pthread -DECHO_FROM_THIS_CORE_ONLY '-I" + root +
                              "/include' '" + root + "/benchmarks/echo/" + source + "' -o '" +
                              made + "' " + flags;
  const double seconds = run(command, "it compiles");
  if (bench::wanted("seconds")) bench::value("compile", "seconds", contender, seconds, 1, "s");
  run("strip '" + made + "'", "it is stripped");
  const double size = static_cast<double>(fs::file_size(made)) / 1024;
  if (bench::wanted("size")) bench::value("compile", "size", contender, size, 1, "KiB");
  fs::remove(made);
}

}  // namespace question

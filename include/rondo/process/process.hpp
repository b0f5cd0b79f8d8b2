// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Other programs: started, talked to, waited for.
//
//     auto r = co_await rondo::run_process({"git", "rev-parse", "HEAD"});
//     if (r.exit_code == 0) use(r.out);
//
//     auto sort = rondo::process::spawn(command("sort"), {.in = stdio::pipe, .out = stdio::pipe});
//     co_await sort.stdin_().write("b\na\n");
//     co_await sort.stdin_().close();
//     buffered_reader lines(sort.stdout_());
//     while (auto line = co_await lines.read_line()) ...
//     int code = co_await sort.wait();
//
// A `process` that is dropped lets its program go on; the loop looks after its end.

#include <csignal>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <system_error>
#include <type_traits>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/compose/when_all.hpp>
#include <rondo/core/task.hpp>
#include <rondo/io/ops/misc.hpp>
#include <rondo/process/child_process.hpp>
#include <rondo/process/command.hpp>
#include <rondo/process/start.hpp>
#include <rondo/streams/pipe.hpp>

namespace rondo {

/// A trivial aggregate: safe inside a co_await expression on every compiler.
struct process_options {
  stdio in = stdio::inherit;
  stdio out = stdio::inherit;
  stdio err = stdio::inherit;
};
static_assert(std::is_trivially_destructible_v<process_options>);

/// How a program has ended, and what it has said.
struct process_result {
  int exit_code = 0;  // or -N, if signal N has killed it
  std::string out;
  std::string err;
};

/// A program that was started. Keep it where it is while something is in flight on it.
/// Thread: the loop's.
class process {
 public:
  /// Starts a program: a plain call, which returns when the program has been found and begun.
  /// Throws: std::system_error that names the program: ENOENT if there is none, EACCES, EMFILE.
  [[nodiscard]] static process spawn(const command& what, process_options streams = {});

  /// Waits for its end, any number of times. Gives: the exit code, or -N after signal N.
  /// Canceled: the program goes on.
  /// Throws: std::system_error, ECHILD, if somebody else waits for all children of this process.
  template <typename = detail::on_use>
  task<int> wait() &;

  /// Writes `input` to the program and closes that stream; reads what it says until it closes its
  /// own; and waits for its end. All at the same time, so nobody waits for the other. That the
  /// program does not read its input to the end is no error.
  /// Gives: process_result; empty strings for what is not piped.
  /// Throws: std::logic_error if there is input and stdin is not piped, or was closed.
  /// Canceled: the program goes on; what was read is lost. It may be called again.
  template <typename = detail::on_use>
  task<process_result> communicate(std::string input = {}) &;

  /// SIGTERM, SIGKILL, or any other signal. Does nothing when it has ended and been waited for.
  /// Throws: std::system_error.
  void terminate() { send_signal(SIGTERM); }
  void kill() { send_signal(SIGKILL); }
  void send_signal(int number) { child_->signal(number); }

  [[nodiscard]] pid_t pid() const noexcept { return child_->pid(); }
  /// Our ends of its pipes. Throws: std::logic_error when it is no pipe.
  [[nodiscard]] pipe_writer& stdin_() { return piped(in_, "stdin"); }
  [[nodiscard]] pipe_reader& stdout_() { return piped(out_, "stdout"); }
  [[nodiscard]] pipe_reader& stderr_() { return piped(err_, "stderr"); }

 private:
  explicit process(detail::child_handle child) noexcept : child_(std::move(child)) {}

  template <typename End>
  struct optional_pipe {
    End end;
    bool piped = false;
  };
  template <typename End>
  static End& piped(optional_pipe<End>& p, const char* name) {
    if (p.piped) return p.end;
    throw std::logic_error(std::string("rondo: ") + name +
                           " of this process is no pipe: spawn it with stdio::pipe");
  }
  template <typename = detail::on_use>
  static task<> feed(optional_pipe<pipe_writer>& to, std::string_view input);
  template <typename = detail::on_use>
  static task<> collect(optional_pipe<pipe_reader>& from, std::string& all);

  detail::child_handle child_;
  optional_pipe<pipe_writer> in_;
  optional_pipe<pipe_reader> out_;
  optional_pipe<pipe_reader> err_;
};

/// Runs a program with this input, to its end. Gives: process_result. Throws: as process::spawn.
/// Canceled: the program is killed and waited for; what it has started itself is not.
template <typename = detail::on_use>
task<process_result> run_process(command what, std::string input = {});

// Implementation

inline process process::spawn(const command& what, process_options streams) {
  detail::standard_stream in = detail::make_standard_stream(streams.in, STDIN_FILENO);
  detail::standard_stream out = detail::make_standard_stream(streams.out, STDOUT_FILENO);
  detail::standard_stream err = detail::make_standard_stream(streams.err, STDERR_FILENO);
  process made(detail::start_process(what, in.theirs, out.theirs, err.theirs));
  made.in_ = {pipe_writer::adopt(in.ours.release()), streams.in == stdio::pipe};
  made.out_ = {pipe_reader::adopt(out.ours.release()), streams.out == stdio::pipe};
  made.err_ = {pipe_reader::adopt(err.ours.release()), streams.err == stdio::pipe};
  return made;
}

template <typename>
task<int> process::wait() & {
  co_await detail::pass();
  while (!child_->reap()) co_await readable(child_->pidfd());
  co_return child_->exit_code();
}

template <typename>
task<> process::feed(optional_pipe<pipe_writer>& to, std::string_view input) {
  if (!to.piped) {
    if (!input.empty()) piped(to, "stdin");
    co_return;
  }
  if (!to.end) {
    if (input.empty()) co_return;
    throw std::logic_error("rondo: there is input for this process, and its stdin was closed");
  }
  try {
    co_await to.end.write(input);
  } catch (const std::system_error& e) {
    if (e.code() != std::errc::broken_pipe) throw;
  }
  co_await to.end.close();
}

template <typename>
task<> process::collect(optional_pipe<pipe_reader>& from, std::string& all) {
  if (!from.end) co_return;  // none, or it was closed before
  std::size_t size = 0;
  for (std::size_t n = 1; n != 0; size += n) {
    if (all.size() - size < 4096) all.resize(all.size() == 0 ? 8192 : all.size() * 2);
    n = co_await from.end.read(mutable_buffer(all.data() + size, all.size() - size));
  }
  all.resize(size);
}

template <typename>
task<process_result> process::communicate(std::string input) & {
  process_result result;
  const auto all = co_await when_all(wait(), feed(in_, input), collect(out_, result.out),
                                     collect(err_, result.err));
  result.exit_code = std::get<0>(all);
  co_return result;
}

template <typename>
task<process_result> run_process(command what, std::string input) {
  co_await detail::pass();
  process program = process::spawn(what, {stdio::pipe, stdio::pipe, stdio::pipe});
  std::exception_ptr failure;
  try {
    co_return co_await program.communicate(std::move(input));
  } catch (...) {
    failure = std::current_exception();
  }
  bool killed = true;
  try {
    program.kill();
  } catch (const std::system_error&) {  // it runs as somebody else by now
    killed = false;
  }
  if (killed) co_await shield(program.wait());
  std::rethrow_exception(failure);
}

}  // namespace rondo

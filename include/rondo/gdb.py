# SPDX-License-Identifier: BSL-1.0
"""Two commands for gdb: what the tasks of a stopped program, or of a core file, are waiting for.

    (gdb) source include/rondo/gdb.py
    (gdb) rondo tasks              # the tree of all tasks, as rondo::format_tasks gives it
    (gdb) rondo bt 3               # the third of them: which coroutine awaits which

The program is built with -g, by GCC or clang, optimized or not; gdb is 12 or newer. Memory is read
and nothing is called, so a core file will do.
"""

import collections
import re
import struct
import time

import gdb
from gdb.types import has_field

# ---- Where the library keeps what. Nothing else here knows its private members. ------------------

# A coroutine's frame begins with two words, where it is resumed and how it is destroyed. Its
# promise follows, a promise_base. In word_ the line's address is above three bits of state, one of
# which says that its awaiter sleeps. In the word of a continuation bit 0 says that it is a function
# that is told, and no coroutine.
BEFORE_PROMISE = 16
STATE_BITS, AWAITER_SLEEPS = 7, 4
LISTENER = 1


def detail(name):
    try:
        return gdb.lookup_type("rondo::detail::" + name)
    except gdb.error:
        raise gdb.GdbError("Nothing is known of rondo here: the program does not use it, or was "
                           "built without -g.") from None


def at(address, kind):
    """The object there. As if in an array: else gdb looks for what it is derived from it, and warns
    that it does not understand what clang calls a lambda."""
    return address.cast(kind.pointer()).reinterpret_cast(kind.array(0).pointer()).dereference()[0]


def running_loop():
    """That of the selected thread, or None."""
    pointer = gdb.lookup_global_symbol("rondo::detail::running_loop").value()
    return at(pointer, detail("engine")) if pointer else None


def elements(container):
    """What is in an intrusive_list, in slots, or in a tuple of children."""
    if has_field(container.type, "head_"):
        kind = container.type.strip_typedefs().template_argument(0)
        hook = container["head_"]["next_"]
        while int(hook) != int(container["head_"].address):
            yield at(hook, kind)
            hook = hook["next_"]
    elif has_field(container.type, "items_"):
        yield from (container["items_"][i] for i in range(int(container["size_"])))
    elif has_field(container.type, "line"):
        yield container
    else:  # a tuple, which libstdc++ derives from its tail and its head
        for field in reversed(container.type.fields()):
            yield from elements(container[field])


def outer_lines(loop):
    """Those that nobody but the loop awaits, each with what to call it."""
    tasks = loop["tasks_"]
    if tasks["root_"]:
        yield "root", tasks["root_"].dereference()
    for group in [tasks["owned_"], *(each["tasks"] for each in elements(tasks["others_"]))]:
        for spawned in elements(group):
            yield text(spawned["line"]["name_"]) or "spawned", spawned["line"]


def state_of(leaf, function):
    """What a line is suspended on, as the class that it is of, if that is known: both functions of
    its kind that matter here, `show` and `cancel`, call it `state`."""
    kind = None
    block = gdb.block_for_pc(int(leaf["what"][function]))
    while block is not None and not block.is_static:
        kind = next((symbol.type.target() for symbol in block if symbol.name == "state"), kind)
        block = block.superblock
    return at(leaf, kind) if kind is not None else None


def inner_lines(state):
    """Those that it waits for, as its `show` has them."""
    if has_field(state.type, "inner_"):
        yield "", state["inner_"]
    if has_field(state.type, "body_") and not state["body_"]["line"]["ended_"]:
        yield "the body", state["body_"]["line"]
    if has_field(state.type, "block_"):
        state = state["block_"].referenced_value()
    for member in "children_", "lanes_":
        if has_field(state.type, member):
            for child in elements(state[member]):
                if not child["line"]["ended_"]:
                    yield text(child["line"]["name_"]), child["line"]


def particulars(state, now):
    """What tells it from others of its kind, as its `show` has it."""
    if has_field(state.type, "fd") and state["fd"] >= 0:
        yield f" on descriptor {int(state['fd'])}"
    if has_field(state.type, "spawned_"):
        yield f" {text(state['spawned_'].referenced_value()['line']['name_'])}".rstrip()
    if has_field(state.type, "deadline") and now is not None:
        due = nanoseconds(state["deadline"])
        if now < due < 2**63 - 1:
            yield f", {span(due - now)} left"


def loop_time(loop):
    """None if it is not known."""
    clock = loop["time_"]["clock_"]
    return nanoseconds(clock["now_"]) if clock["virtual_"] else real_time()


def place_of(line):
    """Of its last co_await: file and line, and the function; None if they are not known."""
    place = line["place_"]
    if not has_field(place.type, "_M_impl") or not place["_M_impl"]:  # clang 14 has none
        return None
    place = place["_M_impl"]
    return (f"{base_name(text(place['_M_file_name']))}:{int(place['_M_line'])}",
            short_name(text(place["_M_function_name"])))


def promise_of(coroutine):
    """What it tells about its end, and its own word."""
    promise = at(gdb.Value(coroutine + BEFORE_PROMISE), detail("promise_base"))
    return int(promise["waiter_"]["word_"]), int(promise["word_"])


def suspended_coroutine(loop, line):
    """The address of the innermost coroutine of a line; None if no coroutine awaits the leaf.

    The leaf is in the frame of the coroutine that awaits it. So of all words before it that are
    what the line's promises have in word_, the nearest is that coroutine's."""
    leaf = line["leaf_"]
    if not leaf:
        return ready_coroutine(loop, line)
    state = state_of(leaf, "cancel")
    if state is not None and has_field(state.type, "source_"):
        leaf = state["next_"]  # a stream is not in the frame, but who waits for it
    word = struct.pack("=Q", int(line.address) | AWAITER_SLEEPS)
    end = int(leaf)
    for _ in range(256):  # pages; frames are smaller
        page = (end - 1) & ~4095
        try:
            found = gdb.selected_inferior().read_memory(page, end - page).tobytes().rfind(word)
        except gdb.MemoryError:
            break
        if found >= 0:
            return page + found - BEFORE_PROMISE - detail("continuation").sizeof
        end = page
    return None


def ready_coroutine(loop, line):
    node = loop["head_"]
    while node:
        waiter = int(node["waiter"]["word_"])
        if not waiter & LISTENER and promise_of(waiter)[1] & ~STATE_BITS == int(line.address):
            return waiter
        node = node["next"]
    return None


# ---- In words, as loop/place.hpp and loop/task_tree.hpp have them --------------------------------


def text(pointer):
    return pointer.string(errors="replace") if pointer else ""


def nanoseconds(moment):
    """Of a time_point, whatever the standard library calls what is in it."""
    return int(at(moment.address, gdb.lookup_type("long")))


def real_time():
    """The steady clock's. A core file does not tell it, nor does another machine."""
    native = gdb.selected_inferior().connection.type == "native"
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) if native else None


def span(length):
    return f"{length / 1e9:.1f} s" if length >= 1e9 else f"{length / 1e6:.0f} ms"


def base_name(path):
    return path.rpartition("/")[2]


def short_name(name):
    """The function's own name, from what a compiler makes of it."""
    name = name.split(" [")[0] if name.endswith("]") else name
    name = name[:-6] if name.endswith(" const") else name
    end, depth = len(name), 0
    for i in reversed(range(len(name))):
        depth += (name[i] in ")>") - (name[i] in "(<")
        if depth == 0 and name[i] == "(" and name.endswith(")") and end == len(name):
            end = i  # here the parameters begin
        elif depth == 0 and name[i] == "<" and name[end - 1] == ">":
            end = i  # the template arguments, which only gdb has there
        elif depth == 0 and name[i] == " ":
            return name[i + 1:end]  # and here the type ends
    return name[:end]


# ---- The tree, and the coroutines of a task ------------------------------------------------------


class Task(collections.namedtuple("Task", "loop line name depth parent")):
    def state(self):
        leaf = self.line["leaf_"]
        return state_of(leaf, "show") if leaf else None

    def runs(self):
        return self.loop["running_"] == self.line.address

    def children(self):
        state = self.state()
        lines = inner_lines(state) if state is not None else []
        return [Task(self.loop, line, name, self.depth + 1, self) for name, line in lines]

    def row(self):
        leaf, state, place = self.line["leaf_"], self.state(), place_of(self.line)
        row = self.name and self.name + ": "
        row += text(leaf["what"]["name"]) if leaf else "runs" if self.runs() else "is ready"
        if state is not None:
            row += "".join(particulars(state, loop_time(self.loop)))
        if place:
            row += f", at {place[0]} in {place[1]}"
        if leaf and self.line["since_"] and real_time():
            row += f", for {span(real_time() - int(self.line['since_']))}"
        return row + (", canceled" if self.line["canceled_"] else "")

    def backtrace(self):
        """A row for each coroutine that awaits the one before it, across combinators."""
        task = self
        while task is not None:
            place = place_of(task.line)
            coroutine = suspended_coroutine(task.loop, task.line)
            while coroutine is not None:
                yield coroutine_row(coroutine, place)
                place = None
                waiter, _ = promise_of(coroutine)
                coroutine = None if waiter & LISTENER else waiter
            task = task.parent


def coroutine_row(coroutine, place):
    """Where it is suspended, if that is known, and else where it begins."""
    if place:
        return f"{place[1]} at {place[0]}"
    resume = int(at(gdb.Value(coroutine), gdb.lookup_type("long")))
    block, begin = gdb.block_for_pc(resume), gdb.find_pc_line(resume)
    while block is not None and block.function is None:
        block = block.superblock
    if block is None:
        return f"?? at {resume:#x}"
    return f"{short_name(block.function.name)} defined at {base_name(begin.symtab.filename)}:{begin.line}"


def loops(expression):
    """The one that the user names, or those that threads run; each with a title."""
    selected = gdb.selected_thread()
    if selected is None:
        raise gdb.GdbError("There is no program to look at: run one, attach to it, or take a core file.")
    engine = detail("engine")
    if expression:
        loop = gdb.parse_and_eval(expression)
        if loop.type.strip_typedefs().code in (gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_REF):
            loop = loop.referenced_value()
        if loop.type.strip_typedefs().unqualified().name != "rondo::event_loop":
            raise gdb.GdbError(f"{expression} is no rondo::event_loop.")
        return [(expression, at(loop.address, engine))]
    frame, found = gdb.selected_frame(), []
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda each: each.num):
            thread.switch()
            loop = running_loop()
            if loop is not None:
                found.append((f"Thread {thread.num}", loop))
    except gdb.error as error:
        raise gdb.GdbError(f"{error}\nName the loop, as an expression, to do without that.") from None
    finally:
        selected.switch()
        frame.select()
    if not found:
        raise gdb.GdbError("No thread runs a loop. One that does not run can be named, as an expression.")
    return found


def tasks_of(loop):
    """All of them, parents first. Trees may be deeper than the stack."""
    to_come = [Task(loop, line, name, 0, None) for name, line in outer_lines(loop)][::-1]
    while to_come:
        task = to_come.pop()
        yield task
        to_come += task.children()[::-1]


# ---- The commands --------------------------------------------------------------------------------


class Rondo(gdb.Command):
    """What the tasks of a program are waiting for."""

    def __init__(self):
        super().__init__("rondo", gdb.COMMAND_STACK, prefix=True)


class Subcommand(gdb.Command):
    def __init__(self, name):
        super().__init__("rondo " + name, gdb.COMMAND_STACK, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        try:
            self.print_about(argument)
        except gdb.error as error:  # which would be shown as a mistake in this file
            raise gdb.GdbError(str(error)) from None


class RondoTasks(Subcommand):
    """The tree of all tasks: what each is suspended on, and where in the source.

    rondo tasks          of the loops that threads run
    rondo tasks LOOP     of an event_loop, which is an expression

    What runs inside a task is indented below it. Not known are the children of streams that were
    dropped, and in a core file how much time has passed and is left."""

    def print_about(self, argument):
        found, number = loops(argument), 0
        for title, loop in found:
            if len(found) > 1:
                print(f"{title}:")
            for number, task in enumerate(tasks_of(loop), number + 1):
                print(f"{number:<3} {'  ' * task.depth}{task.row()}")


class RondoBacktrace(Subcommand):
    """Backtraces of tasks: the coroutines that await one another, the innermost first.

    rondo bt             of all tasks
    rondo bt N           of the one that `rondo tasks` gives this number
    rondo bt N LOOP      the same for an event_loop, which is an expression

    A coroutine that is suspended on an operation or a combinator is shown with the line where it
    is; one that awaits another coroutine with the line where its function begins."""

    def print_about(self, argument):
        wanted, expression = re.match(r"(\d+(?!\S))?\s*(.*)", argument).groups()
        tasks = [task for _, loop in loops(expression) for task in tasks_of(loop)]
        if wanted is not None and not 0 < int(wanted) <= len(tasks):
            raise gdb.GdbError(f"There is no task {wanted}; there are {len(tasks)}.")
        for number, task in enumerate(tasks, 1):
            if wanted is None or int(wanted) == number:
                print(f"Task {number}, {task.row()}")
                if task.runs():
                    print("    The bt of its thread shows it.")
                else:
                    for i, row in enumerate(task.backtrace()):
                        print(f"#{i:<2} {row}")


Rondo()
RondoTasks("tasks")
RondoBacktrace("bt")

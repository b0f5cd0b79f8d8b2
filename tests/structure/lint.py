#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Spellings that look right and that a supported compiler breaks.

- A bare co_await as the condition of if, while, do or switch: GCC 12.2 gives the coroutine a
  broken frame. Right: `const auto ready = co_await x; if (ready)`, or `if (auto v = co_await x)`.
- co_await inside CHECK, REQUIRE or assert: GCC evaluates the argument of these macros more than once.
  Right: `const auto v = co_await x; CHECK(v == 1)`.
- co_await in an arm of `? :`. GCC 12 destroys an object that such an expression gives twice.
  Right: an if statement.

Programs in tests/must_abort may do this on purpose. So may a line of README.md that says "wrong".
"""
import pathlib
import re
import sys

CONDITION = re.compile(r"\b(if|while|switch)\s*\(!?\s*co_await\b")
TERNARY = re.compile(r"\?[^;{}?]*\bco_await\b")
MACRO = re.compile(r"\b(?:(?:CHECK|REQUIRE)\w*|INFO|CAPTURE|assert)\s*\(")


def without_comments(text):
    """Blanks comments and the inside of string literals; positions and lines stay as they are."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def awaits_in_macros(text):
    for macro in MACRO.finditer(text):
        depth = braces = 0
        for at in range(macro.end() - 1, len(text)):
            c = text[at]
            depth += (c == "(") - (c == ")")
            braces += (c == "{") - (c == "}")  # a lambda's own body is evaluated once
            if depth == 0:
                break
            if braces == 0 and text.startswith("co_await", at):
                yield at
                break


def check(root):
    root = pathlib.Path(root)
    files = [root / "README.md"] if (root / "README.md").exists() else []
    for folder in ("include", "examples", "tests", "benchmarks"):
        files += sorted(p for p in (root / folder).rglob("*") if p.suffix in (".hpp", ".cpp", ".md"))
    problems = []
    for path in files:
        name = path.relative_to(root).as_posix()
        if name.startswith("tests/must_abort/"):
            continue
        text = path.read_text(encoding="utf-8")
        lines = text.split("\n")
        if path.suffix != ".md":
            text = without_comments(text)
        found = [(m.start(), "GCC 12.2 breaks a bare co_await in a condition") for m in CONDITION.finditer(text)]
        found += [(at, "GCC evaluates a co_await in a macro's argument more than once") for at in awaits_in_macros(text)]
        if path.suffix != ".md":
            found += [(m.start(), "GCC 12 breaks objects from a co_await in an arm of ? :") for m in TERNARY.finditer(text)]
        for at, sentence in sorted(found):
            line = text.count("\n", 0, at)
            if path.suffix == ".md" and "wrong" in lines[line].lower():
                continue
            problems.append(f"{name}:{line + 1}: {sentence}: {lines[line].strip()}")
    return problems, len(files)


if __name__ == "__main__":
    found, count = check(sys.argv[1])
    if found:
        sys.exit("\n".join(found))
    print(f"{count} files are clean")

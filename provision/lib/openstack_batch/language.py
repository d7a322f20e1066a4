"""The lines of stdin: read, and shown without their passwords."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET_OPTIONS = ("--password", "--os-password")
MASK = "***"
_BRACES = re.compile(r"\{(\w+)(?::([^{}]+))?\}")


class BatchError(Exception):
    """The text on stdin is not what this program reads."""


@dataclass
class Line:
    """One line of stdin, taken apart."""

    number: int
    """1-based"""
    text: str
    form: str
    """run, guard, ensure, let, await or booted"""
    command: list[str]
    guard: list[str] = field(default_factory=list)
    name: str = ""
    """of a let"""
    ensures: bool = False
    """of a let: its command is an `ensure`, and its value the id"""
    seconds: int = 0
    """of an await or booted"""
    pattern: str = ""
    """of an await or booted"""

    def __str__(self) -> str:
        lead = {
            "guard": f"{masked(self.guard)} || ",
            "ensure": "ensure ",
            "let": f"let {self.name} = {'ensure ' if self.ensures else ''}",
            "booted": f"booted {self.seconds} {shlex.quote(self.pattern)} ",
            "await": f"await {self.seconds} {shlex.quote(self.pattern)} ",
        }.get(self.form, "")
        return lead + masked(self.command)


def read_line(number: int, text: str) -> Line:
    """Take one line apart; BatchError says what was expected."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BatchError(f"line {number}: {error}") from error
    line = Line(number, text.strip(), "run", words)
    if words[0] in ("ensure", "repair"):
        line.form, line.command = "ensure", words[1:]
    elif words[0] == "let":
        if len(words) < 4 or words[2] != "=" or not words[1].isidentifier():
            raise BatchError(f"line {number}: expected let NAME = COMMAND")
        line.form, line.name, line.ensures = "let", words[1], words[3] == "ensure"
        line.command = words[4:] if line.ensures else words[3:]
    elif words[0] in ("await", "booted"):
        if len(words) < 4 or not words[1].isdecimal():
            what = "COMMAND" if words[0] == "await" else "SERVER"
            raise BatchError(f"line {number}: expected {words[0]} SECONDS REGEX {what}")
        line.form, line.seconds, line.pattern, line.command = words[0], int(words[1]), words[2], words[3:]
    elif "||" in words:
        at = words.index("||")
        line.form, line.guard, line.command = "guard", words[:at], words[at + 1 :]
        if not line.guard or "||" in line.command:
            raise BatchError(f"line {number}: expected GUARD || COMMAND")
    if not line.command:
        raise BatchError(f"line {number}: no command")
    return line


def masked(words: list[str]) -> str:
    """Join WORDS for a reader; the value of an option that holds a secret is not shown."""
    shown = []
    hide = False
    for word in words:
        name, equals, _ = word.partition("=")
        if hide:
            shown.append(MASK)
        elif equals and name in SECRET_OPTIONS:
            shown.append(f"{name}={MASK}")
        else:
            shown.append(shlex.quote(word))
        hide = word in SECRET_OPTIONS
    return " ".join(shown)


def read_lines(text: str) -> list[Line]:
    """All lines, before the first one runs: a mistake in the last stops nothing half-way."""
    numbered = enumerate(text.splitlines(), start=1)
    return [read_line(number, line) for number, line in numbered if line.strip() and not line.lstrip().startswith("#")]


def put_values(words: list[str], values: dict[str, str], own: Callable[[str, str], str]) -> list[str]:
    """Put the values of the let lines in the place of {NAME}, and ids in that of {KIND:NAME}."""

    def put(match: re.Match[str]) -> str:
        kind, name = match[1], match[2]
        return own(kind, name) if name else values.get(kind, match[0])

    return [_BRACES.sub(put, word) for word in words]

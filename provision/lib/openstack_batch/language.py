"""The lines of stdin: read, and shown without their passwords."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

SECRET_OPTIONS = ("--password", "--os-password")
MASK = "****"


class BatchError(Exception):
    """The text on stdin is not what this program reads."""


@dataclass
class Line:
    """One line of stdin, taken apart."""

    number: int
    """1-based"""
    text: str
    form: str
    """run, guard, ensure, let or await"""
    command: list[str]
    guard: list[str] = field(default_factory=list)
    name: str = ""
    """of a let"""
    seconds: int = 0
    """of an await"""
    pattern: str = ""
    """of an await"""

    def __str__(self) -> str:
        lead = {
            "guard": f"{masked(self.guard)} || ",
            "ensure": "ensure ",
            "let": f"let {self.name} = ",
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
    if words[0] == "ensure":
        line.form, line.command = "ensure", words[1:]
    elif words[0] == "let":
        if len(words) < 4 or words[2] != "=" or not words[1].isidentifier():
            raise BatchError(f"line {number}: expected let NAME = COMMAND")
        line.form, line.name, line.command = "let", words[1], words[3:]
    elif words[0] == "await":
        if len(words) < 4 or not words[1].isdecimal():
            raise BatchError(f"line {number}: expected await SECONDS REGEX COMMAND")
        line.form, line.seconds, line.pattern, line.command = "await", int(words[1]), words[2], words[3:]
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


def put_values(word: str, values: dict[str, str]) -> str:
    """Put the values of the let lines in the place of {NAME}."""
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", value)
    return word

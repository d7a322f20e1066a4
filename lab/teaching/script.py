"""A step's script as its reader sees it: headings, prose, statements. Pure.

The scripts are formatted by shfmt: a statement begins at the left margin, what belongs to it is indented, and it ends
with its closing word at the margin. That is all that is relied on; bash itself is not understood here.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FUNCTION_COMMENT = r"[a-z]+_[a-z_0-9]+(?: [A-Z\[\]. ]+)?: "
"""how a comment begins that describes a function: `hosts_in TABLE [CONDITION]: …`"""
_HEREDOC = re.compile(r"<<(-?)\s*(['\"]?)(\w+)\2(?!<)")
_OPENERS = {"if": "fi", "for": "done", "while": "done", "until": "done", "case": "esac"}
_FUNCTION = re.compile(r"\w+\(\) \{")
_CAPABILITY = re.compile(r"\(\((?P<lacks>! ?)?LAB_HAS_(?P<name>[A-Z0-9_]+)\)\)")
_EQUALS = re.compile(r"\[\[ \$(?P<name>LAB_[A-Z_]+) == (?P<value>\w+) \]\]")
_ONE_LINE_IF = re.compile(r"if (?P<test>.+?); then (?P<yes>.+?); (?:else (?P<no>.+?); )?fi(?: +#.*)?")
_IF = re.compile(r"if (?P<test>.+?); then(?: +#(?P<note>.*))?")


@dataclass(frozen=True)
class Statement:
    """Some lines of code that belong together, and the comment above them."""

    lines: tuple[str, ...]
    comment: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The code."""
        return "\n".join(self.lines)

    @property
    def word(self) -> str:
        """The first word of it."""
        return self.lines[0].split(" ", 1)[0] if self.lines else ""


@dataclass(frozen=True)
class Script:
    """A step's script."""

    goal: str
    """what the head says before it names the guide; paragraphs"""
    notes: tuple[str, ...]
    """the other paragraphs of the head: the guide, deviations"""
    statements: tuple[Statement, ...]


def read_script(text: str) -> Script:
    """Take a script apart. `heading` is a statement as any."""
    lines = text.splitlines()
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        if not line.startswith("#!"):
            head.append(line)
    paragraphs = _paragraphs(head)
    at = next((n for n, p in enumerate(paragraphs) if p.startswith(("Guide:", "Deviation:"))), len(paragraphs))
    start = next((n for n, line in enumerate(lines) if line.startswith("source ")), len(head)) + 1
    return Script("\n\n".join(paragraphs[:at]), tuple(paragraphs[at:]), tuple(statements(lines[start:])))


def functions(text: str) -> dict[str, tuple[Statement, ...]]:
    """Give the statements of each function of a script."""
    found = (each for each in statements(text.splitlines()) if each.lines and _FUNCTION.fullmatch(each.lines[0]))
    return {each.word.removesuffix("()"): tuple(statements(branches(each)[0])) for each in found}


def prose(comment: tuple[str, ...]) -> list[str]:
    """Give the paragraphs of a comment; each deviation is one of its own."""
    return _paragraphs([line for line in comment if not line.startswith("# shellcheck")])


def _paragraphs(lines: list[str]) -> list[str]:
    found: list[list[str]] = [[]]
    for line in lines:
        words = line.removeprefix("#").strip()
        if not words or words.startswith(("Guide:", "Deviation:")) or re.match(FUNCTION_COMMENT, words):
            found.append([])
        if words:
            found[-1].append(words)
    return [" ".join(part) for part in found if part]


def statements(lines: list[str]) -> Iterator[Statement]:
    """Give the statements at the left margin, each with the comment above it; a comment alone is one without code."""
    comment: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("#"):
            comment.append(line)
            at += 1
        elif not line.strip():
            if comment:
                yield Statement((), tuple(comment))
            comment = []
            at += 1
        else:
            end = _end(lines, at)
            yield Statement(tuple(lines[at:end]), tuple(comment))
            comment, at = [], end
    if comment:
        yield Statement((), tuple(comment))


def _end(lines: list[str], start: int) -> int:
    """Find the line after the statement that begins at a line."""
    closers = _closers(lines[start])
    at = _behind_line(lines, start)
    while at < len(lines):
        line = lines[at]
        if closers and not line.startswith((" ", "\t")) and line.split(" ")[0].rstrip(";") == closers[-1]:
            closers.pop()
            closers += ["}"] if line.endswith("{") else []
            at = _behind_line(lines, at)
        elif closers or (line.startswith(" ") and line.strip()):
            at = _behind_line(lines, at)
        else:
            break
    return at


def _closers(line: str) -> list[str]:
    word = line.split(" ")[0]
    if word in _OPENERS and not re.search(rf"\b{_OPENERS[word]}\b", line):
        return [_OPENERS[word]]
    return ["}"] if line == "{" or _FUNCTION.fullmatch(line) else []


def _behind_line(lines: list[str], at: int) -> int:
    """Step over a line, with the here-document that it begins and the lines that a backslash joins."""
    line = lines[at]
    at += 1
    while line.endswith("\\") and at < len(lines):
        line = lines[at]
        at += 1
    if match := _HEREDOC.search(line):
        while at < len(lines) and lines[at] != match[3]:
            at += 1
        at += 1
    return at


def decided(script: tuple[Statement, ...], env: Mapping[str, str]) -> Iterator[Statement]:
    """Put the branch that runs in the place of every `if` that the environment decides.

    Where nothing runs, the comment goes too: it tells of what this lab does not have. If something is left out because
    the lab has a capability (`! LAB_HAS_…`), the comment says why.
    """
    for statement in script:
        branch = _branch(statement, env)
        if branch is None:
            yield statement
            continue
        taken = list(statements(branch))
        if statement.comment and taken:
            taken[0] = replace(taken[0], comment=(*statement.comment, *taken[0].comment))
        elif statement.comment and "((!" in statement.lines[0]:
            taken = [Statement((), statement.comment)]
        yield from decided(tuple(taken), env)


def _branch(statement: Statement, env: Mapping[str, str]) -> list[str] | None:
    """Give the lines of the branch that runs; None where this is no `if`, or only the node can tell."""
    if statement.word != "if":
        return None
    if len(statement.lines) == 1 and (short := _ONE_LINE_IF.fullmatch(statement.lines[0])):
        holds = _holds(short["test"], env)
        return None if holds is None else [line for line in [short["yes"] if holds else short["no"]] if line]
    match = _IF.fullmatch(statement.lines[0])
    holds = _holds(match["test"], env) if match else None
    if holds is None:
        return None
    yes, no = branches(statement)
    return yes if holds else no


def _holds(test: str, env: Mapping[str, str]) -> bool | None:
    if match := _CAPABILITY.fullmatch(test):
        return (env.get(f"LAB_HAS_{match['name']}", "0") == "1") != bool(match["lacks"])
    if (match := _EQUALS.fullmatch(test)) and match["name"] in env:
        return env[match["name"]] == match["value"]
    return None


def branches(statement: Statement) -> tuple[list[str], list[str]]:
    """Give the lines of both branches of an `if`, moved to the margin; here-documents stay as they are."""
    found: tuple[list[str], list[str]] = ([], [])
    now, at = 0, 1
    while at < len(statement.lines) - 1:
        line = statement.lines[at]
        if line in ("else",) or line.startswith("elif "):
            now, at = 1, at + 1
            continue
        end = _behind_line(list(statement.lines), at)
        document = bool(_HEREDOC.search(line))
        found[now].append(line.removeprefix("  "))
        found[now].extend(text if document else text.removeprefix("  ") for text in statement.lines[at + 1 : end])
        at = end
    return found


def words_of(line: str) -> list[str] | None:
    """Split a line as a shell does; None where it cannot."""
    try:
        return shlex.split(line)
    except ValueError:
        return None

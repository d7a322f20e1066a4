"""Read a handout, which is Markdown, as a person at a keyboard does: what to type on which node, chapter by chapter."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from lab.teaching.translate import LINES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from markdown_it.token import Token

CHECKS = "What to check at the end"
_END = "THE_END_OF_THIS"
_HEAD = """\
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root
cd /root
apt-get() { command apt-get -q -y "$@"; }
"""
"""A person answers apt's question with y. A chapter is a function, so that no command can read what comes after it."""


@dataclass(frozen=True)
class Deed:
    """One block of a chapter."""

    nodes: tuple[str, ...]
    kind: str
    """the language of the block: bash, sql, ini or text"""
    target: str
    """what stands above it: a file, or a program that reads it; empty for bash"""
    text: str

    def script(self) -> str:
        """Do it without an editor."""
        path, _, how = self.target.partition(": ")
        if self.kind == "bash":
            return f"{self.text}\n"
        if self.kind == "sql":
            return f"{self.target} {_document(self.text)}"
        if self.kind == "ini":
            return f"crudini --merge {shlex.quote(path)} {_document(self.text)}"
        if how == LINES:
            return "".join(_line(path, line) for line in self.text.splitlines())
        return f"cat >{shlex.quote(path)} {_document(self.text)}"


def chapters(markdown: str) -> dict[str, list[Deed]]:
    """Read the chapters of a handout, by their steps."""
    found: dict[str, list[Deed]] = {}
    chapter, target = "", ""
    of_chapter: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    for kind, text, token in _pieces(markdown):
        if kind == "h2":
            chapter, of_chapter = text.partition(":")[0], ()
        elif kind == "h3":
            match = re.search(r" \(on ([\w, -]+)\)$", text)
            nodes = tuple(match[1].split(", ")) if match else of_chapter
            chapter = "" if text == CHECKS else chapter
        elif kind == "paragraph":
            if (match := re.match(r"On ([\w, -]+)\. Guide:", text)) and not of_chapter:
                nodes = of_chapter = tuple(match[1].split(", "))
            name = re.fullmatch(r"`([^`]+)`", text)
            target = name[1] if name else ""
        elif kind == "fence" and chapter and of_chapter:
            found.setdefault(chapter, []).append(Deed(nodes, token.info, target, text.rstrip("\n")))
            target = ""
    return found


def typed(deeds: list[Deed], passwords: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give the node, and what is typed there in one session, in the order of the chapter; names become passwords."""
    names = re.compile(r"\b(" + "|".join(map(re.escape, passwords)) + r")\b")
    for nodes, some in groupby(deeds, key=lambda deed: deed.nodes):
        text = names.sub(lambda match: passwords[match[1]], "".join(deed.script() for deed in some))
        for node in nodes:
            yield node, f"{_HEAD}chapter() {{\n{text}}}\nchapter </dev/null\n"


def _pieces(markdown: str) -> Iterator[tuple[str, str, Token]]:
    tokens = MarkdownIt().parse(markdown)
    for before, token in zip([tokens[0], *tokens], tokens, strict=False):
        if token.type == "fence":
            yield "fence", token.content, token
        elif token.type == "inline" and before.type in ("heading_open", "paragraph_open"):
            yield before.tag if before.type == "heading_open" else "paragraph", token.content, token


def _document(text: str) -> str:
    return f"<<'{_END}'\n{text}\n{_END}\n"


def _line(path: str, line: str) -> str:
    """Put a line in the place of those that begin as it does, whether a `#` is before them or not; else at the end."""
    first = re.escape(re.split(r"[ =]", line.lstrip("#"), maxsplit=1)[0]).replace("/", r"\/")
    file, text = shlex.quote(path), shlex.quote(line)
    new = shlex.quote(line.replace("\\", r"\\").replace("&", r"\&").replace("/", r"\/"))
    return (
        f"if grep -qE '^#?{first}([ =]|$)' {file}; then\n"
        f"  sed -i -E 's/^#?{first}([ =].*)?$/'{new}'/' {file}\n"
        f"else\n  printf '%s\\n' {text} >>{file}\nfi\n"
    )

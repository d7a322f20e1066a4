"""The parts of a chapter: what is under its headings, and commands that its script has in a way of its own. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lab.teaching.translate import Block, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TYPED = re.compile(r"(?:openstack|su|rabbitmqctl|nova-manage|keystone-manage|nova|egrep|ovs-vsctl) ")
_PLACEHOLDER = re.compile(r"\b[A-Z]{4,}\b")
"""as AGENT: the command repairs what somebody changed; names of passwords have a `_`"""
_LOGIN = ". /root/admin-openrc"
"""the client environment script, which the step of the Identity service writes"""
_CLIENT = re.compile(r"^(?:\w+=\$\()?openstack ", re.MULTILINE)
_WRAPPED = re.compile(r'su -s /bin/sh -c "(.*)" \w+')


@dataclass(frozen=True)
class Part:
    """What is under one heading."""

    heading: str
    where: str
    """on which nodes; empty: on those of the chapter"""
    blocks: tuple[Block, ...]


def under_headings(blocks: Iterable[Block]) -> Iterator[Part]:
    """Group the blocks of a chapter."""
    heading = ""
    mine: list[Block] = []
    for block in (*blocks, Block("heading", "")):
        if block.kind != "heading":
            mine.append(block)
            continue
        if mine:
            yield Part(heading, "", tuple(mine))
        heading, mine = block.text, []


def with_commands(parts: Iterable[Part], commands: Iterable[str]) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Put the commands that a chapter's checks name into its parts.

    One that a part has already, in these or other words, is left out; so is one with a placeholder. One that the script
    has in a way of its own stands behind that code. Before the first command of the client stands the login.

    Returns:
        the parts, and the commands that have no place in them.
    """
    placed = list(parts)
    left = []
    for command in dict.fromkeys(commands):
        if not _TYPED.match(command) or _PLACEHOLDER.search(command) or _is_told(command, placed):
            continue
        at = next((n for n, part in enumerate(placed) if any(_does(block, command) for block in part.blocks)), None)
        if at is None:
            left.append(command)
        else:
            placed[at] = replace(placed[at], blocks=tuple(merged(_with(placed[at].blocks, command))))
    if any(_CLIENT.search(block.text) for part in placed for block in part.blocks if block.kind == "shell"):
        return tuple(_logged_in(placed)), tuple(left)
    first = next((n for n, command in enumerate(left) if _CLIENT.match(command)), len(left))
    return tuple(placed), (*left[:first], *([_LOGIN] if left[first:] else []), *left[first:])


def _logged_in(parts: Iterable[Part]) -> Iterator[Part]:
    """Put the login before the first command of the client, on each kind of node."""
    done = set()
    for part in parts:
        blocks = []
        for block in part.blocks:
            match = _CLIENT.search(block.text) if block.kind == "shell" and part.where not in done else None
            if match and "admin-openrc" in block.text[: match.start()]:
                done.add(part.where)  # as the guide says it
            elif match:
                done.add(part.where)
                text = f"{block.text[: match.start()]}{_LOGIN}\n{block.text[match.start() :]}"
                block = replace(block, text=text)  # noqa: PLW2901
            blocks.append(block)
        yield replace(part, blocks=tuple(blocks))


def _with(blocks: tuple[Block, ...], command: str) -> Iterator[Block]:
    """Put a command behind the last code that does it, and behind other commands that are there."""
    last = max(n for n, block in enumerate(blocks) if _does(block, command))
    while last + 1 < len(blocks) and blocks[last + 1].kind == "shell":
        last += 1
    yield from (*blocks[: last + 1], Block("shell", command), *blocks[last + 1 :])


def _does(block: Block, command: str) -> bool:
    """Tell whether untranslated code has the words of a command up to its first option."""
    words = _words(command)
    return block.kind == "rest" and len(words) > 1 and set(words) <= set(re.findall(r"[\w-]+", block.text))


def _words(command: str) -> list[str]:
    match = _WRAPPED.fullmatch(command)
    words = []
    for word in (match[1] if match else command.removeprefix("openstack ")).split():
        if not re.fullmatch(r"[a-z_][\w-]*", word):
            break
        words.append(word)
    return words


def _is_told(command: str, parts: Iterable[Part]) -> bool:
    """Tell whether a part has a command, or one that makes the same thing: who runs both has it twice."""
    code = [block.text for part in parts for block in part.blocks if block.kind == "shell"]
    lines = "\n".join(code).replace("\\", "").splitlines()
    if all(any(set(one.split()) <= set(line.split()) for line in lines) for one in command.split(";")):
        return True
    kind, _, name = command.partition(" create ")
    last = name.rpartition(" ")[2]
    same = (line.partition(f"{kind} create ")[2] for line in lines)
    return any(last in line.replace(")", " ").split() for line in same if name)

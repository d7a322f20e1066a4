r"""Python's `$` lets a line break follow: `re.match(r"^[a-z]+$", "lab\n")` matches. What must be all of a text is
compared by fullmatch, here as everywhere.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from lab.base import resources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FUNCTIONS = {"compile", "match", "search", "sub", "findall", "finditer", "split"}


def sources() -> list[Path]:
    package = resources.RELEASES.parent
    return sorted({*package.rglob("*.py"), *resources.PROVISION.rglob("*.py"), *resources.INFRA_SUITE.rglob("*.py")})


def loose(code: str) -> Iterator[int]:
    r"""Give the lines of patterns that end in `$` and do not go line by line."""
    for call in ast.walk(ast.parse(code)):
        match call:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re"), attr=function),
                args=[ast.Constant(value=str(pattern)), *_],
            ) if function in FUNCTIONS and pattern.endswith("$") and not pattern.endswith(r"\$"):
                if "MULTILINE" not in ast.unparse(call):
                    yield call.lineno


def test_patterns_of_a_complete_text_are_compared_by_fullmatch() -> None:
    found = [f"{path}:{line}" for path in sources() for line in loose(path.read_text(encoding="utf-8"))]
    assert len(sources()) > 80
    assert found == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ('import re\nre.match(r"^a$", x)', [2]),
        ('P = re.compile(r"a$")', [1]),
        ('re.fullmatch(r"a", x)', []),
        (r're.search(r"\$", x)', []),
        ('re.findall(r"^a$", x, re.MULTILINE)', []),
    ],
)
def test_the_search_finds_them(code: str, lines: list[int]) -> None:
    assert list(loose(code)) == lines

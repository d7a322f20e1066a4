"""The examples of docs/clients.md, as the page has them: a comment before each block says how it is tested.

<!-- file: NAME -->        a file that the commands use
<!-- run: EXPECTED -->     commands; their output holds EXPECTED
<!-- forward: EXPECTED --> the same, while `lab forward` runs
<!-- browser -->           done by tests/browser
<!-- not run: REASON -->
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
Kind = Literal["file", "run", "forward", "browser", "not run"]
KINDS: tuple[Kind, ...] = ("file", "run", "forward", "browser", "not run")
_BLOCK = re.compile(
    r"(?:<!-- (?P<kind>[a-z ]+?)(?:: (?P<told>[^\n]*))? -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.S | re.M
)


@dataclass(frozen=True)
class Example:
    """One block of the page."""

    kind: Kind
    told: str
    """the name of a file, what the commands' output holds, or why they are not run"""
    text: str

    @property
    def name(self) -> str:
        """Its first line, for the name of a test."""
        return self.text.splitlines()[0]


def examples(page: str) -> list[Example]:
    """Read all blocks of a page, in their order. ValueError where one does not say how it is tested."""
    found = []
    for match in _BLOCK.finditer(page):
        if match["kind"] not in KINDS:
            raise ValueError(f"nothing says how this is tested:\n{match['text']}")
        found.append(Example(cast("Kind", match["kind"]), match["told"] or "", match["text"]))
    return found


def of_page(kind: Kind) -> list[Example]:
    """Give the examples of one kind in docs/clients.md."""
    return [example for example in examples(PAGE.read_text(encoding="utf-8")) if example.kind == kind]

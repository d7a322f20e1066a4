"""docs/releases.md is what the data say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.terminal.releases import paper

if TYPE_CHECKING:
    from collections.abc import Callable


def test_docs_releases(golden: Callable[[Path, str], None]) -> None:
    golden(Path(__file__).resolve().parents[2] / "docs/releases.md", paper())

"""One comparator for all golden files."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def assert_golden(path: Path, text: str, regenerate: bool) -> None:
    """Compare text with the golden file at path; on a difference, fail with a unified diff.

    With regenerate the file is rewritten instead, its directory made where needed.
    """
    if regenerate:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    if not path.exists():
        raise AssertionError(f"{path} does not exist: run pytest --regenerate and read what it writes")
    golden = path.read_text(encoding="utf-8")
    if golden == text:
        return
    diff = difflib.unified_diff(
        golden.splitlines(keepends=True), text.splitlines(keepends=True), fromfile=str(path), tofile="now", n=3
    )
    raise AssertionError(
        "differs from its golden file (pytest --regenerate rewrites it):\n" + "".join(map(_with_newline, diff))
    )


def _with_newline(line: str) -> str:
    return line if line.endswith("\n") else line + "\n\\ no newline at end of file\n"

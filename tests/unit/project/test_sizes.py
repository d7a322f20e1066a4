"""A module is read in one sitting, and a function on one screen (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from pathlib import Path

ROOMS = Path(__file__).resolve().parents[3] / "lab"
MODULE_LINES = 350
FUNCTION_LINES = 60


def test_no_module_is_too_long() -> None:
    long = {path.name: lines for path in ROOMS.rglob("*.py") if (lines := _lines(path)) > MODULE_LINES}
    assert long == {}


def test_no_function_is_too_long() -> None:
    long = {
        f"{path.relative_to(ROOMS)}:{function.name}": lines
        for path in ROOMS.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())

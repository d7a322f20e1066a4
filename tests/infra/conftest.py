"""The kinds of checks are known before the first of them is collected. The rest is lab.verification.plugin."""

from __future__ import annotations

import importlib
from pathlib import Path


def pytest_configure() -> None:
    """Import the modules, which registers their functions."""
    for module in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"{__package__}.{module.stem}")

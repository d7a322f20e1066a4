"""Shared by every test: the switch that rewrites golden files, and an environment without the caller's settings."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

from golden_helper import assert_golden

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell started us with `&`


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate", action="store_true", help="rewrite the golden files; read their diff")


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--regenerate"))


@pytest.fixture
def golden(regenerate: bool) -> Callable[[Path, str], None]:
    """Compare a text with its golden file, or rewrite that file under --regenerate."""

    def compare(path: Path, text: str) -> None:
        assert_golden(path, text, regenerate)

    return compare


@pytest.fixture(autouse=True)
def _clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller's settings of Vagrant, libvirt and the lab do not reach the tests (those of a real lab need them)."""
    if "infra" in request.path.parts:
        return
    for name in list(os.environ):
        if name.startswith(("LAB_", "VAGRANT_", "LIBVIRT_")):
            monkeypatch.delenv(name)

"""What `lab handout --format pdf` needs beside the rest: WeasyPrint, and libraries of the system that it loads."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec

from lab.base import resources
from lab.base.environment import which
from lab.base.process import shown

WEASYPRINT = "WeasyPrint"
LIBRARIES = {
    "libpango-1.0-0": "libpango-1.0.so.0",
    "libpangoft2-1.0-0": "libpangoft2-1.0.so.0",
    "libharfbuzz-subset0": "libharfbuzz-subset.so.0",
}
"""Debian's packages, which bring all others that it loads, and what it loads of them (weasyprint/text/ffi.py)"""


def missing() -> tuple[str, ...]:
    """Name what is not installed."""
    libraries = [package for package, library in LIBRARIES.items() if not _loads(library)]
    return (*libraries, *([] if find_spec("weasyprint") else [WEASYPRINT]))


def repair(lacking: tuple[str, ...]) -> str:
    """Write the commands that install it, one a line; empty where no command can."""
    if which("apt-get") is None:
        return ""
    if WEASYPRINT in lacking and resources.MAKEFILE.exists():
        return "make setup-pdf"
    packages = [package for package in lacking if package != WEASYPRINT]
    commands = [[*([] if os.geteuid() == 0 else ["sudo"]), "apt-get", "install", *packages]] if packages else []
    commands += [[sys.executable, "-m", "pip", "install", "weasyprint"]] if WEASYPRINT in lacking else []
    return "\n".join(map(shown, commands))


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True

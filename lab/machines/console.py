"""What a node's serial console tells: whether its kernel has given up, or its boot waits for a person."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TAIL = 4096
# Linux says it first and, after the call trace, last (kernel/panic.c); since 4.19 with brackets at the end.
_PANIC = re.compile(
    r"^(?:\[ *(?P<at>\d+\.\d+)\])?.*?Kernel panic - not syncing: (?P<why>.*?)(?: \]---)?\s*$", re.MULTILINE
)
_PROMPT = "(initramfs)"
"""of the shell in an initial RAM disk that cannot mount the root file system (initramfs-tools(7))"""
_STAMP = re.compile(r"\[ *(\d+\.\d+)\]")


def console_of(build_dir: Path, node: str) -> Path:
    """Name the file of a node's console, which begins again with each start of its machine (Vagrantfile.j2)."""
    return build_dir / "logs" / node / "console.log"


def _panic(text: str) -> str:
    """Read why a guest's kernel gave up; empty where it did not, or where the machine has booted again since.

    On a busy emulated host a guest's timer was seen to fail at boot. Other processors may have a last word: lines of
    the kernel with a later time. All else (firmware, a boot loader, a login, a time that begins again) is another boot.
    """
    last = next(iter([*_PANIC.finditer(text)][-1:]), None)
    if last is None or any(_of_another_boot(line, last["at"]) for line in text[last.end() :].splitlines()):
        return ""
    return last["why"] or "no reason given"


def stands_still(console: Path) -> str:
    """Read why a machine does not go on by itself: a panic, or its initial RAM disk's prompt; empty where it does."""
    text = _end_of(console)
    if why := _panic(text):
        return f"kernel panic: {why}"
    *before, last = ["", *filter(None, map(str.strip, text.splitlines()))]
    if not last.startswith(_PROMPT):
        return ""
    return f"its initial RAM disk has no root file system to go on with: {before[-1] or 'no reason given'}"


def _end_of(console: Path) -> str:
    try:
        with console.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _of_another_boot(line: str, panicked_at: str | None) -> bool:
    if not line.strip():
        return False
    stamp = _STAMP.match(line)
    return stamp is None or panicked_at is None or float(stamp[1]) < float(panicked_at)

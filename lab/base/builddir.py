"""Which directory is a lab's build directory: one that was empty or absent when it was first used.

    BUILD/.lab-build    the marker; it stays with the seed after `lab down`. lab.host.place writes its content

Nothing is written or removed in any other directory. Build directories of earlier versions have no marker: they are
recognised by what they hold, and get one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from lab.base import durable, safe
from lab.base.errors import HostError, UsageError
from lab.base.rights import same_with_sudo

MARKER = ".lab-build"
_RENDERED = ("plan.json", ".rendered.json")
_SEED = re.compile(rb"\s*[0-9a-f]{64}\s*")
_LEFT_BY_DOWN = frozenset(
    {"seed", "lock", "logs", "checkpoints", "mux", "known_hosts", "ssh_config", ".vagrant", "state.json"}
    | {"plan.json", ".rendered.json", "state.json.damaged", "plan.json.damaged"}
)
"""content of a directory in which `lab up` of an earlier version began, or which its `lab down` left"""
_NOBODYS = frozenset({"lost+found"})
"""content of a directory that counts as empty: the root of a file system"""


def canonical(path: Path) -> Path:
    """Give the one path of a place, without `..` and symbolic links: Vagrant writes this one into descriptions."""
    return Path(os.path.realpath(path))


def mark(directory: Path) -> None:
    """Write the marker as it is before a lab is made there, and again once it is removed: empty."""
    durable.write_text(directory / MARKER, "", mode=0o600)


def claim(directory: Path) -> Path:
    """Make a directory a lab's, and create it if it is missing; gives its path without links. May be called again.

    Raises:
        UsageError: it is not a build directory, and not empty.
        HostError: others can reach into it (lab.base.safe).
        OSError: it cannot be made.
    """
    require(directory)
    place = safe.make(directory)
    if not _is_file(place / MARKER):
        mark(place)
    return place


def require(directory: Path) -> Path:
    """Refuse a directory that is not a lab's and not empty; gives its path without links. Nothing is written.

    Raises:
        UsageError, HostError: as of `claim`.
    """
    place = safe.require(directory)
    try:
        ours = not place.exists() or is_ours(place)
    except PermissionError:
        raise HostError(f"{directory} may not be read by this user", hint=f"run: {same_with_sudo()}") from None
    if not ours:
        raise UsageError(
            f"{directory} is not a lab's build directory, and not empty: nothing was changed there",
            hint=f"name a new directory with --dir; if a lab is in there, mark it: touch {place / MARKER}",
        )
    return place


def is_ours(directory: Path) -> bool:
    """Tell whether an existing directory is a lab's, or counts as empty."""
    cut_short = {path.name for path in directory.glob(f".{MARKER}{durable.TEMPORARY[1:]}")}
    names = {path.name for path in directory.iterdir()} - _NOBODYS - cut_short
    if not names or _is_file(directory / MARKER) or all(_is_file(directory / name) for name in _RENDERED):
        return True
    return names <= _LEFT_BY_DOWN and _holds_a_seed(directory / "seed")


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _holds_a_seed(path: Path) -> bool:
    return _is_file(path) and _SEED.fullmatch(path.read_bytes()) is not None

"""Whether a build directory is the one that a lab's machines belong to: it may be a copy, or was moved.

    BUILD/.lab-build     the lab's id, its NAME-HASH on this machine, and the path that the directory has had

`lab up` writes it before it makes anything, `lab down` removes it. ssh_config, Vagrant's data and libvirt's
descriptions have absolute paths and ids in them: with those of another directory, a verb reaches its machines.
"""

from __future__ import annotations

import os
import secrets
from enum import Enum
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from lab.base import durable
from lab.base.builddir import MARKER
from lab.base.errors import UsageError
from lab.base.models import Frozen


class Place(Frozen):
    """What a build directory remembers of itself."""

    version: Literal[1] = 1
    id: str
    key: str
    """NAME-HASH, which the lab keeps when its directory is moved"""
    build_dir: str


class At(Enum):
    """Where a build directory is, compared with where it has been."""

    HOME = "home"
    """where it was, or no lab has been made of it yet"""
    COPY = "copy"
    """the original is where it was"""
    ALIAS = "alias"
    """it is the original, by another path"""
    MOVED = "moved"
    """nothing of the lab is where it was"""


def load(build_dir: Path) -> Place | None:
    """Read what a build directory remembers; None where it remembers nothing that can be read."""
    try:
        return Place.model_validate_json((build_dir / MARKER).read_bytes())
    except (OSError, ValidationError):
        return None


def save(build_dir: Path, place: Place) -> None:
    """Write it, in the place of an earlier one."""
    durable.write_text(build_dir / MARKER, place.model_dump_json(indent=2) + "\n", mode=0o600)


def new_id() -> str:
    """Give an id that no other lab has."""
    return secrets.token_hex(8)


def whereabouts(build_dir: Path, recorded: str = "") -> At:
    """Compare a build directory with what it remembers.

    `recorded` is where this machine remembers the lab, which may have been moved on since the copy was made.
    """
    place = load(build_dir)
    if place is None or place.build_dir == os.path.realpath(build_dir):
        return At.HOME
    for original in (place.build_dir, recorded):
        if original and original != os.path.realpath(build_dir) and _holds(Path(original), place.id):
            return At.ALIAS if os.path.samefile(original, build_dir) else At.COPY
    return At.MOVED


def _holds(directory: Path, lab_id: str) -> bool:
    """Tell whether a directory is this lab's; one that cannot be looked at, or whose marker is damaged, may be."""
    try:
        if not (directory / MARKER).stat().st_size:  # no lab has been made there yet, or since `lab down`
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    found = load(directory)
    return found is None or found.id == lab_id


def require_home(build_dir: Path, recorded: str = "") -> None:
    """Refuse to reach machines from a directory that is not the one that they belong to.

    Raises:
        UsageError: it is a copy, or was moved.
    """
    at = whereabouts(build_dir, recorded)
    if at is At.MOVED:
        raise UsageError(
            f"this lab was moved from {_was(build_dir)} to {build_dir}",
            hint="`lab up` continues here, with its machines; or move the directory back. `lab down` removes the lab",
        )
    refuse_other(build_dir, at, recorded)


def refuse_other(build_dir: Path, at: At, recorded: str = "") -> None:
    """Refuse a copy, and a second path.

    Raises:
        UsageError: it is one of these.
    """
    was = next((path for path in (_was(build_dir), recorded) if path and Path(path, MARKER).exists()), _was(build_dir))
    if at is At.COPY:
        raise UsageError(
            f"{build_dir} is a copy of {was}: it would reach the machines of that one",
            hint=f"work there (`--dir {was}`); for a lab of its own here: `rm -r {build_dir}`, then `lab up`",
        )
    if at is At.ALIAS:
        raise UsageError(f"{build_dir} is {was} by another path", hint="use that path: the lab was created there")


def _was(build_dir: Path) -> str:
    place = load(build_dir)
    return place.build_dir if place else ""

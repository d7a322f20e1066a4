"""Whether files are as they were made, by sizes and checksums that are kept beside them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from lab.base.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class FileFacts(Frozen):
    """What is known of a finished file."""

    size: int
    """bytes"""
    sha256: str
    mtime_ns: int
    """when it was last written: a file with the same size and time is not read again"""


def facts_of(file: Path) -> FileFacts:
    """Read a file once, piece by piece: 1 s per GB while it is in memory."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        status = os.fstat(opened.fileno())
    return FileFacts(size=status.st_size, sha256=digest, mtime_ns=status.st_mtime_ns)


def damage(file: Path, facts: FileFacts, *, thorough: bool = False) -> str:
    """Say in a person's words what is wrong with a file; empty where nothing is.

    Its content is read where its time of change is not the noted one, or where `thorough` asks for it. One that proves
    right gets the noted time, so that the next look is quick.
    """
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            return f"{file.name} is no file"
        if status.st_size != facts.size:
            return f"{file.name} has {status.st_size} bytes instead of {facts.size}"
        if not thorough and status.st_mtime_ns == facts.mtime_ns:
            return ""
        if facts_of(file).sha256 != facts.sha256:
            return f"the content of {file.name} is not what was written"
    except FileNotFoundError:
        return f"{file.name} is missing"
    except OSError as error:
        return f"{file.name} cannot be read: {error.strerror}"
    if status.st_mtime_ns != facts.mtime_ns:
        with contextlib.suppress(OSError):  # of another user: then it is read each time
            os.utime(file, ns=(status.st_atime_ns, facts.mtime_ns))
    return ""


def facts_of_all(directory: Path) -> dict[str, FileFacts]:
    """Read all files of a directory."""
    return {file.name: facts_of(file) for file in sorted(directory.iterdir())}


def damage_of_all(directory: Path, files: Mapping[str, FileFacts], *, thorough: bool = False) -> str:
    """Say what is wrong with the first damaged one of these files; empty where all are right."""
    found = (damage(directory / name, facts, thorough=thorough) for name, facts in sorted(files.items()))
    return next((each for each in found if each), "")

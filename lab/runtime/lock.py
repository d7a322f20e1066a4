"""One writer per lab: an flock on BUILD/lock, which the kernel drops when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lab import builddir, safe
from lab.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def lab_lock(build_dir: Path, command: str = "") -> Iterator[None]:
    """Hold the lab while the block runs; LockedError, which names the holder, where another process holds it.

    The directory is made where there is none; UsageError or HostError where it cannot be a lab's (lab.builddir).
    `command` is what the refused one is told (default: this process' own arguments).
    The file stays: removing a lock file that somebody may be waiting on would let two in.
    """
    place = builddir.claim(build_dir)
    # Close-on-exec: a daemon that we start must not inherit the lock and keep it for ever.
    fd = safe.open_file(place / "lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refused(build_dir, os.pread(fd, 4096, 0)) from None
        holder = {"pid": os.getpid(), "command": command or " ".join(sys.argv), "since": time.time()}
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(holder).encode(), 0)
        yield
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _refused(build_dir: Path, text: bytes) -> LockedError:
    try:
        holder: dict[str, Any] = json.loads(text)
        since = time.strftime("%H:%M:%S", time.localtime(holder["since"]))
        who = f"process {holder['pid']} (`{holder['command']}`, since {since})"
    except (ValueError, KeyError, TypeError):  # it has the lock, but has not written its name yet
        who = "another process"
    return LockedError(
        f"{who} works on this lab",
        detail=f"lab: {build_dir}",
        hint="wait until it has ended, or end it; its work is picked up where it stopped",
    )

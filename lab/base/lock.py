"""Locks: flocks, which the kernel drops when their holder ends, however it ends. Every wait has a limit.

BUILD/lock lets one process at a time write a lab; nobody waits for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.base import builddir, safe
from lab.base.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOOK_S = 0.2


@contextmanager
def lab_lock(build_dir: Path, command: str = "") -> Iterator[None]:
    """Hold the lab while the block runs; LockedError, which names the holder, if another process holds it.

    The directory is made where there is none; UsageError or HostError where it cannot be a lab's (lab.base.builddir).
    `command` is what another process is told that is refused (default: the arguments of this process).
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
        hint="wait until it has ended, or end it; the next command continues its work",
    )


def take(fd: int, what: str, *, limit_s: float, waiting: Callable[[str], None] | None = None) -> None:
    """Take an exclusive flock, and wait for it where another process has it.

    Args:
        fd: of the open file or directory.
        what: what is locked, as in "the box zed-controller".
        limit_s: how long to wait.
        waiting: called once with the name of the holder, if another process has it.

    Raises:
        LockedError: not within the limit; it names the holder.
    """
    deadline = time.monotonic() + limit_s
    told = waiting is None
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = holder_of(fd)
            if not told and waiting is not None:
                waiting(who)
                told = True
            if time.monotonic() > deadline:
                raise LockedError(
                    f"{who} works on {what}: waited {limit_s:.0f} s for it",
                    hint="wait until it has ended, or end it; then run the same command again",
                ) from None
            time.sleep(_LOOK_S)
        else:
            return


def holder_of(fd: int, locks: Path = Path("/proc/locks")) -> str:
    """Name the process that has the flock of an open file, as the kernel lists it (proc_locks(5))."""
    status = os.fstat(fd)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = [line.split() for line in locks.read_text().splitlines()]
    except OSError:
        lines = []
    pid = next((words[4] for words in lines if words[1] == "FLOCK" and words[5] == device), "")
    try:
        words = Path(f"/proc/{int(pid)}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return f"process {pid} (`{' '.join(words).strip()[:120]}`)"
    except (ValueError, OSError):  # of another namespace, or gone meanwhile
        return "another process"

"""Connections to libvirtd that end where it does not answer: a stopped process accepts a call and says nothing.

libvirt's calls have no limit of their own, and some take minutes with good reason (saving memory). So nobody limits
the call: while a connection is open, libvirt's keepalive messages ask the daemon whether it is alive, which it answers
also in the middle of a long call. They need an event loop, which runs in a thread. What they do not cover is opening:
that is done in a thread of its own, which is left behind when it takes too long, and so are calls that wait for QEMU.
"""

from __future__ import annotations

import queue
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt

from lab.base.errors import HostError, MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ANSWER_LIMIT_S = 20.0
_AGAIN_LIMIT_S = 2.0
"""for a daemon that did not answer this process before: a verb that asks several times must not wait each time"""
_ASK_EVERY_S, _UNANSWERED = 4, 4
"""keepalive: broken after _UNANSWERED + 1 intervals without an answer (virConnectSetKeepAlive)"""

SYSTEM_PID_FILES = tuple(Path("/run") / name for name in ("libvirtd.pid", "libvirt/libvirtd.pid", "virtqemud.pid"))
_HINT = "`kill -CONT {pid}` where somebody stopped it, else restart it: `systemctl restart libvirtd`"

_waited_in_vain: set[str] = set()
_loop = threading.Lock()
_loop_runs = False


def _quiet(_context: object, _error: object) -> None:
    """libvirt prints every error on stderr by default; ours arrive as exceptions, and are shown where they matter."""


libvirt.registerErrorHandler(_quiet, None)


class NoAnswerError(HostError):
    """A libvirtd that lives, and does not answer."""

    def __init__(self, pid_files: Iterable[Path], waited_s: float, hint: str = "") -> None:
        pid = pid_of(pid_files)
        who = "libvirtd" + (f" (pid {pid}{', which is stopped' if is_stopped(pid) else ''})" if pid else "")
        super().__init__(
            f"{who} does not answer: waited {waited_s:.0f} s for it", hint=hint or _HINT.format(pid=pid or "PID")
        )


def connect(uri: str, pid_files: Iterable[Path], *, limit_s: float | None = None, hint: str = "") -> Any:
    """Open a libvirt.virConnect whose calls fail where the daemon stops answering.

    Args:
        uri: libvirt's.
        pid_files: where the daemon's process id may be, for the message.
        limit_s: how long to wait; without it ANSWER_LIMIT_S, and less where this process has waited in vain before.
        hint: what to do where it does not answer, if that is not what a machine's own libvirtd needs.

    Raises:
        libvirt.libvirtError: nobody is there, or it refuses.
        NoAnswerError: it does not answer.
    """
    if uri.startswith("test:"):  # in this process
        return libvirt.open(uri)
    _run_event_loop()
    if limit_s is None:
        limit_s = _AGAIN_LIMIT_S if uri in _waited_in_vain else ANSWER_LIMIT_S
    try:
        connection = _in_thread(lambda: libvirt.open(uri), limit_s)
    except TimeoutError:
        _waited_in_vain.add(uri)
        raise NoAnswerError(pid_files, limit_s, hint) from None
    _waited_in_vain.discard(uri)
    connection.setKeepAlive(_ASK_EVERY_S, _UNANSWERED)
    return connection


def silent(error: BaseException | None) -> bool:
    """Tell whether a call failed because the daemon stopped answering, in libvirt's words."""
    return isinstance(error, libvirt.libvirtError) and "keepalive" in str(error)


def no_answer(pid_files: Iterable[Path], hint: str = "") -> NoAnswerError:
    """Make the error of a daemon that stopped answering while it was connected."""
    return NoAnswerError(pid_files, _ASK_EVERY_S * (_UNANSWERED + 1), hint)


def within(limit_s: float, what: str, call: Callable[[], Any]) -> Any:
    """Make a call that waits for a QEMU, which may be stopped while its libvirtd works.

    Raises:
        MachineError: it took longer; libvirt goes on with it.
    """
    try:
        return _in_thread(call, limit_s)
    except TimeoutError:
        raise MachineError(
            f"{what} did not end within {limit_s:.0f} s",
            hint="its QEMU does not answer libvirt: is that process stopped, or the disk full?",
        ) from None


def pid_of(files: Iterable[Path]) -> int:
    """Read a process id that lives from the first of these files that has one; 0 where there is none."""
    for file in files:
        try:
            text = file.read_text()
        except OSError:
            continue
        if re.fullmatch(r"\s*\d{1,9}\s*", text) and Path(f"/proc/{int(text)}").exists():
            return int(text)
    return 0


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped (SIGSTOP, a debugger)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False


def _run_event_loop() -> None:
    """Start libvirt's event loop, once; it must be there before the first connection."""
    global _loop_runs
    with _loop:
        if not _loop_runs:
            libvirt.virEventRegisterDefaultImpl()
            threading.Thread(target=_events, name="libvirt-events", daemon=True).start()
            _loop_runs = True


def _events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _in_thread(call: Callable[[], Any], limit_s: float) -> Any:
    """Call in a thread that is left behind after the limit: libvirt's calls cannot be interrupted. TimeoutError."""
    answer: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answer.put((call(), None))
        except BaseException as error:  # the caller gets it, whatever it is
            answer.put((None, error))

    threading.Thread(target=work, name="libvirt-call", daemon=True).start()
    try:
        result, error = answer.get(timeout=limit_s)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return result

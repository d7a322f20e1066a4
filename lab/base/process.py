"""Running a program on this machine to its end. `Completed` is what it said; also of a command on a node.

ssh and Vagrant are started by the modules that talk with them while they run (lab.nodes.ssh, lab.machines.vagrant). All
others are started by `run`.
Arguments are lists, never strings for a shell; every run has a limit; a failure shows the command ready to paste and
the end of what it said. Secrets travel by `input`, files or `env`, which are never shown, and never as an argument.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from lab.base import safe
from lab.base.environment import tool_environment
from lab.base.errors import HostError, MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 20
LOG_LIMIT_BYTES = 5 * 2**20
"""of a log that is appended to; twice as much is kept"""
_GRACE_S = 5.0

Argument = str | os.PathLike[str]


@dataclass(frozen=True)
class Completed:
    """What a program did. `str()` of it is a failure message."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    """empty where the output went to a log file"""
    stderr: str
    seconds: float
    log: Path | None = None

    @property
    def ok(self) -> bool:
        """Tell whether it ended with 0."""
        return self.returncode == 0

    @property
    def command(self) -> str:
        """The command, ready to paste."""
        return shown(self.argv)

    def tail(self) -> str:
        """The end of its output: of the log file, else of stderr, else of stdout."""
        if self.log is not None:
            return tail_of(self.log)
        return "\n".join((self.stderr.strip() or self.stdout.strip()).splitlines()[-TAIL_LINES:])

    def __str__(self) -> str:
        return f"$ {self.command}\nexit code {self.returncode}\n{self.tail()}"


class CommandError(MachineError):
    """A program ended with another exit code than 0, or did not end in time."""

    def __init__(self, message: str, result: Completed, *, hint: str = "") -> None:
        lines = [f"$ {result.command}", result.tail()]
        if result.log is not None:
            lines.append(f"full log: {result.log}")
        super().__init__(message, detail="\n".join(line for line in lines if line), hint=hint)
        self.result = result


def shown(argv: Sequence[Argument]) -> str:
    """Write a command as one would type it."""
    return shlex.join([os.fspath(a) for a in argv])


def tail_of(log: Path, lines: int = TAIL_LINES) -> str:
    """Read the last lines of a log file; of a missing one, nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64 * 1024))
            return "\n".join(file.read().decode(errors="replace").strip().splitlines()[-lines:])
    except OSError:
        return ""


def run(
    argv: Sequence[Argument],
    *,
    timeout_s: float,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: str | None = None,  # noqa: A002 - the name that subprocess has
    check: bool = True,
    cwd: Path | None = None,
    tty: bool = False,
) -> Completed:
    """Run a program to its end.

    `log` collects stdout and stderr in a file (appended, 0600 where new). `env` is added to the environment that all
    tools get (lab.base.environment).
    `tty` leaves it in the terminal's foreground and its output unread, for programs that ask (sudo, an ssh shell).

    HostError where the program is not installed, CommandError where it fails (unless `check` is off) or takes longer
    than `timeout_s`. Whatever ends the wait — the limit, Ctrl-C — ends the program and its children too.
    """
    words = tuple(os.fspath(a) for a in argv)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        sink = None if log is None else stack.enter_context(_open_log(log))
        process = _start(words, sink, env, input, cwd, tty)
        stack.callback(_end, process, group=not tty)
        try:
            out, err = process.communicate(input, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _end(process, group=not tty)
            out, err = process.communicate()
            result = Completed(words, -1, out or "", err or "", time.monotonic() - started, log)
            raise CommandError(f"{words[0]} did not end within {timeout_s:g} s", result) from None
    result = Completed(words, process.returncode, out or "", err or "", time.monotonic() - started, log)
    if check and not result.ok:
        raise CommandError(f"{words[0]} failed with exit code {result.returncode}", result)
    return result


def _start(
    words: tuple[str, ...],
    sink: IO[bytes] | None,
    env: Mapping[str, str] | None,
    text: str | None,
    cwd: Path | None,
    tty: bool,
) -> subprocess.Popen[str]:
    piped = None if tty else subprocess.PIPE
    stdin = subprocess.PIPE if text is not None else (None if tty else subprocess.DEVNULL)
    try:
        return subprocess.Popen(
            words,
            stdin=stdin,
            stdout=sink or piped,
            stderr=subprocess.STDOUT if sink else piped,
            env=tool_environment(env),
            cwd=cwd,
            text=True,
            errors="replace",
            start_new_session=not tty,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise MachineError(f"no such directory: {cwd}", detail=f"$ {shown(words)}") from error
        raise HostError(f"{words[0]} is not installed", hint="`lab doctor --fix` installs what is missing") from error


def put_aside(log: Path, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
    """Rename a long log to NAME.1, which replaces the one before; a program that has it open goes on there."""
    with contextlib.suppress(FileNotFoundError):
        if log.lstat().st_size > limit_bytes:
            log.replace(log.with_name(f"{log.name}.1"))


def _open_log(log: Path) -> IO[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    put_aside(log)
    return open(log, "ab", opener=safe.private_opener)


def _end(process: subprocess.Popen[str], *, group: bool) -> None:
    """End a program that still runs: by SIGTERM, then by SIGKILL."""
    if process.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number) if group else process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
            return

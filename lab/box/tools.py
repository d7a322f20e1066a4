"""Long-running programs of several builds at once, which end together.

lab.base.process.run waits in the calling thread; a build runs in a thread of its own, where Ctrl-C does not arrive.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

from lab.base.environment import tool_environment
from lab.base.errors import HostError, MachineError
from lab.base.process import shown, tail_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_GRACE_S = 5.0

CONTAINED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
)
"""Runs a command with its own namespaces of mounts and processes: however this program ends, neither outlives it."""
AT_A_PLAIN_PATH = ("sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh")
"""Runs a command that sees a directory under another name too. apt, mmdebstrap and its hooks break on paths with
blanks, quotes or percent signs, as a user's cache may have them."""


class Tools:
    """Starts programs; `stop` ends all of them, and no other starts after it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        with self._lock:
            return self._stopped

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        log: Path,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run a program in a process group of its own, output to the log.

        MachineError with the end of the log where it fails or takes too long.
        """
        words = [os.fspath(a) for a in argv]
        with log.open("ab") as sink:
            sink.write(f"$ {shown(words)}\n".encode())
            sink.flush()
            with self._lock:
                if self._stopped:
                    raise MachineError("the build was stopped")
                try:
                    process = subprocess.Popen(
                        words,
                        stdin=subprocess.DEVNULL,
                        stdout=sink,
                        stderr=subprocess.STDOUT,
                        env=tool_environment(env),
                        start_new_session=True,
                    )
                except FileNotFoundError as error:
                    raise HostError(
                        f"{words[0]} is not installed", hint="`lab doctor --fix` installs what is missing"
                    ) from error
                self._running.add(process)
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                raise MachineError(
                    f"{words[0]} did not end within {timeout_s:.0f} s", detail=f"{tail_of(log)}\nfull log: {log}"
                ) from None
            finally:
                _end(process)
                with self._lock:
                    self._running.discard(process)
        if code != 0:
            raise MachineError(
                f"{os.path.basename(words[0])} failed with exit code {code}",
                detail=f"$ {shown(words)[:400]}\n{tail_of(log)}\nfull log: {log}",
            )

    def stop(self) -> None:
        """End every program that runs."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)

"""Namespaces of the test's own, in which a kind of host is: they end with their first process, and all in them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from hosts.calls import HostProofError

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent


class Enclosure:
    """Mount and process namespaces, and where it is asked for a network namespace."""

    def __init__(self, script: str, arguments: Sequence[str], *, network: bool = False) -> None:
        """Choose the script that arranges them and stays as their first process; it says `ready`."""
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        self._argv = [*own, *(["--net"] if network else []), "bash", str(HERE / script), *arguments]
        self._process: subprocess.Popen[str] | None = None
        self._pid = 0

    def open(self) -> None:
        """Arrange them. HostProofError where that cannot be."""
        self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if (said := self._process.stdout.readline().strip()) != "ready":
            raise HostProofError(f"{' '.join(self._argv)} said {said!r}")
        outer = self._process.pid
        self._pid = int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])

    def command(self, argv: Sequence[str], directory: str) -> list[str]:
        """Write the command line that runs a program in them."""
        spaces = ["--mount", "--pid", "--net", "--root"]
        return ["nsenter", f"--target={self._pid}", *spaces, "env", f"--chdir={directory}", *argv]

    def processes(self) -> list[str]:
        """List the command lines of all processes in them but the first, which waits, and what it waits for."""
        space = Path(f"/proc/{self._pid}/ns/pid").stat().st_ino
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "ns/pid").stat().st_ino == space:
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:  # it has ended
                continue
        return [
            line for line in found if line and not line.startswith(("sleep 60", "/bin/bash -c echo", "bash -c echo"))
        ]

    def close(self) -> None:
        """End them, with every process in them."""
        if self._process is not None:
            self._process.kill()  # --kill-child: the first process goes with it, and so do all
            self._process.wait()

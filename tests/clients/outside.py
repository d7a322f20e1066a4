"""A user outside the nodes of a running lab: a directory, a command `lab` that knows the spec, and `lab forward`."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / ".venv" / "clients" / "bin"
SPEC = Path(os.environ.get("LAB", "lab.yaml")).absolute()
_ENDS_S = 30.0
_FORWARDS = "Ctrl-C ends it."
"""the last line that `lab forward` prints when everything can be reached"""
# The page says `lab exec -- …`: a user of another spec than lab.yaml adds --file.
_LAB = """#!/bin/sh
verb=$1
shift
exec {python} -c 'from lab.cli.main import app; app()' "$verb" --file {spec} "$@"
"""


@dataclass(frozen=True)
class User:
    """Somebody at a shell."""

    home: Path
    """where the shell is, and what the clients take for the user's home"""

    def __post_init__(self) -> None:
        lab = self.home / "bin" / "lab"
        lab.parent.mkdir(exist_ok=True)
        lab.write_text(_LAB.format(python=shlex.quote(sys.executable), spec=shlex.quote(str(SPEC))))
        lab.chmod(0o755)

    @property
    def environ(self) -> dict[str, str]:
        path = f"{self.home / 'bin'}:{CLIENTS}:{os.environ['PATH']}"
        own = {"PATH": path, "LC_ALL": "C.UTF-8", "ANSIBLE_HOME": str(self.home / "ansible")}
        return {**os.environ, **own}

    def run(self, lines: str) -> str:
        """Run lines of the shell; what they wrote. AssertionError, with all of it, where one fails."""
        argv = ["bash", "-euo", "pipefail", "-c", lines]
        ran = subprocess.run(
            argv, cwd=self.home, env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{lines}\nended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    @contextmanager
    def forwarding(self) -> Iterator[str]:
        """Run `lab forward`, and end it as a Ctrl-C does; gives what it printed."""
        with subprocess.Popen(
            [self.home / "bin" / "lab", "forward"],
            cwd=self.home,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if _FORWARDS in line:
                    break
            try:  # its output may end before the process does
                assert said, f"lab forward ended with {process.wait(_ENDS_S)}"
                assert _FORWARDS in said[-1], "".join(said)
                yield "".join(said)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGINT)
                process.stdout.read()
                code = process.wait(_ENDS_S)
        assert code == 0, f"lab forward ended with {code}"

"""Programs that the proof runs, each with its output in a log of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_HANDED = (
    "PATH",
    "TERM",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "PIP_INDEX_URL",
    "PIP_CERT",
)


class HostProofError(Exception):
    """This kind of host did not carry the lab; the message says at what, and where the log is."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give what a new user's shell has: of this one's only the way to the network. `extra` comes over it."""
    own = {n: v for n, v in os.environ.items() if n in _HANDED}
    return {**own, "HOME": "/root", "LANG": "C.UTF-8", **(extra or {})}


@dataclass
class Calls:
    """What was run, and how long it took."""

    logs: Path
    say: Callable[[str], None] = print
    seconds: dict[str, float] = field(default_factory=dict)

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        limit_s: float = 600,
        code: int = 0,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Run a program to its end, and give what it said. HostProofError for another exit code, or past the limit."""
        log = self.logs / f"{len(self.seconds):02d}-{name}.log"
        began = time.monotonic()
        with log.open("w") as out:
            head = out.write(f"$ {shlex.join(argv)}\n")
            out.flush()
            try:
                done = subprocess.run(
                    argv,
                    cwd=cwd,
                    env=environment() if env is None else dict(env),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    timeout=limit_s,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise HostProofError(f"{name}: not done in {limit_s:.0f} s; its log: {log}") from None
        self.seconds[name] = round(time.monotonic() - began, 1)
        said = log.read_text(errors="replace")[head:]
        if "Traceback (most recent call last)" in said:
            raise HostProofError(f"{name} shows a traceback; its log: {log}")
        if done.returncode != code:
            tail = "\n".join(said.splitlines()[-25:])
            raise HostProofError(f"{name} ended with {done.returncode}, not {code}; its log: {log}\n{tail}")
        self.say(f"{name}: {self.seconds[name]:.0f} s")
        return said

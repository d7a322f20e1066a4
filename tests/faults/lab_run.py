"""The command `lab` as a child: what it tells of its progress, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.draw import Event, Moment

ROOT = Path(__file__).resolve().parents[2]
LAB = [sys.executable, "-c", "from lab.cli.main import main; main()"]
"""this checkout's, whichever the virtualenv has"""

_TIME = r"^ *\d+:\d\d "
_STARTED = re.compile(_TIME + r"\S+ +\d\d-\S+ +started \(about (?P<about>[\d:]+)")
_FINISHED = re.compile(_TIME + r"\S+ +\d\d-\S+ +(?:done in|failed after|interrupted after) ")
_PHASES: dict[str, tuple[Event, float]] = {
    "virtual machines:": ("machines", 90.0),
    "quick checks of what is done": ("checks", 4.0),
    "verification": ("verification", 20.0),
}
"""how a phase's line begins; the seconds over which its faults are spread"""
_AFTER_A_STEP_S = 3.0


@dataclass(frozen=True)
class Happening:
    """Something that `lab up` told."""

    event: Event
    expected_s: float
    """how long what begins now should take"""


def happening_of(line: str) -> Happening | None:
    """Read a line of `lab up`, as it is written where there is no terminal."""
    if match := _STARTED.match(line):
        return Happening("started", _seconds(match["about"]))
    if _FINISHED.match(line):
        return Happening("finished", _AFTER_A_STEP_S)
    text = re.sub(_TIME, "", line)
    if text == line:
        return None
    return next((Happening(*of) for start, of in _PHASES.items() if text.startswith(start)), None)


def _seconds(text: str) -> float:
    minutes, _, seconds = text.rpartition(":")
    return float(minutes or 0) * 60 + float(seconds)


@dataclass
class LabRun:
    """A `lab` that runs, in a process group of its own, with its output in a file."""

    words: list[str]
    log: Path
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._heard = threading.Condition()
        self._happened: list[Happening] = []
        self.process = subprocess.Popen(
            [*LAB, *self.words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"},
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("a") as log, self.process.stdout as lines:
            log.write(f"$ lab {' '.join(self.words)}\n")
            for line in lines:
                log.write(line)
                log.flush()
                if happened := happening_of(line.rstrip("\n")):
                    with self._heard:
                        self._happened.append(happened)
                        self._heard.notify_all()

    def wait_for(self, moment: Moment, limit_s: float) -> bool:
        """Wait for a moment; whether it came before the end of `lab` and the limit."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and self.process.poll() is None:
            with self._heard:
                seen = [happened for happened in self._happened if happened.event == moment.event]
                if len(seen) < moment.nth:
                    self._heard.wait(0.2)
                    continue
            then = time.monotonic() + moment.fraction * seen[moment.nth - 1].expected_s
            while time.monotonic() < then and self.process.poll() is None:
                time.sleep(0.05)
            return self.process.poll() is None
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal to `lab` and its process group, as a terminal does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def end(self, limit_s: float) -> int | None:
        """Wait for the end, and give the exit code; None where it had to be interrupted, and then killed."""
        code: int | None = None
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            for number, grace_s in ((signal.SIGINT, 90.0), (signal.SIGKILL, 10.0)):
                self.send(number)
                try:
                    self.process.wait(grace_s)
                    break
                except subprocess.TimeoutExpired:
                    continue
        self._reader.join(2)  # orphans may hold the pipe
        return code

    def said(self) -> str:
        """Give all that it wrote."""
        return self.log.read_text(errors="replace")


def run_lab(words: list[str], log: Path, limit_s: float) -> tuple[int | None, float]:
    """Run `lab` to its end; its exit code (None: too long) and seconds."""
    run = LabRun(words, log)
    code = run.end(limit_s)
    return code, round(time.monotonic() - run.started, 1)

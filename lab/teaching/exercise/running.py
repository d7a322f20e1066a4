"""The exercise that runs on a lab: BUILD/exercise.json. It says which and by which seed, and nothing of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from lab.base import durable
from lab.base.errors import MachineError
from lab.base.models import Frozen
from lab.verification.veil import FILE

if TYPE_CHECKING:
    from pathlib import Path

CHECKPOINT = "before-the-exercise"
Outcome = Literal["passed", "solved", "given up", "not passed", "late"]


class Exam(Frozen):
    """What an exam has besides its exercises."""

    title: str
    minutes: int
    needed: str
    """percent, as it was written: 70 or 69.5"""


class Task(Frozen):
    """One exercise of those that run."""

    number: int
    seed: str
    digest: str
    """of the exercise as it was when it began"""
    hints: int = 0
    """that were taken while it was worth something"""
    outcome: Outcome | None = None
    """None as long as it is worked on"""


class Running(Frozen):
    """What runs, or has just ended and was not reset."""

    version: Literal[1] = 1
    veiled: bool = True
    """the suite says no more than a student may know"""
    student: str
    started: float
    """seconds since 1970, this host's clock"""
    tasks: tuple[Task, ...]
    attempts: int = 0
    """repairs that were judged; those that could not be judged do not count"""
    read_all: bool = False
    """the full messages were shown while it ran"""
    exam: Exam | None = None
    before: dict[str, dict[str, str]]
    """node -> topic -> digest, of the lab before"""

    @property
    def open(self) -> tuple[Task, ...]:
        """What is still worked on."""
        return tuple(task for task in self.tasks if task.outcome is None)

    @property
    def ends(self) -> float | None:
        """When the time of an exam ends."""
        return None if self.exam is None else self.started + 60 * self.exam.minutes

    def with_tasks(self, tasks: tuple[Task, ...]) -> Running:
        """Give it with these tasks; if none is open, nothing is hidden any more."""
        changed = self.model_copy(update={"tasks": tasks})
        return changed.model_copy(update={"veiled": bool(changed.open)})


class RunningFile:
    """Reads and writes it."""

    def __init__(self, build_dir: Path) -> None:
        self.path = build_dir / FILE

    def load(self) -> Running | None:
        """Read it; None if no exercise runs.

        Raises:
            MachineError: the file is damaged; `lab exercise reset` restores the lab without it.
        """
        try:
            return Running.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise MachineError(f"{self.path} is damaged", hint="`lab exercise reset` restores the lab") from None

    def save(self, running: Running) -> None:
        """Write it, so that it is there after a power cut."""
        durable.write_text(self.path, running.model_dump_json(indent=1) + "\n", mode=0o600)

    def remove(self) -> None:
        """Remove it: nothing runs any more."""
        durable.unlink(self.path)


def note_teacher(build_dir: Path) -> None:
    """Record that the full messages are shown; no error if no exercise runs."""
    file = RunningFile(build_dir)
    found = file.load()
    if found is not None and found.open and not found.read_all:
        file.save(found.model_copy(update={"read_all": True}))

"""What the stories of exercises share: a lab, what can be done to it, what runs on it, and earlier results."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.base.errors import UsageError
from lab.teaching.exercise import catalog, points
from lab.teaching.exercise.draw import Variant, draw
from lab.teaching.exercise.results import Result, Results, suite_digest
from lab.teaching.exercise.running import Running, RunningFile, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.base.progress import Progress
    from lab.planning.plan import Plan
    from lab.teaching.exercise.bench import Bench
    from lab.teaching.exercise.running import Outcome


@dataclass(frozen=True)
class Desk:
    """What the stories of exercises share."""

    plan: Plan
    build_dir: Path
    bench: Bench
    progress: Progress
    exercises: tuple[catalog.Loaded, ...] = field(default_factory=catalog.catalog)
    now: Callable[[], float] = time.time

    @property
    def file(self) -> RunningFile:
        """What runs."""
        return RunningFile(self.build_dir)

    @property
    def results(self) -> Results:
        """The results of earlier exercises."""
        return Results(self.build_dir)

    def running(self) -> Running:
        """Give what runs, or has ended and was not reset.

        Raises:
            UsageError: nothing does.
        """
        found = self.file.load()
        if found is None:
            raise UsageError("no exercise runs on this lab", hint="`lab exercise list`, then `lab exercise start N`")
        return found

    def open(self) -> Running:
        """Give what is still worked on.

        Raises:
            UsageError: nothing is.
        """
        found = self.running()
        if not found.open:
            raise UsageError("the exercise has ended", hint="`lab exercise reset` restores the lab as it was before")
        return found

    def variant(self, task: Task) -> Variant:
        """Draw a task's particulars again."""
        return draw(catalog.find(task.number, self.exercises), task.seed, self.plan)

    def end(self, running: Running, task: Task, outcome: Outcome, at: float | None = None) -> Running:
        """Keep how a task ended (`at`: when, by the desk's clock; default now), and give what runs without it."""
        variant = self.variant(task)
        facts = variant.exercise.facts
        solved = outcome == "passed" and not running.read_all
        self.results.add(
            Result(
                student=running.student,
                number=task.number,
                title=facts.title,
                level=facts.level,
                digest=task.digest,
                suite=suite_digest(self.plan),
                seed=task.seed,
                node=variant.node,
                started=running.started,
                ended=self.now() if at is None else at,
                attempts=running.attempts,
                hints=task.hints,
                outcome=outcome,
                worth=points.WORTH[facts.level],
                won=points.won(facts.level, task.hints) if solved else 0,
                read_all=running.read_all,
                exam=running.exam.title if running.exam else "",
                broken=variant.text(facts.broken),
                showed=variant.text(facts.showed),
                found=variant.text(facts.found),
            )
        )
        ended = task.model_copy(update={"outcome": outcome})
        return running.with_tasks(tuple(ended if each.number == task.number else each for each in running.tasks))
